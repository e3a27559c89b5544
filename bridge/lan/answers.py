"""Pure: answers to a peer in the shapes that apps understand (design §§9, 10; mobile-clients §5)."""

from __future__ import annotations

import re
from math import ceil

from acl.model import Deny, Reason
from bridge.lan.events import Fault
from bridge.lan.wakefulness import RETRY_MS
from gateway_client.frames import ErrorShape, Json, JsonObject, Response, object_of

RETRY_AFTER_MS = 1_000  # milliseconds until a call that met a closed link is worth another try
BACKGROUND = "NODE_BACKGROUND_UNAVAILABLE"
GONE = ErrorShape("NODE_DISCONNECTED", "NODE_DISCONNECTED: the node went away before it answered")

# What a node, or the bridge for it, answers the gateway, and what design §10 lets a LAN caller see as it is.
_TYPED = frozenset({BACKGROUND, "NODE_DISCONNECTED", "TIMEOUT", "CONFLICT"})
_WORTH_A_RETRY = frozenset({"NODE_DISCONNECTED", "TIMEOUT"})
_RETRY_AFTER = re.compile(r"retry after ([0-9]{1,3}) s$")

_WORDS = {
    Reason.TARGET: "this node may not invoke that command there",
    Reason.SESSION: "this node may not address that session",
    Reason.NAVIGATION: "that screen may not be sent there",
    Reason.OWNER: "the policy of this bridge denies it to this node",
    Reason.COMMAND_TEXT: "text that begins like a gateway command is not accepted from a node",
}


def ok(request_id: str, payload: Json = None) -> Response:
    """Returns a successful answer."""
    return Response(request_id, True, payload)


def failure(request_id: str, error: ErrorShape) -> Response:
    """Returns a failing answer."""
    return Response(request_id, False, error=error)


def unauthorized_role(role: str) -> ErrorShape:
    """The gateway's own words for a method that the role has not (gateway-protocol §8.1)."""
    return ErrorShape("INVALID_REQUEST", f"unauthorized role: {role}")


def denied(deny: Deny, role: str) -> ErrorShape:
    """Returns the answer to a call that the ACL denied."""
    scope = deny.missing_scope
    if scope is not None:
        details: JsonObject = {"code": "MISSING_SCOPE", "missingScope": scope, "requiredScopes": [scope]}
        return ErrorShape("FORBIDDEN", f"missing scope: {scope}", details)
    if deny.reason in _WORDS:
        return ErrorShape("FORBIDDEN", _WORDS[deny.reason], {"code": "POLICY", "reason": deny.reason.value})
    return unauthorized_role(role)


def invalid(message: str) -> ErrorShape:
    """Returns the answer to parameters that break a method's schema."""
    return ErrorShape("INVALID_REQUEST", message)


def fault(kind: Fault) -> ErrorShape:
    """Returns the one answer to a call that got none from the gateway."""
    if kind is Fault.TIMEOUT:
        return ErrorShape(
            "TIMEOUT", "the gateway did not answer in time", retryable=True, retry_after_ms=RETRY_AFTER_MS
        )
    if kind is Fault.TOO_LARGE:
        return ErrorShape("PAYLOAD_TOO_LARGE", "larger than the gateway takes")
    if kind is Fault.ANSWER_TOO_LARGE:
        return ErrorShape("PAYLOAD_TOO_LARGE", "the answer is larger than the bridge passes on")
    if kind is Fault.UNREADABLE:
        return ErrorShape("UNAVAILABLE", "the gateway's answer cannot be passed on", {"reason": "unreadable"})
    if kind is Fault.BUSY:
        return busy("too many calls wait for the gateway")
    words = "the gateway is not connected" if kind is Fault.DOWN else "the gateway went away before it answered"
    return ErrorShape("UNAVAILABLE", words, {"reason": "gateway"}, retryable=True, retry_after_ms=RETRY_AFTER_MS)


def busy(words: str) -> ErrorShape:
    """Returns the answer to a call for which there is no room now."""
    return ErrorShape("UNAVAILABLE", words, {"reason": "busy"}, retryable=True, retry_after_ms=RETRY_AFTER_MS)


def rate_limited(limit: str, wait_s: float) -> ErrorShape:
    """Returns the answer to a call that comes too soon. Never AUTH_RATE_LIMITED: apps would pause for good.

    Args:
        limit: which one, by its name in `status`.
        wait_s: seconds until the call is worth another try.
    """
    wait_ms = max(1, ceil(wait_s * 1000))
    words = f"too many {limit} of this device; retry after {ceil(wait_s)} s"
    return ErrorShape("RATE_LIMITED", words, {"limit": limit}, retryable=True, retry_after_ms=wait_ms)


def too_large(size: int, most: int) -> ErrorShape:
    """Returns the answer to a request that is longer than its method may be; both figures in bytes."""
    details: JsonObject = {"bytes": size, "maxBytes": most}
    return ErrorShape("PAYLOAD_TOO_LARGE", f"{size} bytes, at most {most} for this method", details)


def background(command: str, retry_after_ms: int) -> ErrorShape:
    """Returns what the gateway is told at once when the phone cannot act: `code` and `message`, and nothing else."""
    seconds = ceil(retry_after_ms / 1000)
    return ErrorShape(BACKGROUND, f"{BACKGROUND}: {command} needs the app in the foreground; retry after {seconds} s")


def for_lan_caller(response: Response) -> Response:
    """Gives a LAN caller of `node.invoke` the node's typed refusal instead of the gateway's wrapping of it.

    `details.queued` tells that the gateway has kept the command for when the phone is back: it need not be sent again.
    """
    details = object_of(response.error.details) if response.error else {}
    node_error = object_of(details.get("nodeError"))
    code, message = node_error.get("code"), node_error.get("message")
    if response.ok or not isinstance(code, str) or code not in _TYPED:
        return response
    words = message if isinstance(message, str) else code
    if code != BACKGROUND:
        retry = RETRY_AFTER_MS if code in _WORTH_A_RETRY else None
        return failure(response.id, ErrorShape(code, words, {"code": code}, retry is not None or None, retry))
    said = _RETRY_AFTER.search(words)
    retry_ms = int(said[1]) * 1000 if said else RETRY_MS
    queued: JsonObject = {"queued": True} if details.get("code") == "QUEUED_UNTIL_FOREGROUND" else {}
    error = ErrorShape(BACKGROUND, words, {"code": BACKGROUND, **queued}, retryable=True, retry_after_ms=retry_ms)
    return failure(response.id, error)
