"""Phones to pair: keys, labels, surfaces and drafts of the simplest kind."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acl.permissions import PROFILES, Permissions
from bridge.pairing.desk import Draft, Why
from bridge.pairing.records import Labels, NodeRecord, Security, Surface
from gateway_client.identity import DeviceIdentity

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SURFACE = Surface(
    commands=("screen.show", "screen.eval", "device.info", "location.get"),
    caps=("screen", "location"),
    permissions={"microphone": True, "location": False},
)
VOICE_SCREEN = PROFILES["voice+screen"]


def identity(number: int = 0) -> DeviceIdentity:
    """Return the key of phone `number`."""
    return DeviceIdentity(Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big")))


def labels(name: str = "Anna's iPhone", *, platform: str = "ios 26.1", family: str = "iPhone") -> Labels:
    """Return what a phone says about itself."""
    return Labels(
        display_name=name,
        client_id="openclaw-ios",
        client_version="2026.9.6",
        platform=platform,
        device_family=family,
    )


def draft(
    number: int = 0,
    *,
    why: Why = Why.NEW,
    of: Labels | None = None,
    declared: Surface = SURFACE,
    permissions: Permissions = VOICE_SCREEN,
    revoked_at: datetime | None = None,
) -> Draft:
    """Return what phone `number` asks for."""
    key = identity(number)
    return Draft(key.device_id, key.public_key_text, of or labels(), declared, permissions, why, revoked_at)


def record(number: int = 0, **members: object) -> NodeRecord:
    """Return the record of phone `number`, with other members as given."""
    key = identity(number)
    base = NodeRecord(
        node_id=key.device_id,
        public_key=key.public_key_text,
        security=Security.DEVICE_KEY,
        labels=labels(),
        permissions=tuple(sorted(VOICE_SCREEN)),
        declared=SURFACE,
        upstream_key="0123456789abcdef",
        gateway_node_id=identity(1_000_000 + number).device_id,
        created_at=NOON,
    )
    return base.model_copy(update=members)
