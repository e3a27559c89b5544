"""Pure: the first approval, of a device: who is paired, as what, with which token (gateway-protocol §§3, 11.3, 11.4).

Time and random identifiers are arguments; nothing is written to disk.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bridge.demo.gateway.connect import Proven
from bridge.demo.gateway.methods import satisfies
from bridge.demo.gateway.refusals import ConnectRefusal, invalid
from gateway_client.frames import ErrorShape, Json, JsonObject

PENDING_MS = 300_000  # a request lives so long after the device's last try
RETIRE_AFTER_MS = 60_000  # a silent pairing this old may be retired by a new one of the same name
_NATIVE = {
    "openclaw-ios": re.compile(r"(?:ios|ipados)(?:\s|$)"),
    "openclaw-android": re.compile(r"android(?:\s|$)"),
    "openclaw-watchos": re.compile(r"watchos \d+(?:\.\d+){0,2}$"),
    "openclaw-macos": re.compile(r"macos \d+(?:\.\d+){0,2}$"),
}
_REASONS = {
    "not-paired": ("device is not approved yet", "Approve this device from the pending pairing requests."),
    "role-upgrade": (
        "device is asking for a higher role than currently approved",
        "Review the requested role upgrade, then approve the pending request.",
    ),
    "scope-upgrade": (
        "device is asking for more scopes than currently approved",
        "Review the requested scopes, then approve the pending upgrade.",
    ),
    "metadata-upgrade": (
        "device identity changed and must be re-approved",
        "Review the refreshed device details, then approve the pending request.",
    ),
}


@dataclass(slots=True)
class Token:
    """A device token of one role."""

    text: str = field(repr=False)
    scopes: tuple[str, ...]
    created_at_ms: int


@dataclass(slots=True)
class Device:
    """A paired device."""

    device_id: str
    public_key: str
    client: JsonObject
    role: str
    approved_via: str
    approved_at_ms: int
    scopes: tuple[str, ...] = ()
    tokens: dict[str, Token] = field(default_factory=dict)

    def as_json(self) -> JsonObject:
        """Returns the record as `device.pair.*` shows it: without the tokens themselves."""
        tokens: list[Json] = [
            {"role": role, "scopes": [*token.scopes], "createdAtMs": token.created_at_ms}
            for role, token in self.tokens.items()
        ]
        return {
            "deviceId": self.device_id,
            "publicKey": self.public_key,
            **_labels(self.client),
            "role": self.role,
            "roles": [*self.tokens],
            "scopes": [*self.scopes],
            "approvedVia": self.approved_via,
            "createdAtMs": self.approved_at_ms,
            "approvedAtMs": self.approved_at_ms,
            "tokens": tokens,
        }


@dataclass(slots=True)
class Request:
    """A device that waits for a person."""

    request_id: str
    proven: Proven
    is_repair: bool
    ts: int

    @property
    def device_id(self) -> str:
        """The device that waits."""
        return str(self.proven.device_id)

    def as_json(self) -> JsonObject:
        """Returns the request as `device.pair.list` shows it."""
        return {
            "requestId": self.request_id,
            "deviceId": self.device_id,
            "publicKey": self.proven.public_key,
            **_labels(self.proven.client),
            "role": self.proven.role,
            "roles": [self.proven.role],
            "scopes": [*self.proven.scopes],
            "silent": False,
            "isRepair": self.is_repair,
            "ts": self.ts,
        }


class Devices:
    """All paired and waiting devices."""

    def __init__(self, new_id: Callable[[], str], new_token: Callable[[], str], *, auto_approve_local: bool) -> None:
        self.paired: dict[str, Device] = {}
        self._pending: dict[str, Request] = {}
        self._new_id = new_id
        self._new_token = new_token
        self._auto = auto_approve_local

    def token_ok(self, device_id: str, token: str, role: str, scopes: Sequence[str]) -> bool:
        """Tells whether `token` is that device's for that role and covers the scopes."""
        device = self.paired.get(device_id)
        held = device.tokens.get(role) if device else None
        if held is None or not hmac.compare_digest(held.text.encode(), token.encode()):
            return False
        return all(satisfies(held.scopes, scope) for scope in scopes)

    def admit(self, proven: Proven, now_ms: int) -> tuple[Device | None, Request | None]:
        """Admits a proven device, pairing it silently where the gateway would.

        Returns:
            The device (None for a backend operator), and the request that was approved silently just now.

        Raises:
            ConnectRefusal: a person has to approve first; the request is recorded.
        """
        if proven.device_id is None or proven.local_backend:
            return None, None
        device = self.paired.get(proven.device_id)
        reason = _reason(device, proven)
        if device is not None and reason is None:
            self._refresh(device, proven)
            return device, None
        request = self._request(proven, now_ms, is_repair=device is not None)
        if self._silently(device, proven, reason or ""):
            return self._approve(request, "silent", now_ms), request
        raise _pairing_required(reason or "", request, device)

    def pending(self, now_ms: int) -> list[Request]:
        """Returns the waiting requests, without those whose device gave up."""
        self._pending = {key: item for key, item in self._pending.items() if now_ms - item.ts <= PENDING_MS}
        return list(self._pending.values())

    def approve(self, request_id: str, scopes: Sequence[str], now_ms: int) -> Device:
        """Approves a request.

        Raises:
            Refusal: no such request, or the caller may not: the role node needs `operator.admin`.
        """
        request = self._pending.get(request_id.strip())
        if "operator.admin" not in scopes and (request is None or request.proven.role != "operator"):
            raise invalid("device pairing approval denied")
        if request is None:
            raise invalid("unknown requestId")
        return self._approve(request, "owner", now_ms)

    def reject(self, request_id: str) -> Request:
        """Drops a request.

        Raises:
            Refusal: no such request.
        """
        request = self._pending.pop(request_id.strip(), None)
        if request is None:
            raise invalid("unknown requestId")
        return request

    def remove(self, device_id: str) -> Device:
        """Unpairs a device.

        Raises:
            Refusal: no such device.
        """
        device = self.paired.pop(device_id.strip(), None)
        if device is None:
            raise invalid("unknown deviceId")
        return device

    def superseded(self, newest: Device, now_ms: int, connected: Callable[[str], bool]) -> list[Device]:
        """Removes and returns the silent siblings of one name that a new silent pairing retires (§11.4)."""
        name = _cluster(newest)
        gone = [
            device
            for device in self.paired.values()
            if device is not newest
            and device.approved_via == "silent"
            and _cluster(device) == name
            and now_ms - device.approved_at_ms > RETIRE_AFTER_MS
            and not connected(device.device_id)
        ]
        for device in gone:
            del self.paired[device.device_id]
        return gone

    def _silently(self, device: Device | None, proven: Proven, reason: str) -> bool:
        if not self._auto or reason == "metadata-upgrade" or (device is not None and proven.role != "operator"):
            return False
        if proven.role == "node" and proven.scopes:
            return False
        return reason != "scope-upgrade" or proven.method in {"none", "token", "password"}

    def _request(self, proven: Proven, now_ms: int, *, is_repair: bool) -> Request:
        for request in self.pending(now_ms):
            if request.device_id != proven.device_id:
                continue
            if _same_request(request.proven, proven):
                request.ts = now_ms
                return request
            del self._pending[request.request_id]
        request = Request(self._new_id(), proven, is_repair, now_ms)
        self._pending[request.request_id] = request
        return request

    def _approve(self, request: Request, via: str, now_ms: int) -> Device:
        self._pending.pop(request.request_id, None)
        proven = request.proven
        device = self.paired.get(request.device_id)
        if device is None:
            device = Device(request.device_id, proven.public_key, dict(proven.client), proven.role, via, now_ms)
            self.paired[request.device_id] = device
        device.client, device.role = dict(proven.client), proven.role
        device.scopes = tuple(dict.fromkeys((*device.scopes, *proven.scopes)))
        if proven.role not in device.tokens or proven.scopes:
            device.tokens[proven.role] = Token(self._new_token(), proven.scopes, now_ms)
        return device

    @staticmethod
    def _refresh(device: Device, proven: Proven) -> None:
        device.client = {**device.client, **{name: proven.client[name] for name in proven.client if name != "id"}}


def _reason(device: Device | None, proven: Proven) -> str | None:
    if device is None or device.public_key != proven.public_key:
        return "not-paired"
    if not _same_machine(device.client, proven.client):
        return "metadata-upgrade"
    if proven.role not in device.tokens:
        return "role-upgrade"
    if any(not satisfies(device.scopes, scope) for scope in proven.scopes):
        return "scope-upgrade"
    return None


def _same_machine(before: JsonObject, now: JsonObject) -> bool:
    """Tells whether the pinned platform and family still hold; an app's newer OS version is the same machine."""
    if _fold(before.get("deviceFamily")) not in {"", _fold(now.get("deviceFamily"))}:
        return False
    old, new = _fold(before.get("platform")), _fold(now.get("platform"))
    label = _NATIVE.get(str(now.get("id")))
    return old in {"", new} or (label is not None and bool(label.match(old)) and bool(label.match(new)))


def _same_request(one: Proven, other: Proven) -> bool:
    return (one.public_key, one.role, one.scopes) == (other.public_key, other.role, other.scopes)


def _cluster(device: Device) -> tuple[str, str, str]:
    client = device.client
    return _fold(client.get("id")), _fold(client.get("mode")), _fold(client.get("displayName"))


def _fold(value: Json) -> str:
    return str(value or "").strip().lower()


def _labels(client: JsonObject) -> JsonObject:
    names = {"displayName": "displayName", "platform": "platform", "deviceFamily": "deviceFamily", "id": "clientId",
             "mode": "clientMode"}  # fmt: skip
    return {shown: client[name] for name, shown in names.items() if name in client}


def _pairing_required(reason: str, request: Request, device: Device | None) -> ConnectRefusal:
    text, hint = _REASONS[reason]
    details: JsonObject = {
        "code": "PAIRING_REQUIRED",
        "reason": reason,
        "requestId": request.request_id,
        "remediationHint": hint,
        "deviceId": request.device_id,
        "requestedRole": request.proven.role,
    }
    if request.proven.scopes:
        details["requestedScopes"] = [*request.proven.scopes]
    if device is not None:
        details["approvedRoles"] = [*device.tokens]
        if device.scopes:
            details["approvedScopes"] = [*device.scopes]
    message = f"pairing required: {text}"
    error = ErrorShape("NOT_PAIRED", message, details)
    return ConnectRefusal(error, reason=f"{message} (requestId: {request.request_id})")
