"""Pure: the two kinds of key that a node may be, their ids and their signatures.

A node is a P-256 key (what the Secure Enclave makes) or an Ed25519 key (what OpenClaw devices have), never a field of
a message. Every key that comes from outside passes `require_node_key` before its id is taken.
"""

import hashlib
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

NodeKey: TypeAlias = ec.EllipticCurvePublicKey | Ed25519PublicKey
NodePrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | Ed25519PrivateKey

UNREADABLE = (
    ValueError, TypeError, UnsupportedAlgorithm,
    x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType,
)  # fmt: skip
"""What `cryptography` raises for bytes that are no key, certificate or request which it can read."""

MAX_SPKI_BYTES = 1024  # a P-256 key has 91, Ed25519 44; RSA-4096 has 550 and shall be refused by name

_ED25519_PRIME = 2**255 - 19
_ED25519_SIGN = 1 << 255

# y of the points whose order divides 8 (RFC 8032 section 5.1.7 leaves them to the caller): with such a key one
# signature fits many messages, so it identifies nobody. Little-endian, as keys are written.
_SMALL_ORDER = frozenset(
    int.from_bytes(bytes.fromhex(text), "little")
    for text in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)


class KeyRefused(ValueError):
    """A public key that cannot stand for a node."""


def require_node_key(key: object) -> NodeKey:
    """The key itself, if it is one that may stand for a node.

    Raises:
        KeyRefused: another kind of key, another curve, or an Ed25519 point of small order or in a second spelling.
    """
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1):
            raise KeyRefused(f"the key is on {key.curve.name}; a node's key is on P-256, or Ed25519")
        return key
    if not isinstance(key, Ed25519PublicKey):
        raise KeyRefused("a node's key is on P-256, or Ed25519; this one is neither")
    y = int.from_bytes(_raw(key), "little") % _ED25519_SIGN
    if y >= _ED25519_PRIME:
        raise KeyRefused("the Ed25519 key is not in its one spelling")  # RFC 8032 section 5.1.3, step 1
    if y in _SMALL_ORDER:
        raise KeyRefused("an Ed25519 key of small order identifies nobody")
    return key


def node_id_of(key: NodeKey) -> str:
    """The node id, 64 lower-case hexadecimal digits.

    SHA-256 of the raw 32 bytes for Ed25519 (the rule of OpenClaw's device ids), of the SPKI DER for P-256.
    """
    return hashlib.sha256(_raw(key) if isinstance(key, Ed25519PublicKey) else spki_der(key)).hexdigest()


def spki_der(key: NodeKey) -> bytes:
    """The SubjectPublicKeyInfo DER (RFC 5280 section 4.1.2.7): named curve, uncompressed point (RFC 5480)."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def read_spki(der: bytes) -> NodeKey:
    """The node key in SubjectPublicKeyInfo DER, which must be exactly what `spki_der` writes.

    Raises:
        KeyRefused: too long, no such structure, no key for a node, explicit curve parameters, a compressed point.
    """
    if len(der) > MAX_SPKI_BYTES:
        raise KeyRefused(f"the public key has {len(der)} bytes, at most {MAX_SPKI_BYTES}")
    try:
        key = require_node_key(load_der_public_key(der))
    except KeyRefused:
        raise
    except UNREADABLE as error:
        raise KeyRefused("the public key cannot be read") from error
    if spki_der(key) != der:
        raise KeyRefused("the public key is not written with a named curve and an uncompressed point")
    return key


def verify_signature(key: NodeKey, signature: bytes, data: bytes) -> bool:
    """Whether `signature` is the key's over `data`: ECDSA with SHA-256 in DER, or Ed25519.

    Any bytes are an answer, never an error.
    """
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, data)
        else:
            key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def sign(private_key: NodePrivateKey, data: bytes) -> bytes:
    """The key's signature over `data`, as `verify_signature` takes it."""
    if isinstance(private_key, Ed25519PrivateKey):
        return private_key.sign(data)
    return private_key.sign(data, ec.ECDSA(hashes.SHA256()))


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
