"""Pure: what the bridge may approve at the gateway: exactly what a person approved here, for a key it made itself."""

from __future__ import annotations

from dataclasses import dataclass

from acl.permissions import SYSTEM_CLASS
from bridge.pairing.records import Surface
from gateway_client.frames import Json, JsonObject, object_of, text_of


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing waits for an approval.

    Attributes:
        effective: the commands that the gateway lets through.
        display_name: what the gateway calls the node; empty: it does not say.
    """

    effective: frozenset[str]
    display_name: str = ""


@dataclass(frozen=True, slots=True)
class Waits:
    """A surface request waits at the gateway; its id is shown to `operator.pairing` only."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The gateway does not list the node yet."""


def row_of(payload: Json, gateway_id: str) -> JsonObject | None:
    """Returns the node's row of an answer of `node.list`, or None."""
    nodes = object_of(payload).get("nodes")
    rows = nodes if isinstance(nodes, list) else []
    return next((object_of(row) for row in rows if text_of(row, "nodeId") == gateway_id), None)


def judge_row(row: JsonObject | None, offer: Surface) -> Settled | Waits | Unknown:
    """Tells how the node stands at the gateway; a node that offers nothing needs no approval."""
    if row is None:
        return Unknown()
    state = text_of(row, "approvalState") or ""
    if state.startswith("pending"):
        return Waits()
    if state == "approved" or not (offer.commands or offer.caps):
        return Settled(frozenset(_names(row.get("commands"))), text_of(row, "displayName") or "")
    return Unknown()


def find_pending(payload: Json, gateway_id: str) -> JsonObject | None:
    """Returns the pending request of a node in an answer of `node.pair.list`, or None."""
    pending = object_of(payload).get("pending")
    for entry in pending if isinstance(pending, list) else []:
        if text_of(entry, "nodeId") == gateway_id and text_of(entry, "requestId"):
            return object_of(entry)
    return None


def may_approve(entry: JsonObject, offer: Surface) -> bool:
    """Tells whether a pending surface holds nothing that this connection did not offer.

    A member that is not of the form it should have is taken for more than was offered.
    """
    permissions = entry.get("permissions")
    return (
        _holds_only(entry.get("commands"), offer.commands)
        and _holds_only(entry.get("caps"), offer.caps)
        and (permissions is None or isinstance(permissions, dict))
        and all(offer.permissions.get(name) is on for name, on in object_of(permissions).items())
    )


def _holds_only(value: Json, offered: tuple[str, ...]) -> bool:
    if value is None:
        return True
    return isinstance(value, list) and all(isinstance(name, str) and name in offered for name in value)


def approval_scopes(entry: JsonObject) -> tuple[str, ...]:
    """Returns the scopes that the approval needs: admin only for commands that run on the node's host (§4)."""
    base = ("operator.pairing", "operator.write")
    return (*base, "operator.admin") if SYSTEM_CLASS & set(_names(entry.get("commands"))) else base


def surplus(effective: frozenset[str], offer: Surface) -> frozenset[str]:
    """Returns what the gateway would let through that was not offered; it has to be empty."""
    return effective - frozenset(offer.commands)


def find_device(payload: Json, gateway_id: str, public_key: str) -> str | None:
    """Returns the request id of a pending device pairing of a key of ours as a node without scopes, or None."""
    pending = object_of(payload).get("pending")
    for entry in pending if isinstance(pending, list) else []:
        fields = object_of(entry)
        ours = fields.get("deviceId") == gateway_id and fields.get("publicKey") == public_key
        if ours and fields.get("role") == "node" and not fields.get("scopes"):
            return text_of(entry, "requestId")
    return None


def _names(value: Json) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []
