"""Pure: builders of keys and certificates.

Keys and serial numbers come from `cryptography`'s own generator; the time is an argument. Section numbers are
those of RFC 5280.
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.pins import spki_hash

# Apps pin the certificate itself and can take a new one only by forgetting the bridge, so it outlives the Mac.
BRIDGE_LIFETIME = timedelta(days=3652)  # 10 years
BACKDATING = timedelta(hours=24)  # a phone whose clock is behind must not see "not yet valid"
SPKI_URN = "urn:clawdis-bridge:spki:sha256:"  # followed by the SPKI hash

Extension: TypeAlias = tuple[x509.ExtensionType, bool]
"""An extension of a certificate, and whether it is critical."""

_MAX_HOST = 64  # characters; ub-common-name, appendix A.1
_LOCAL_HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.local")


def new_bridge_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key, the one curve that Secure Enclave, Apple TLS and OpenSSL all take."""
    return ec.generate_private_key(ec.SECP256R1())


def build_bridge_certificate(key: ec.EllipticCurvePrivateKey, host: str, *, now: datetime) -> x509.Certificate:
    """The bridge's self-signed server certificate, valid from 24 hours before `now` for 10 years.

    Args:
        key: the bridge's P-256 key.
        host: the bridge's own host name, lower-case, one label and `.local`; no longer than 64 characters.
        now: aware UTC time of issue.

    Raises:
        ValueError: the key is not P-256, the host is no such name, or `now` is not in UTC.
    """
    _require_inputs(key, host, now)
    # Self-signed: subject and issuer are the same non-empty name (4.1.2.4, 4.1.2.6).
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    public = key.public_key()
    unsigned = unsigned_certificate(name, name, public, _extensions(public, host), lifetime=BRIDGE_LIFETIME, now=now)
    return unsigned.sign(key, hashes.SHA256())


def unsigned_certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: CertificatePublicKeyTypes,
    extensions: Iterable[Extension],
    *,
    lifetime: timedelta,
    now: datetime,
) -> x509.CertificateBuilder:
    """What every certificate of ours is made of, to be signed; valid from 24 hours before `now` for `lifetime`.

    Args:
        subject: whose it is.
        issuer: the subject of who signs it (4.1.2.4).
        key: the subject's.
        extensions: each with its critical flag.
        lifetime: counted from `now`.
        now: aware UTC time of issue.
    """
    issued = now.replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())  # positive, at most 20 octets (4.1.2.2)
        .not_valid_before(issued - BACKDATING)
        .not_valid_after(issued + lifetime)  # 4.1.2.5
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder


def key_usage(*, data: bool = False, certificates: bool = False) -> x509.KeyUsage:
    """A KeyUsage of digitalSignature, keyCertSign, both or neither, and nothing else (4.2.1.3).

    Args:
        data: the key signs handshakes (digitalSignature).
        certificates: the key signs certificates (keyCertSign).
    """
    return x509.KeyUsage(
        digital_signature=data,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def require_utc(now: datetime) -> None:
    """Raise ValueError unless `now` is an aware UTC time, the only kind that a certificate can say (4.1.2.5)."""
    if now.utcoffset() != timedelta(0):
        raise ValueError("the time of issue must be an aware UTC time")


def _extensions(public_key: ec.EllipticCurvePublicKey, host: str) -> list[Extension]:
    """Every extension of the bridge certificate with its critical flag."""
    names: list[x509.GeneralName] = [
        x509.DNSName(host),
        x509.DNSName("localhost"),
        x509.UniformResourceIdentifier(SPKI_URN + spki_hash(public_key)),
    ]
    return [
        # An end entity, never an issuer: a stolen bridge key signs for nobody else (4.2.1.9).
        (x509.BasicConstraints(ca=False, path_length=None), True),
        # TLS 1.3 with ECDSA only signs; key agreement is ephemeral (4.2.1.3).
        (key_usage(data=True), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),  # 4.2.1.12
        # The subject is not empty, so the alternative name is not critical (4.2.1.6). No addresses: they change.
        (x509.SubjectAlternativeName(names), False),
        # Self-signed: the authority key identifier may be left out (4.2.1.1), the subject's is kept (4.2.1.2).
        (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
    ]


def _require_inputs(key: ec.EllipticCurvePrivateKey, host: str, now: datetime) -> None:
    """Raise ValueError for a key, host or time that the builder must not sign."""
    if key.curve.name != ec.SECP256R1.name:
        raise ValueError(f"the bridge key is on {key.curve.name}; it must be on P-256")
    if len(host) > _MAX_HOST or not _LOCAL_HOST.fullmatch(host):
        raise ValueError(f"{host!r} is no host name of the form 'label.local' in lower case")
    require_utc(now)
