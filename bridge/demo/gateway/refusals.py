"""Pure: the errors a gateway answers with, each made in one place.

Refusal(Exception)          a request is answered with an error
    ConnectRefusal          `connect` is refused, and the socket closes with a code
"""

from __future__ import annotations

from gateway_client.frames import ErrorShape, Json, JsonObject

CLOSE_REASON_BYTES = 120  # of the 123 that RFC 6455 leaves for the text of a close frame


class Refusal(Exception):
    """A request is answered with `error`; `payload` may stand beside it (method `agent`)."""

    def __init__(self, error: ErrorShape, payload: Json = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.payload = payload


class ConnectRefusal(Refusal):
    """`connect` is answered with `error` (`silent`: with nothing) and the socket closes with `code` and `reason`."""

    def __init__(self, error: ErrorShape, code: int = 1008, *, reason: str | None = None, silent: bool = False) -> None:
        super().__init__(error)
        self.code = code
        self.reason = (
            (error.message if reason is None else reason).encode()[:CLOSE_REASON_BYTES].decode(errors="ignore")
        )
        self.silent = silent


def invalid(message: str, details: JsonObject | None = None) -> Refusal:
    """Returns `INVALID_REQUEST`."""
    return Refusal(ErrorShape("INVALID_REQUEST", message, details))


def unavailable(message: str, details: JsonObject | None = None, *, retryable: bool | None = None) -> Refusal:
    """Returns `UNAVAILABLE`."""
    return Refusal(ErrorShape("UNAVAILABLE", message, details, retryable))


def pairing_changed(message: str = "node pairing changed while invocation was active") -> Refusal:
    """Returns the retryable answer to whoever has no approved surface, or no longer owns its node id."""
    return unavailable(message, {"code": "PAIRING_CHANGED"}, retryable=True)


def missing_scope(scope: str, *required: str) -> Refusal:
    """Returns `FORBIDDEN` in the one shape that clients understand."""
    details: JsonObject = {"code": "MISSING_SCOPE", "missingScope": scope, "requiredScopes": [*(required or (scope,))]}
    return Refusal(ErrorShape("FORBIDDEN", f"missing scope: {scope}", details))
