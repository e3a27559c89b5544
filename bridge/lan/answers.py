"""Pure: answers to a peer in the shapes that apps understand (design §§9, 10; mobile-clients §5)."""

from __future__ import annotations

from math import ceil

from acl.model import Deny, Reason
from bridge.lan.events import Fault
from gateway_client.frames import ErrorShape, Json, JsonObject, Response, object_of

RETRY_AFTER_MS = 1_000  # milliseconds until a call that met a closed link is worth another try
BACKGROUND_RETRY_MS = 30_000  # milliseconds: a phone that went to the background is rarely back sooner
BACKGROUND = "NODE_BACKGROUND_UNAVAILABLE"

_WORDS = {
    Reason.TARGET: "this node may not invoke that command there",
    Reason.SESSION: "this node may not address that session",
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


def background(command: str) -> ErrorShape:
    """Returns what the gateway is told at once when the phone cannot act: `code` and `message`, and nothing else."""
    seconds = BACKGROUND_RETRY_MS // 1000
    return ErrorShape(BACKGROUND, f"{BACKGROUND}: {command} needs the app in the foreground; retry after {seconds} s")


def for_lan_caller(response: Response) -> Response:
    """Gives a LAN caller of `node.invoke` the node's typed refusal instead of the gateway's wrapping of it."""
    details = object_of(response.error.details) if response.error else {}
    node_error = object_of(details.get("nodeError"))
    if response.ok or node_error.get("code") != BACKGROUND:
        return response
    message = node_error.get("message")
    error = ErrorShape(
        BACKGROUND,
        message if isinstance(message, str) else BACKGROUND,
        {"code": BACKGROUND},
        retryable=True,
        retry_after_ms=BACKGROUND_RETRY_MS,
    )
    return failure(response.id, error)
