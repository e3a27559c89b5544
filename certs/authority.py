"""Pure: the private authority whose only work is to sign the client certificates of native nodes.

It is no root of trust for servers and is never sent to anybody. A certificate of it opens nothing by itself: the
store decides by the key, so a stolen authority key is worth as little. Section numbers are those of RFC 5280.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certs.issue import Extension, key_usage, require_utc, unsigned_certificate
from certs.keys import node_id_of

AUTHORITY_LIFETIME = timedelta(days=7305)  # 20 years, twice the bridge's own certificate
AUTHORITY_NAME = "Clawdis Bridge client authority"  # followed by the first digits of the key's id
_NAME_DIGITS = 8


@dataclass(frozen=True, slots=True)
class ClientAuthority:
    """The authority's key and certificate, checked to belong together."""

    certificate: x509.Certificate = field(repr=False)
    """Self-signed; the only one that the node port trusts."""
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    """P-256."""
    created: bool = False
    """True only from the call that made it: an event for the audit log."""

    @property
    def der(self) -> bytes:
        """The certificate's DER, for `SSLContext.load_verify_locations`."""
        return self.certificate.public_bytes(Encoding.DER)


def build_authority_certificate(key: ec.EllipticCurvePrivateKey, *, now: datetime) -> x509.Certificate:
    """The authority's self-signed certificate, valid from 24 hours before `now` for 20 years.

    Args:
        key: the authority's own P-256 key, used for nothing else.
        now: aware UTC time of issue.

    Raises:
        ValueError: the key is not P-256, or `now` is not in UTC.
    """
    if key.curve.name != ec.SECP256R1.name:
        raise ValueError(f"the authority's key is on {key.curve.name}; it must be on P-256")
    require_utc(now)
    # An issuer has a non-empty subject (4.1.2.6); the digits keep the authorities of two bridges apart.
    digits = node_id_of(key.public_key())[:_NAME_DIGITS]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{AUTHORITY_NAME} {digits}")])
    extensions: list[Extension] = [
        # An authority for end entities only: path length 0 lets no leaf sign another (4.2.1.9).
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (key_usage(certificates=True), True),  # no CRLs: the store revokes (4.2.1.3)
        # What the leaves' authority key identifier points at (4.2.1.2).
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    ]
    unsigned = unsigned_certificate(name, name, key.public_key(), extensions, lifetime=AUTHORITY_LIFETIME, now=now)
    return unsigned.sign(key, hashes.SHA256())
