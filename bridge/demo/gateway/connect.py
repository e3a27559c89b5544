"""Pure: the checks of `connect`, in the gateway's order (gateway-protocol §§2, 3.4, 9).

schema, protocol, role, shared secret, device present, device id, clock, nonce, signature, device token. Pairing comes
after, in `devices`.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.demo.gateway.model import GatewaySetup
from bridge.demo.gateway.refusals import ConnectRefusal
from bridge.demo.gateway.schema import faults_of
from bridge.demo.gateway.shapes import CONNECT
from gateway_client.frames import ErrorShape, Json, JsonObject, object_of, text_of
from gateway_client.identity import BadKeyError, SignedFields, device_id_of, read_public_key, verify_payload

PROTOCOL = 4
OLDEST_NODE_PROTOCOL = 3
SKEW_MS = 120_000

DeviceTokenCheck = Callable[[str, str, str, Sequence[str]], bool]
"""(device id, token, role, scopes) -> whether that token belongs to that device and role."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A `connect` whose proofs all hold; pairing is not looked at yet."""

    params: JsonObject
    role: str
    scopes: tuple[str, ...]
    method: str
    """What convinced the gateway: token, password, none or device-token."""
    device_id: str | None
    public_key: str
    local_backend: bool
    """The backend operator from loopback, which needs no pairing."""

    @property
    def client(self) -> JsonObject:
        """`connect.client`."""
        return object_of(self.params["client"])


@dataclass(frozen=True, slots=True)
class _Secret:
    """How the shared secret fared: `method` when it convinced, else `reason`."""

    method: str | None
    reason: str = ""


def check_connect(
    params: Json, nonce: str, now_ms: int, setup: GatewaySetup, device_token_ok: DeviceTokenCheck, origin: str | None
) -> Proven:
    """Checks everything of a `connect` that needs no pairing.

    Raises:
        ConnectRefusal: with the answer and the close code of the real gateway.
    """
    fields = _parsed(params)
    _check_kind(fields, origin)
    _check_protocol(fields)
    role = text_of(fields, "role") or "operator"
    if role not in {"operator", "node"}:
        raise ConnectRefusal(ErrorShape("INVALID_REQUEST", "invalid role"))
    scopes = _strings(fields.get("scopes"))
    secret = _check_secret(object_of(fields.get("auth")), setup)
    backend = _is(fields, "gateway-client", "backend") and secret.method is not None
    if "device" not in fields:
        return _without_device(fields, role, scopes, secret, backend=backend)
    device_id, key = _check_device(fields, role, scopes, nonce, now_ms)
    method = _credential(fields, secret, lambda token: device_token_ok(device_id, token, role, scopes))
    return Proven(fields, role, scopes, method, device_id, key, _is(fields, "gateway-client", "backend"))


def _parsed(params: Json) -> JsonObject:
    fields = object_of(params)
    client = object_of(fields.get("client"))
    if fields.get("role") == "worker" or client.get("id") == "openclaw-worker" or client.get("mode") == "worker":
        raise ConnectRefusal(ErrorShape("INVALID_REQUEST", "invalid-handshake"), silent=True)
    faults = faults_of(CONNECT, params)
    if faults:
        raise ConnectRefusal(ErrorShape("INVALID_REQUEST", f"invalid connect params: {faults}"))
    return fields


def _check_kind(fields: JsonObject, origin: str | None) -> None:
    """Refuses browsers: the embedded gateway serves no page, so no origin is ever allowed."""
    if origin is not None or object_of(fields["client"]).get("id") in {"openclaw-control-ui", "webchat-ui", "webchat"}:
        message = (
            "origin not allowed (open the Control UI from the gateway host or allow it in "
            "gateway.controlUi.allowedOrigins)"
        )
        details: JsonObject = {"code": "CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason": "origin missing or invalid"}
        raise ConnectRefusal(ErrorShape("INVALID_REQUEST", message, details))
    if object_of(fields["client"]).get("id") == "openclaw-browser-copilot":
        message = "browser copilot requires ui mode with run-tool-bindings and session-scoped-events capabilities"
        raise ConnectRefusal(ErrorShape("INVALID_REQUEST", message))


def _check_protocol(fields: JsonObject) -> None:
    low, high = _integer(fields["minProtocol"]), _integer(fields["maxProtocol"])
    mode = object_of(fields["client"])["mode"]
    node = fields.get("role") == "node" and mode == "node"
    if low <= PROTOCOL <= high or (mode == "probe" and high >= OLDEST_NODE_PROTOCOL and low <= PROTOCOL):
        return
    if node and low <= OLDEST_NODE_PROTOCOL <= high:
        return
    details: JsonObject = {
        "code": "PROTOCOL_MISMATCH",
        "clientMinProtocol": low,
        "clientMaxProtocol": high,
        "expectedProtocol": PROTOCOL,
        "minimumProbeProtocol": OLDEST_NODE_PROTOCOL,
    }
    raise ConnectRefusal(ErrorShape("INVALID_REQUEST", "protocol mismatch", details), 1002)


def _check_secret(auth: JsonObject, setup: GatewaySetup) -> _Secret:
    if setup.auth == "none":
        return _Secret("none")
    mine, other = ("token", "password") if setup.auth == "token" else ("password", "token")
    given = _trimmed(auth, mine) or _trimmed(auth, other)
    if given is None:
        return _Secret(None, f"{mine}_missing")
    same = hmac.compare_digest(given.encode(), setup.token.encode())
    return _Secret(mine) if same else _Secret(None, f"{mine}_mismatch")


def _without_device(
    fields: JsonObject, role: str, scopes: tuple[str, ...], secret: _Secret, *, backend: bool
) -> Proven:
    shared = secret.method in {"token", "password"}
    if role == "operator" and (backend or shared):
        keeps = backend or _is(fields, "cli", "cli")
        return Proven(fields, role, scopes if keeps else (), str(secret.method), None, "", backend)
    auth = object_of(fields.get("auth"))
    if secret.method is None and (auth.get("token") or auth.get("password")):
        raise _unauthorized(secret.reason, can_retry=False)
    details: JsonObject = {"code": "DEVICE_IDENTITY_REQUIRED"}
    raise ConnectRefusal(ErrorShape("NOT_PAIRED", "device identity required", details))


def _check_device(fields: JsonObject, role: str, scopes: tuple[str, ...], nonce: str, now_ms: int) -> tuple[str, str]:
    device, client, auth = (object_of(fields.get(name)) for name in ("device", "client", "auth"))
    device_id, key_text = str(device["id"]), str(device["publicKey"])
    try:
        key = read_public_key(key_text)
    except BadKeyError:
        key = b""
    if not key or device_id_of(key) != device_id:
        raise _bad_device("DEVICE_ID_MISMATCH", "device-id-mismatch", "device identity mismatch")
    signed_at = _integer(device["signedAt"])
    if abs(now_ms - signed_at) > SKEW_MS:
        raise _bad_device("SIGNATURE_EXPIRED", "device-signature-stale", "device signature expired")
    given = str(device["nonce"]).strip()
    if not given:
        raise _bad_device("NONCE_REQUIRED", "device-nonce-missing", "device nonce required")
    if not hmac.compare_digest(given.encode(), nonce.encode()):
        raise _bad_device("NONCE_MISMATCH", "device-nonce-mismatch", "device nonce mismatch")
    token = next((auth[name] for name in ("token", "deviceToken", "bootstrapToken") if name in auth), "")
    signed = SignedFields(
        device_id, str(client["id"]), str(client["mode"]), role, scopes, signed_at, str(token), given,
        str(client["platform"]), str(client.get("deviceFamily", "")),
    )  # fmt: skip
    try:
        good = verify_payload(key, signed, str(device["signature"])) is not None
    except BadKeyError:
        good = False
    if not good:
        raise _bad_device("SIGNATURE_INVALID", "device-signature", "device signature invalid")
    return device_id, key_text


def _credential(fields: JsonObject, secret: _Secret, device_token_ok: Callable[[str], bool]) -> str:
    """Returns what convinced: the shared secret, else a device token; bootstrap tokens are never issued here."""
    if secret.method is not None:
        return secret.method
    auth = object_of(fields.get("auth"))
    reason = "bootstrap_token_invalid" if _trimmed(auth, "bootstrapToken") else secret.reason
    explicit = _trimmed(auth, "deviceToken")
    candidate = explicit or _trimmed(auth, "token")
    if candidate is not None:
        if device_token_ok(candidate):
            return "device-token"
        reason = "device_token_mismatch" if explicit else reason
    only_token = bool(auth.get("token")) and not (auth.get("password") or auth.get("deviceToken"))
    raise _unauthorized(reason, can_retry=only_token)


_AUTH_TEXTS = {
    "token_missing": ("AUTH_TOKEN_MISSING", "gateway token missing (provide gateway auth token)"),
    "token_mismatch": ("AUTH_TOKEN_MISMATCH", "gateway token mismatch (provide gateway auth token)"),
    "password_missing": ("AUTH_PASSWORD_MISSING", "gateway password missing (provide gateway auth password)"),
    "password_mismatch": ("AUTH_PASSWORD_MISMATCH", "gateway password mismatch (provide gateway auth password)"),
    "device_token_mismatch": ("AUTH_DEVICE_TOKEN_MISMATCH", "device token mismatch (rotate/reissue device token)"),
    "bootstrap_token_invalid": (
        "AUTH_BOOTSTRAP_TOKEN_INVALID",
        "setup code invalid, expired, revoked, or already used (create a new code; review `openclaw devices list`)",
    ),
}
_NEXT_STEPS = {
    "token_missing": "update_auth_configuration",
    "password_missing": "update_auth_configuration",
    "bootstrap_token_invalid": "review_auth_configuration",
}


def _unauthorized(reason: str, *, can_retry: bool) -> ConnectRefusal:
    code, text = _AUTH_TEXTS[reason]
    can_retry = can_retry and reason == "token_mismatch"
    step = "retry_with_device_token" if can_retry else _NEXT_STEPS.get(reason, "update_auth_credentials")
    details: JsonObject = {
        "code": code,
        "authReason": reason,
        "canRetryWithDeviceToken": can_retry,
        "recommendedNextStep": step,
    }
    return ConnectRefusal(ErrorShape("INVALID_REQUEST", f"unauthorized: {text}", details))


def _bad_device(code: str, reason: str, message: str) -> ConnectRefusal:
    details: JsonObject = {"code": f"DEVICE_AUTH_{code}", "reason": reason}
    return ConnectRefusal(ErrorShape("INVALID_REQUEST", message, details))


def _is(fields: JsonObject, client_id: str, mode: str) -> bool:
    client = object_of(fields["client"])
    return client.get("id") == client_id and client.get("mode") == mode


def _strings(value: Json) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def _trimmed(auth: JsonObject, name: str) -> str | None:
    value = auth.get(name)
    return (value.strip() or None) if isinstance(value, str) else None


def _integer(value: Json) -> int:
    """Reads a member that the schema already proved to be a whole number."""
    return int(value) if isinstance(value, int | float) else 0
