"""Pure: fingerprints that phones pin, and how two of them are compared.

A *pin* is the SHA-256 of a certificate's DER, the value an OpenClaw app stores; an *SPKI hash* is the SHA-256 of
the SubjectPublicKeyInfo DER (RFC 5280 section 4.1.2.7), the value a native node pins. Both are written as 64
lower-case hexadecimal digits.
"""

import hashlib
import hmac
import re

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PIN_DIGITS = 64  # hexadecimal digits of a SHA-256
_MAX_SPELLING = 128  # characters; the longest spelling is "sha-256:" and 32 pairs with colons, 103 characters

_PREFIX = re.compile(r"sha-?256:", re.IGNORECASE | re.ASCII)
_PLAIN = re.compile(r"[0-9a-f]{64}")
_PAIRS = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){31}")


def pin_of_der(der: bytes) -> str:
    """SHA-256 of a certificate's DER bytes, as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(der).hexdigest()


def certificate_pin(certificate: x509.Certificate) -> str:
    """The pin of a certificate: SHA-256 of its DER, as 64 lower-case hexadecimal digits."""
    return pin_of_der(certificate.public_bytes(Encoding.DER))


def spki_hash(key: CertificatePublicKeyTypes) -> str:
    """SHA-256 of a public key's SubjectPublicKeyInfo DER, as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def normalise_pin(text: str) -> str:
    """Bring any spelling of a SHA-256 fingerprint to 64 lower-case hexadecimal digits.

    Accepted: 64 digits, or 32 pairs separated by colons; any case; an optional `sha256:` or `sha-256:` in front;
    white space around.

    Raises:
        ValueError: anything else. The text itself is not repeated in the message.
    """
    if len(text) > _MAX_SPELLING:
        raise ValueError(f"a pin is {PIN_DIGITS} hexadecimal digits; this text has {len(text)} characters")
    bare = _PREFIX.sub("", text.strip(), count=1) if _PREFIX.match(text.strip()) else text.strip()
    digits = bare.lower() if bare.isascii() else ""
    if _PLAIN.fullmatch(digits):
        return digits
    if _PAIRS.fullmatch(digits):
        return digits.replace(":", "")
    raise ValueError(f"a pin is {PIN_DIGITS} hexadecimal digits, with or without colons and 'sha256:' in front")


def same_pin(one: str, other: str) -> bool:
    """Whether two spellings name the same fingerprint, compared in constant time.

    A text that is no fingerprint equals nothing, itself included.
    """
    try:
        left, right = normalise_pin(one), normalise_pin(other)
    except ValueError:
        return False
    return hmac.compare_digest(left, right)
