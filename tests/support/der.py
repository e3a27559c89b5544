"""DER written by hand, for structures that no library would build (X.690 sections 8 and 10)."""

from __future__ import annotations

SEQUENCE = 0x30
SET = 0x31
INTEGER = 0x02
BIT_STRING = 0x03
OID = 0x06
CONTEXT_0 = 0xA0

P256 = bytes.fromhex("06082a8648ce3d030107")
EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")
ED25519 = bytes.fromhex("06032b6570")
ECDSA_SHA1 = bytes.fromhex("06072a8648ce3d0401")
ECDSA_SHA256 = bytes.fromhex("06082a8648ce3d040302")


def element(tag: int, *parts: bytes) -> bytes:
    """Return one element with a definite length in its shortest form."""
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + content


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE of elements."""
    return element(SEQUENCE, *parts)


def bit_string(data: bytes) -> bytes:
    """Return a BIT STRING of whole bytes."""
    return element(BIT_STRING, b"\0", data)


def request_info(spki: bytes, *, subject: bytes = b"0\0", version: int = 0, attributes: bytes = b"") -> bytes:
    """Return a CertificationRequestInfo (RFC 2986 section 4.1)."""
    return sequence(element(INTEGER, bytes([version])), subject, spki, element(CONTEXT_0, attributes))


def signed(info: bytes, algorithm: bytes, signature: bytes) -> bytes:
    """Return a request or certificate: what was signed, the algorithm's identifier, the signature."""
    return sequence(info, sequence(algorithm), bit_string(signature))
