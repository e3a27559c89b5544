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


# SpecifiedECDomain of P-256 (SEC 1 appendix C.2): prime field, curve, base point, order, cofactor.
P256_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
P256_EXPLICIT = sequence(
    element(INTEGER, b"\1"),
    sequence(bytes.fromhex("06072a8648ce3d0101"), element(INTEGER, b"\0", P256_PRIME.to_bytes(32, "big"))),
    sequence(
        element(0x04, (P256_PRIME - 3).to_bytes(32, "big")),
        element(0x04, bytes.fromhex("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b")),
    ),
    element(
        0x04,
        bytes.fromhex(
            "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
        ),
    ),
    element(INTEGER, bytes.fromhex("00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")),
    element(INTEGER, b"\1"),
)
