"""Phones that sign `connect` by hand, as iOS (version 2), Android and the node host (version 3) do: no product code."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acl.permissions import PROFILES, Permissions
from bridge.lan.admission import Challenge
from bridge.pairing.records import Labels, NodeRecord, Role, Security, Surface, TokenEntry
from bridge.pairing.tokens import token_hash

Json = dict[str, Any]

WALL = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
CHALLENGE = Challenge("nonce-of-this-socket", int(WALL.timestamp() * 1000))
NODE_TOKEN = "node-token-" + "n" * 32
OPERATOR_TOKEN = "oper-token-" + "o" * 32
SCREEN = ("screen.show", "screen.hide", "screen.navigate", "screen.eval", "screen.snapshot", "screen.setMode")
COMMANDS = (*SCREEN, "device.info", "camera.snap", "system.notify", "location.get")
PHONE = PROFILES["phone"]


def b64(data: bytes) -> str:
    """Returns base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True)
class Phone:
    """One device with a key of its own."""

    name: str
    client_id: str
    platform: str
    device_family: str
    version: int
    """Of the signed payload."""
    lowest: int = 3
    """The lowest protocol it offers as a node."""
    commands: tuple[str, ...] = COMMANDS
    caps: tuple[str, ...] = ("screen", "device")
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(self.name.encode()).digest())

    @property
    def raw_key(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    @property
    def node_id(self) -> str:
        return hashlib.sha256(self.raw_key).hexdigest()

    @property
    def gateway_id(self) -> str:
        return hashlib.sha256(self.name.encode() + b" at the gateway").hexdigest()

    def client(self, role: str) -> Json:
        return {
            "id": self.client_id,
            "displayName": self.name,
            "version": "2026.9.4",
            "platform": self.platform,
            "mode": "node" if role == "node" else "ui",
            "deviceFamily": self.device_family,
        }

    def params(self, role: str = "node", auth: Json | None = None, scopes: Sequence[str] = ()) -> Json:
        """Returns unsigned parameters of `connect`."""
        params: Json = {
            "minProtocol": self.lowest if role == "node" else 4,
            "maxProtocol": 4,
            "client": self.client(role),
            "role": role,
            "scopes": list(scopes),
            "caps": list(self.caps) if role == "node" else ["agent-kind"],
        }
        if role == "node":
            params |= {"commands": list(self.commands), "permissions": {"camera": True}}
        if auth is not None:
            params["auth"] = auth
        return params

    def signed(
        self,
        params: Json,
        challenge: Challenge = CHALLENGE,
        *,
        signed_at: int | None = None,
        version: int | None = None,
        key: Ed25519PrivateKey | None = None,
    ) -> Json:
        """Returns the parameters with a device block over the challenge."""
        when = challenge.ts_ms if signed_at is None else signed_at
        client, auth = params["client"], params.get("auth") or {}
        # JavaScript's `??`: an empty string is present, null is not (gateway-protocol §2.3).
        held = [auth[name] for name in ("token", "deviceToken", "bootstrapToken") if auth.get(name) is not None]
        fields = [self.node_id, client["id"], client["mode"], params.get("role", "operator")]
        fields += [",".join(params.get("scopes", [])), str(when), held[0] if held else "", challenge.nonce]
        if (version or self.version) == 3:
            text = "|".join(["v3", *fields, client["platform"].lower(), client.get("deviceFamily", "").lower()])
        else:
            text = "|".join(["v2", *fields])
        device = {
            "id": self.node_id,
            "publicKey": b64(self.raw_key),
            "signature": b64((key or self.key).sign(text.encode())),
            "signedAt": when,
            "nonce": challenge.nonce,
        }
        return {**params, "device": device}

    def connect(
        self,
        role: str = "node",
        auth: Json | None = None,
        scopes: Sequence[str] = (),
        challenge: Challenge = CHALLENGE,
        **changes: Any,
    ) -> Json:
        """Returns the signed `connect` frame; `changes` go into the parameters before they are signed."""
        params = self.signed({**self.params(role, auth, scopes), **changes}, challenge)
        return {"type": "req", "id": "c1", "method": "connect", "params": params}

    def labels(self) -> Labels:
        return Labels(
            display_name=self.name,
            client_id=self.client_id,
            client_version="2026.9.4",
            platform=self.platform,
            device_family=self.device_family,
        )

    def record(self, permissions: Permissions = PHONE, **changes: Any) -> NodeRecord:
        """Returns the stored record of this phone, paired with one token per role."""
        record = NodeRecord(
            node_id=self.node_id,
            public_key=b64(self.raw_key),
            security=Security.DEVICE_KEY,
            labels=self.labels(),
            permissions=tuple(sorted(permissions)),
            declared=Surface(
                commands=tuple(sorted(self.commands)), caps=tuple(sorted(self.caps)), permissions={"camera": True}
            ),
            node_tokens=(entry(NODE_TOKEN),),
            operator_tokens=(entry(OPERATOR_TOKEN),),
            upstream_key="0123456789abcdef",
            gateway_node_id=self.gateway_id,
            created_at=WALL - timedelta(days=3),
        )
        return record.model_copy(update=changes)

    def tombstone(self, age: timedelta = timedelta(minutes=1), told: tuple[Role, ...] = ()) -> NodeRecord:
        """Returns the record of this phone after its revocation."""
        return self.record(revoked_at=WALL - age, revocation_told=told, node_tokens=(), operator_tokens=())


def entry(token: str) -> TokenEntry:
    """Returns what the store keeps of a token."""
    return TokenEntry(hash=token_hash(token), issued_at=WALL - timedelta(days=1), used=True)


IPHONE = Phone("Anna's iPhone", "openclaw-ios", "iOS 26.1", "iPhone", 2)
ANDROID = Phone("Pixel of Ben", "openclaw-android", "Android 16", "Android", 3)
NODE_HOST = Phone("workbench", "node-host", "linux", "Linux", 3, lowest=4)
ALL_PHONES = (IPHONE, ANDROID, NODE_HOST)
