"""Pure: device identities: key ids, signed payloads and their verification (gateway-protocol §2.3)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")

# The encodings of points whose order divides 8 (RFC 8032 section 5.1.7 leaves them to the caller): with such a key one
# signature fits many messages, so it identifies nobody. Listed without the sign bit, which is masked before comparing.
_SMALL_ORDER = frozenset(
    bytes.fromhex(text)
    for text in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)


class BadKeyError(ValueError):
    """A public key or signature that is not in the one accepted form."""


def encode_base64url(data: bytes) -> str:
    """Returns base64url without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64url(text: str, length: int) -> bytes:
    """Reads base64url, padded or not, of exactly `length` bytes.

    Raises:
        BadKeyError: another alphabet, another length, or bits that no encoder writes.
    """
    body = text.rstrip("=")
    padded = body + "=" * (-len(body) % 4)
    if not _BASE64URL.fullmatch(body) or text not in {body, padded}:
        raise BadKeyError("not base64url")
    try:
        data = base64.urlsafe_b64decode(padded)
    except binascii.Error as exc:
        raise BadKeyError("not base64url") from exc
    if len(data) != length or encode_base64url(data) != body:
        raise BadKeyError(f"not {length} bytes")
    return data


def device_id_of(public_key: bytes) -> str:
    """Returns the device id: SHA-256 of the raw Ed25519 key in lower-case hex, 64 characters."""
    return hashlib.sha256(public_key).hexdigest()


def read_public_key(text: str) -> bytes:
    """Reads `device.publicKey`.

    Raises:
        BadKeyError: not 32 bytes of base64url, or a point of small order.
    """
    raw = decode_base64url(text, PUBLIC_KEY_BYTES)
    if raw[:31] + bytes([raw[31] & 0x7F]) in _SMALL_ORDER:
        raise BadKeyError("a key of small order identifies nobody")
    return raw


@dataclass(frozen=True, slots=True)
class SignedFields:
    """What a device signature covers, in wire spelling."""

    device_id: str
    client_id: str
    client_mode: str
    role: str
    scopes: Sequence[str]
    signed_at_ms: int
    token: str
    """The first present of auth.token, auth.deviceToken, auth.bootstrapToken; empty when there is none."""
    nonce: str
    platform: str = ""
    device_family: str = ""


def payload_v2(fields: SignedFields) -> bytes:
    """Returns the version 2 payload: nine fields joined by `|`, UTF-8."""
    return "|".join(_common("v2", fields)).encode("utf-8")


def payload_v3(fields: SignedFields) -> bytes:
    """Returns the version 3 payload: version 2's fields, then platform and family, in ASCII lower case."""
    folded = (_fold(fields.platform), _fold(fields.device_family))
    return "|".join((*_common("v3", fields), *folded)).encode("utf-8")


def _common(version: str, fields: SignedFields) -> tuple[str, ...]:
    return (
        version,
        fields.device_id,
        fields.client_id,
        fields.client_mode,
        fields.role,
        ",".join(fields.scopes),
        str(fields.signed_at_ms),
        fields.token,
        fields.nonce,
    )


def _fold(text: str) -> str:
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text.strip())


def verify_payload(public_key: bytes, fields: SignedFields, signature: str) -> int | None:
    """Returns the payload version (3 or 2) that `signature` covers, or None when it covers neither.

    Raises:
        BadKeyError: the signature is not 64 bytes of base64url.
    """
    raw = decode_base64url(signature, SIGNATURE_BYTES)
    key = Ed25519PublicKey.from_public_bytes(public_key)
    for version, payload in ((3, payload_v3(fields)), (2, payload_v2(fields))):
        try:
            key.verify(raw, payload)
        except InvalidSignature:
            continue
        return version
    return None


class DeviceIdentity:
    """An Ed25519 key that connects to a gateway as a device."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        """The raw public key, 32 bytes."""
        self.device_id = device_id_of(self.public_key)
        """The id other peers know this key by, 64 hex digits."""

    def __repr__(self) -> str:
        return f"DeviceIdentity({self.device_id[:8]})"

    @property
    def public_key_text(self) -> str:
        """The public key as `device.publicKey` carries it."""
        return encode_base64url(self.public_key)

    def sign(self, fields: SignedFields, version: int = 3) -> str:
        """Returns `device.signature` over the payload of that version (2 or 3)."""
        payload = payload_v2(fields) if version == 2 else payload_v3(fields)
        return encode_base64url(self._key.sign(payload))
