"""Pure: the certificate of a native node: who may have one, how it is written, and what it says when it comes back.

The certificate is only a carrier of the key. Everything in it is written here; a request contributes its key and
nothing else. Section numbers are those of RFC 5280.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.issue import BACKDATING, SPKI_URN, Extension, key_usage, require_utc, unsigned_certificate
from certs.keys import UNREADABLE, NodeKey, node_id_of, read_spki, require_node_key
from certs.pins import spki_hash

LEAF_LIFETIME = timedelta(days=90)  # a phone may lie in a drawer for weeks
RENEW_AFTER = timedelta(days=60)  # two thirds of the lifetime
NODE_URN = "urn:clawdis-bridge:node:"  # followed by the node id
MAX_LEAF_BYTES = 2048  # one of ours has some 650 bytes

_PURPOSE = [ExtendedKeyUsageOID.CLIENT_AUTH]


class LeafRefused(ValueError):
    """A client certificate that names no node."""


@dataclass(frozen=True, slots=True)
class LeafPermit:
    """The proof that the store's entry of a node is on disk, without which no certificate is issued.

    Only `bridge.pairing.issuing` makes one, from a record that the store holds; a test of the tree pins that.
    """

    node_id: str
    """The id under which the store knows the key."""
    spki_der: bytes
    """The key itself, SubjectPublicKeyInfo DER."""


@dataclass(frozen=True, slots=True)
class NodeCertificate:
    """What a node's certificate says, once it was found to be consistent."""

    node_id: str
    """The id of the certificate's key."""
    spki: str
    """SHA-256 hex of the key's SubjectPublicKeyInfo DER."""
    serial: str
    """Lower-case hexadecimal, no sign."""
    not_before: datetime
    """Aware UTC."""
    not_after: datetime
    """Aware UTC."""

    @property
    def renew_from(self) -> datetime:
        """When the node may ask for the next one: 60 days after the time of issue."""
        return self.not_before + BACKDATING + RENEW_AFTER


def issue_leaf(
    permit: LeafPermit,
    authority_key: ec.EllipticCurvePrivateKey,
    authority_cert: x509.Certificate,
    *,
    now: datetime,
) -> x509.Certificate:
    """The certificate of one node, valid from 24 hours before `now` for 90 days.

    Args:
        permit: whose it is, and that the store knows them.
        authority_key: what signs it.
        authority_cert: the authority's own certificate.
        now: aware UTC time of issue.

    Raises:
        ValueError: the permit's id is not its key's, the key is the authority's own, key and certificate of the
            authority do not belong together, the authority is not valid for the whole lifetime, or `now` is not UTC.
        KeyRefused: the key is none that may stand for a node (a ValueError too).
    """
    key = read_spki(permit.spki_der)
    require_utc(now)
    _require_inputs(permit, key, authority_key, authority_cert, now.replace(microsecond=0) + LEAF_LIFETIME)
    # The node id has 64 digits, just what a common name may have (ub-common-name, appendix A.1).
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, permit.node_id)])
    extensions = _extensions(key, authority_key.public_key())
    unsigned = unsigned_certificate(name, authority_cert.subject, key, extensions, lifetime=LEAF_LIFETIME, now=now)
    return unsigned.sign(authority_key, hashes.SHA256())


def read_leaf(der: bytes) -> NodeCertificate:
    """What a client certificate says, checked for all that TLS leaves open.

    TLS has checked the signature, the dates and the chain; whether the node is paired is the store's to say.

    Raises:
        LeafRefused: unreadable, an authority, for another purpose, or its names are not those of its key.
    """
    if len(der) > MAX_LEAF_BYTES:
        raise LeafRefused(f"the certificate has {len(der)} bytes, at most {MAX_LEAF_BYTES}")
    try:
        certificate = x509.load_der_x509_certificate(der)
        key = require_node_key(certificate.public_key())
        _require_node_certificate(certificate.extensions, key)
        serial = _positive(certificate.serial_number)
    except LeafRefused:
        raise
    except x509.ExtensionNotFound as error:
        raise LeafRefused(f"the certificate lacks the extension {error.oid.dotted_string}") from error
    except UNREADABLE as error:
        raise LeafRefused(f"the certificate cannot be used: {error}") from error
    return NodeCertificate(
        node_id_of(key),
        spki_hash(key),
        f"{serial:x}",
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def _positive(serial: int) -> int:
    """The number, if it is one that RFC 5280 section 4.1.2.2 allows: an entry of a log names a certificate by it."""
    if serial <= 0:
        raise LeafRefused("its serial number is not positive")
    return serial


def _extensions(key: NodeKey, authority: ec.EllipticCurvePublicKey) -> list[Extension]:
    """Every extension of a node's certificate with its critical flag."""
    return [
        # An end entity: it signs for nobody (4.2.1.9).
        (x509.BasicConstraints(ca=False, path_length=None), True),
        # TLS 1.3 asks the client for one signature and nothing else (4.2.1.3).
        (key_usage(data=True), True),
        (x509.ExtendedKeyUsage(_PURPOSE), False),  # a client, never a server (4.2.1.12)
        # The subject is not empty, so the alternative name is not critical (4.2.1.6).
        (x509.SubjectAlternativeName(_names(key)), False),
        (x509.SubjectKeyIdentifier.from_public_key(key), False),  # 4.2.1.2
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority), False),  # 4.2.1.1
    ]


def _names(key: NodeKey) -> list[x509.GeneralName]:
    """The URNs that bind a certificate to its key: the node id, and the hash of the SPKI.

    For P-256 the two hashes are one; the id of an Ed25519 key hashes the raw key, so the SPKI has a name of its own.
    """
    return [x509.UniformResourceIdentifier(urn) for urn in (NODE_URN + node_id_of(key), SPKI_URN + spki_hash(key))]


def _require_inputs(
    permit: LeafPermit,
    key: NodeKey,
    authority_key: ec.EllipticCurvePrivateKey,
    authority_cert: x509.Certificate,
    end: datetime,
) -> None:
    """Raise ValueError for whatever must not be signed."""
    authority_spki = spki_hash(authority_key.public_key())
    if permit.node_id != node_id_of(key):
        raise ValueError("the permit's node id is not the id of its key")
    if authority_spki != spki_hash(authority_cert.public_key()):
        raise ValueError("the authority's certificate is not for its key")
    if authority_spki == spki_hash(key):
        raise ValueError("the key is the authority's own")
    if authority_cert.not_valid_after_utc < end:
        raise ValueError(f"the client authority ends on {authority_cert.not_valid_after_utc:%Y-%m-%d}, too early")


def _require_node_certificate(extensions: x509.Extensions, key: NodeKey) -> None:
    """Raise LeafRefused, or ExtensionNotFound, unless the extensions are those of a node with this key."""
    if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        raise LeafRefused("the certificate is an authority's")
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    if not usage.digital_signature or usage.key_cert_sign:
        raise LeafRefused("the certificate's key is not for signing handshakes only")
    if list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) != _PURPOSE:
        raise LeafRefused("the certificate is not for a client only")
    if list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value) != _names(key):
        raise LeafRefused("the certificate's names are not those of its key")
