"""Pure: the answers to a `connect` that does not get in, in the words that clients act on (gateway-protocol §§3, 9)."""

from __future__ import annotations

from dataclasses import dataclass

from gateway_client.frames import ErrorShape, JsonObject

APPROVE_COMMAND = "clawdis-bridge approve"
POLICY_VIOLATION = 1008
PROTOCOL_ERROR = 1002
MAX_REASON_BYTES = 120  # a close frame holds 123 (RFC 6455 section 5.5)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failing answer to `connect`, and how the socket is closed after it.

    Attributes:
        error: the error object.
        close: WebSocket close code.
    """

    error: ErrorShape
    close: int = POLICY_VIOLATION

    @property
    def reason(self) -> str:
        """The close reason: the message, cut to what a close frame holds."""
        return self.error.message.encode("utf-8")[:MAX_REASON_BYTES].decode("utf-8", "ignore")


def invalid(message: str) -> Refusal:
    """`connect` is malformed."""
    return Refusal(ErrorShape("INVALID_REQUEST", f"invalid connect params: {message}"))


def first_must_connect() -> Refusal:
    """A request came before `connect`."""
    return Refusal(ErrorShape("INVALID_REQUEST", "invalid handshake: first request must be connect"))


def protocol_mismatch(minimum: int, maximum: int) -> Refusal:
    """No common protocol version (§9)."""
    details: JsonObject = {
        "code": "PROTOCOL_MISMATCH",
        "clientMinProtocol": minimum,
        "clientMaxProtocol": maximum,
        "expectedProtocol": 4,
        "minimumProbeProtocol": 3,
    }
    return Refusal(ErrorShape("INVALID_REQUEST", "protocol mismatch", details), PROTOCOL_ERROR)


def device_auth(code: str, message: str) -> Refusal:
    """The device proof is missing or wrong; `code` is one of DEVICE_IDENTITY_REQUIRED and DEVICE_AUTH_*."""
    kind = "NOT_PAIRED" if code == "DEVICE_IDENTITY_REQUIRED" else "INVALID_REQUEST"
    return Refusal(ErrorShape(kind, message, {"code": code, "reason": code.lower().replace("_", "-")}))


def _unauthorized(code: str, reason: str, step: str, words: str, **more: bool | str) -> Refusal:
    details: JsonObject = {"code": code, "authReason": reason, "recommendedNextStep": step, **more}
    return Refusal(ErrorShape("INVALID_REQUEST", f"unauthorized: {words}", details))


def token_mismatch() -> Refusal:
    """`auth.token` is no token of this key; the client may try its device token (§3.4)."""
    return _unauthorized(
        "AUTH_TOKEN_MISMATCH",
        "token_mismatch",
        "retry_with_device_token",
        "token mismatch",
        canRetryWithDeviceToken=True,
    )


def device_token_mismatch() -> Refusal:
    """`auth.deviceToken` is no token of this key, or the key was revoked: the client forgets what it stored."""
    return _unauthorized(
        "AUTH_DEVICE_TOKEN_MISMATCH",
        "device_token_mismatch",
        "update_auth_credentials",
        "device token mismatch",
        canRetryWithDeviceToken=False,
        title="This device is not paired any more",
        userMessage="The bridge does not accept this device's saved token. Pair again with a setup code from the Mac.",
    )


def token_missing() -> Refusal:
    """A paired phone opened its operator socket without a token for it; only a setup code gives one."""
    return _unauthorized(
        "AUTH_TOKEN_MISSING",
        "token_missing",
        "update_auth_credentials",
        "operator token missing",
        canRetryWithDeviceToken=False,
        title="Chat needs a setup code",
        userMessage="Run `clawdis-bridge pair --qr` on the Mac and scan the code in this app.",
    )


def bootstrap_invalid() -> Refusal:
    """The setup code is unknown, expired, revoked or used by another key: one answer for all four (§3.6)."""
    return _unauthorized(
        "AUTH_BOOTSTRAP_TOKEN_INVALID",
        "bootstrap_token_invalid",
        "review_auth_configuration",
        "setup code invalid, expired, revoked, or already used",
        title="Setup code not accepted",
        userMessage="Make a new one on the Mac with `clawdis-bridge pair --qr`.",
    )


def wrong_port(proof: str) -> Refusal:
    """The key was paired with another kind of proof, which only the other port takes (design §5)."""
    details: JsonObject = {"code": "DEVICE_AUTH_INVALID", "owner": "gateway"}
    return Refusal(
        ErrorShape("NOT_PAIRED", f"this key was paired to prove itself by {proof}: use the other port", details)
    )


def not_paired() -> Refusal:
    """A native node whose key is not in force: it has to enrol anew (design §5)."""
    details: JsonObject = {"code": "NOT_PAIRED", "pauseReconnect": True, "owner": "gateway"}
    return Refusal(ErrorShape("NOT_PAIRED", "this node is not paired", details))


def busy(retry_after_ms: int) -> Refusal:
    """No place now. Never AUTH_RATE_LIMITED: clients would pause for good (§3.5)."""
    error = ErrorShape(
        "UNAVAILABLE",
        "the bridge is busy; try again shortly",
        {"reason": "busy"},
        retryable=True,
        retry_after_ms=retry_after_ms,
    )
    return Refusal(error, 1013)


def unavailable(message: str) -> Refusal:
    """The bridge cannot let anyone in at the moment, through no fault of the client."""
    error = ErrorShape("UNAVAILABLE", message, {"reason": "bridge"}, retryable=True, retry_after_ms=5_000)
    return Refusal(error, 1013)


def pairing_required(request_id: str | None, device_id: str, role: str) -> Refusal:
    """The key waits for a person: the client tries again by itself and shows our words (§3.2, mobile-clients §6)."""
    details: JsonObject = {
        "code": "PAIRING_REQUIRED",
        "reason": "not-paired",
        "deviceId": device_id,
        "requestedRole": role,
        "remediationHint": "Approve this device on the Mac that runs Clawdis Bridge.",
        "recommendedNextStep": "wait_then_retry",
        "retryable": True,
        "pauseReconnect": False,
        "title": "Waiting for approval on the Mac",
        "userMessage": "Approve this device on the Mac that runs Clawdis Bridge. It connects by itself afterwards.",
        "owner": "gateway",
    }
    message = "pairing required: device is not approved yet"
    if request_id is not None:
        details |= {
            "requestId": request_id,
            "actionLabel": "Approve on the Mac",
            "actionCommand": f"{APPROVE_COMMAND} {request_id}",
        }
        message += f" (requestId: {request_id})"
    return Refusal(ErrorShape("NOT_PAIRED", message, details))


def pairing_denied(device_id: str, role: str) -> Refusal:
    """A person said no: the client stops asking (design §6)."""
    details: JsonObject = {
        "code": "PAIRING_REQUIRED",
        "reason": "not-paired",
        "deviceId": device_id,
        "requestedRole": role,
        "remediationHint": "This device was not approved.",
        "retryable": False,
        "pauseReconnect": True,
        "title": "Not approved on the Mac",
        "userMessage": "The request was turned down. The Mac's owner can invite this device with a setup code.",
        "owner": "gateway",
    }
    return Refusal(ErrorShape("NOT_PAIRED", "pairing required: device was not approved", details))


def pairing_closed(device_id: str, role: str) -> Refusal:
    """Nobody invites devices now: the client comes again by itself, and shows what opens the door."""
    details: JsonObject = {
        "code": "PAIRING_REQUIRED",
        "reason": "not-paired",
        "deviceId": device_id,
        "requestedRole": role,
        "remediationHint": "Run clawdis-bridge pair on the Mac.",
        "recommendedNextStep": "wait_then_retry",
        "retryable": True,
        "pauseReconnect": False,
        "title": "Pairing is closed",
        "userMessage": "Run `clawdis-bridge pair` on the Mac; this device then connects by itself.",
        "owner": "gateway",
    }
    return Refusal(ErrorShape("NOT_PAIRED", "pairing required: the bridge takes no new devices now", details))
