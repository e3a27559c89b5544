"""Pure: hello-ok, schema-complete for strict clients (gateway-protocol §2.5, mobile-clients §4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from acl.engine import allowed_names
from acl.model import Direction, Policy, Subject
from bridge import __version__
from bridge.lan.events import Admitted
from bridge.pairing.records import Role
from gateway_client.frames import Json, JsonObject, object_of

TICK_MS = 30_000  # milliseconds between the bridge's own ticks; clients drop a socket after twice that
OWN_EVENTS = ("connect.challenge", "tick", "shutdown")
NODE_EVENTS = ("node.invoke.request", "node.invoke.cancel", "node.invoke.input")
_DEFAULTS = frozenset({"defaultAgentId", "mainKey", "mainSessionKey", "scope"})


@dataclass(frozen=True, slots=True)
class Greeting:
    """What one hello-ok is made of beside the admission.

    Attributes:
        role: the socket's role.
        protocol: the version agreed on.
        connection_id: this socket's id.
        max_payload: bytes that a frame of the peer may have.
        max_buffered: bytes that may wait for the peer before it is closed.
        uptime_ms: milliseconds since the bridge started.
    """

    role: Role
    protocol: int
    connection_id: str
    max_payload: int
    max_buffered: int
    uptime_ms: int


def hello_ok(
    greeting: Greeting, admitted: Admitted, subject: Subject, policy: Policy, gateway_hello: Mapping[str, Json]
) -> JsonObject:
    """Builds the payload of hello-ok.

    Args:
        greeting: facts of this socket.
        admitted: the record and the new tokens.
        subject: whom the ACL will see.
        policy: the policy in force.
        gateway_hello: the gateway's own hello-ok, for session defaults and attachment limits; may be empty.
    """
    snapshot: JsonObject = {
        "presence": [],
        "health": {},
        "stateVersion": {"presence": 0, "health": 0},
        "uptimeMs": greeting.uptime_ms,
    }
    theirs = object_of(object_of(gateway_hello.get("snapshot")).get("sessionDefaults"))
    defaults: JsonObject = {name: value for name, value in theirs.items() if name in _DEFAULTS}
    if defaults:
        snapshot["sessionDefaults"] = defaults
    return {
        "type": "hello-ok",
        "protocol": greeting.protocol,
        "server": {"version": __version__, "connId": greeting.connection_id},
        "features": _features(greeting.role, subject, policy),
        "snapshot": snapshot,
        "auth": _auth(greeting.role, admitted, subject),
        "policy": _policy(greeting, gateway_hello),
    }


def _features(role: Role, subject: Subject, policy: Policy) -> JsonObject:
    up, down = (
        (Direction.FROM_NODE, Direction.EVENT_TO_NODE)
        if role is Role.NODE
        else (Direction.FROM_OPERATOR, Direction.EVENT_TO_OPERATOR)
    )
    events = {*OWN_EVENTS, *(NODE_EVENTS if role is Role.NODE else ()), *allowed_names(policy, subject, down)}
    return {"methods": list[Json](allowed_names(policy, subject, up)), "events": list[Json](sorted(events))}


def _auth(role: Role, admitted: Admitted, subject: Subject) -> JsonObject:
    auth: JsonObject = {"role": role.value, "scopes": list[Json](sorted(subject.scopes))}
    own = admitted.tokens.get(role)
    if own is not None:
        auth |= {"deviceToken": own, "issuedAtMs": admitted.issued_at_ms}
    operator = admitted.tokens.get(Role.OPERATOR)
    if role is Role.NODE and operator is not None:
        # Apps take both tokens from one hello-ok, and only from a connect with a setup code (mobile-clients §6.3).
        auth["deviceTokens"] = [
            {
                "deviceToken": operator,
                "role": Role.OPERATOR.value,
                "scopes": list[Json](sorted(admitted.record.operator_scopes)),
                "issuedAtMs": admitted.issued_at_ms,
            }
        ]
    return auth


def _policy(greeting: Greeting, gateway_hello: Mapping[str, Json]) -> JsonObject:
    policy: JsonObject = {
        "maxPayload": greeting.max_payload,
        "maxBufferedBytes": greeting.max_buffered,
        "tickIntervalMs": TICK_MS,
    }
    theirs = object_of(object_of(gateway_hello.get("policy")).get("attachments"))
    limits: JsonObject = {
        name: value
        for name, value in theirs.items()
        if name in {"maxBytes", "maxImageBytes"} and isinstance(value, int)
    }
    if len(limits) == 2:
        policy["attachments"] = limits
    return policy
