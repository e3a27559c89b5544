"""Pure: the second approval, of what a node may do: declared, waiting, approved, effective (gateway-protocol §4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bridge.demo.gateway.methods import satisfies
from bridge.demo.gateway.policy import approval_scopes
from bridge.demo.gateway.refusals import invalid, missing_scope
from gateway_client.frames import JsonObject

_LABELS = {
    "id": "clientId",
    "mode": "clientMode",
    "displayName": "displayName",
    "platform": "platform",
    "version": "version",
    "deviceFamily": "deviceFamily",
    "modelIdentifier": "modelIdentifier",
}


@dataclass(frozen=True, slots=True)
class Surface:
    """Capabilities, commands and permissions of a node."""

    caps: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    permissions: JsonObject = field(default_factory=dict)

    def as_json(self) -> JsonObject:
        """Returns the members, `permissions` only when there are any."""
        out: JsonObject = {"caps": [*self.caps], "commands": [*self.commands]}
        if self.permissions:
            out["permissions"] = dict(self.permissions)
        return out

    def within(self, approved: Surface) -> Surface:
        """Returns the part of this declaration that `approved` covers."""
        caps = tuple(cap for cap in self.caps if cap in approved.caps)
        commands = tuple(name for name in self.commands if name in approved.commands)
        permissions: JsonObject = {}
        for name, wanted in self.permissions.items():
            if not wanted:
                permissions[name] = False
            elif name in approved.permissions:
                permissions[name] = approved.permissions[name]
        return Surface(caps, commands, permissions)

    def widens(self, approved: Surface) -> bool:
        """Tells whether this declaration asks for more than `approved` holds."""
        more = set(self.caps) - set(approved.caps) or set(self.commands) - set(approved.commands)
        wanted = (name for name, value in self.permissions.items() if value)
        return bool(more) or any(approved.permissions.get(name) is not True for name in wanted)


@dataclass(frozen=True, slots=True)
class SurfaceRequest:
    """A declaration that waits for a person."""

    request_id: str
    node_id: str
    client: JsonObject
    surface: Surface
    silent: bool
    ts: int

    def as_json(self) -> JsonObject:
        """Returns the request as `node.pair.list` and `node.pair.requested` show it."""
        out: JsonObject = {
            "requestId": self.request_id,
            "nodeId": self.node_id,
            **labels(self.client),
            **self.surface.as_json(),
            "requiredApproveScopes": [*approval_scopes(self.surface.commands)],
        }
        if self.silent:
            out["silent"] = True
        return {**out, "ts": self.ts}


@dataclass(frozen=True, slots=True)
class Approved:
    """An approved surface, with the labels it was approved under."""

    node_id: str
    client: JsonObject
    surface: Surface
    approved_at_ms: int

    def as_json(self) -> JsonObject:
        """Returns the node as `node.pair.list` and `node.pair.approve` show it."""
        return {
            "nodeId": self.node_id,
            **labels(self.client),
            **self.surface.as_json(),
            "createdAtMs": self.approved_at_ms,
            "approvedAtMs": self.approved_at_ms,
        }


@dataclass(frozen=True, slots=True)
class Declared:
    """What came of a declaration: what holds now, what newly waits, and what it replaced."""

    effective: Surface
    requested: SurfaceRequest | None = None
    dropped: SurfaceRequest | None = None


class Surfaces:
    """All approved and waiting surfaces, by node id."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self.approved: dict[str, Approved] = {}
        self.pending: dict[str, SurfaceRequest] = {}
        self._new_id = new_id

    def declare(self, node_id: str, client: JsonObject, surface: Surface, *, silent: bool, now_ms: int) -> Declared:
        """Takes a connecting node's declaration, already cut down by policy."""
        known, waiting = self.approved.get(node_id), self.pending.get(node_id)
        if known is not None and not surface.widens(known.surface):
            return Declared(surface, dropped=self.pending.pop(node_id, None))
        effective = surface.within(known.surface) if known else Surface()
        if waiting is not None and _same(waiting.surface, surface):
            return Declared(effective)
        request = SurfaceRequest(self._new_id(), node_id, dict(client), surface, silent and known is None, now_ms)
        self.pending[node_id] = request
        return Declared(effective, request, waiting)

    def approve(self, request_id: str, scopes: Sequence[str], now_ms: int) -> Approved:
        """Approves a waiting surface.

        Raises:
            Refusal: no such request, or the caller lacks a scope that its commands need.
        """
        request = self._find(request_id)
        needed = approval_scopes(request.surface.commands)
        for scope in needed:
            if not satisfies(scopes, scope):
                raise missing_scope(scope, *needed)
        del self.pending[request.node_id]
        approved = Approved(request.node_id, request.client, request.surface, now_ms)
        self.approved[request.node_id] = approved
        return approved

    def reject(self, request_id: str) -> SurfaceRequest:
        """Drops a waiting surface.

        Raises:
            Refusal: no such request.
        """
        request = self._find(request_id)
        del self.pending[request.node_id]
        return request

    def forget(self, node_id: str) -> None:
        """Drops everything about a node that is no longer paired."""
        self.approved.pop(node_id, None)
        self.pending.pop(node_id, None)

    def _find(self, request_id: str) -> SurfaceRequest:
        for request in self.pending.values():
            if request.request_id == request_id:
                return request
        raise invalid("unknown requestId")


def labels(client: JsonObject) -> JsonObject:
    """Returns the members of `connect.client` under the names that lists use."""
    return {shown: client[name] for name, shown in _LABELS.items() if name in client}


def _same(one: Surface, other: Surface) -> bool:
    return (set(one.caps), set(one.commands), one.permissions) == (
        set(other.caps),
        set(other.commands),
        other.permissions,
    )
