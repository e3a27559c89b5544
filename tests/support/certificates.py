"""A workshop of client certificates: good ones of the product's own making, and those that an attacker would bring.

Every hostile certificate is signed by whoever its name says and differs from a good one in that one thing.
"""

from __future__ import annotations

import enum
import ssl
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from certs.authority import ClientAuthority, build_authority_certificate
from certs.keys import NodePrivateKey, node_id_of, spki_der
from certs.leaf import LeafPermit, issue_leaf
from certs.pins import spki_hash
from tests.support.der import ECDSA_SHA1, ECDSA_SHA256, sequence, signed

DAY = timedelta(days=1)
ClientKey = NodePrivateKey | rsa.RSAPrivateKey


class Hostile(enum.StrEnum):
    """What is wrong with a certificate; the value is what a test's name shows."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    OTHER_AUTHORITY = "other-authority"
    SELF_SIGNED = "self-signed"
    SERVER_ONLY = "server-only"
    SIGNED_BY_A_LEAF = "signed-by-a-leaf"
    RSA_1024 = "rsa-1024"
    SHA_1 = "sha-1"
    TWIN = "twin"
    """Signed by the right authority, with subject, names and serial of another node's certificate and a key of its own:
    TLS lets it in, so the bridge must not."""


REASONS = {
    Hostile.EXPIRED: "certificate has expired",
    Hostile.NOT_YET_VALID: "certificate is not yet valid",
    Hostile.OTHER_AUTHORITY: "unable to get local issuer certificate",
    Hostile.SELF_SIGNED: "self-signed certificate",
    Hostile.SERVER_ONLY: "unsuitable certificate purpose",
    Hostile.SIGNED_BY_A_LEAF: "invalid CA certificate",
    Hostile.RSA_1024: "EE certificate key too weak",
    Hostile.SHA_1: "CA signature digest algorithm too weak",
}
"""OpenSSL's `verify_message` for each that TLS itself refuses."""


@dataclass(frozen=True, slots=True)
class Client:
    """A key with what its owner shows in the handshake.

    Attributes:
        key: the private key.
        chain: the certificate, then those that are sent along.
    """

    key: ClientKey
    chain: tuple[x509.Certificate, ...]

    @property
    def certificate(self) -> x509.Certificate:
        """The client's own certificate."""
        return self.chain[0]

    @property
    def der(self) -> bytes:
        """Its DER, as the server sees it."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        """The key, not encrypted."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def pem(self) -> bytes:
        """Key and chain in one text."""
        return self.key_pem + b"".join(each.public_bytes(Encoding.PEM) for each in self.chain)

    def write(self, file: Path) -> Path:
        """Write `pem` for `load_cert_chain`."""
        file.write_bytes(self.pem)
        return file

    def equip(self, context: ssl.SSLContext, folder: Path) -> ssl.SSLContext:
        """Make a client context show this certificate, however weak; return the context."""
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # OpenSSL would refuse to load RSA-1024 and SHA-1
        context.load_cert_chain(self.write(folder / f"{self.certificate.serial_number:x}.pem"))
        return context


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a certificate says, before it is signed."""

    key: ClientKey
    subject: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    serial: int
    purpose: ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH


def good_client(authority: ClientAuthority, now: datetime, key: NodePrivateKey | None = None) -> Client:
    """Return a client with a certificate that the product issued.

    Args:
        authority: the bridge's.
        now: aware UTC time of issue.
        key: the node's key; None: a fresh one on P-256.
    """
    own = key if key is not None else ec.generate_private_key(ec.SECP256R1())
    permit = LeafPermit(node_id_of(own.public_key()), spki_der(own.public_key()))
    return Client(own, (issue_leaf(permit, authority.key, authority.certificate, now=now),))


def hostile_client(
    what: Hostile, authority: ClientAuthority, now: datetime, paired: Client | None = None, key: ClientKey | None = None
) -> Client:
    """Return a client with such a certificate.

    Args:
        what: what is wrong with it.
        authority: the bridge's.
        now: aware UTC time; the dates are taken from it.
        paired: a node that the bridge knows: whose leaf signs, whose names are borrowed; None: one is made up.
        key: the client's own key, e.g. one that is paired; None: a fresh one. RSA-1024 has one of its own.
    """
    victim = paired if paired is not None else good_client(authority, now)
    own = key if key is not None else ec.generate_private_key(ec.SECP256R1())
    plan = _plan(own, now)
    match what:
        case Hostile.EXPIRED:
            plan = replace(plan, not_before=now - 91 * DAY, not_after=now - DAY)
        case Hostile.NOT_YET_VALID:
            plan = replace(plan, not_before=now + DAY, not_after=now + 91 * DAY)
        case Hostile.OTHER_AUTHORITY:
            authority = _new_authority(now)
        case Hostile.SELF_SIGNED:
            return Client(own, (_signed_by(own, plan, x509.Name([_common(plan.subject)])),))
        case Hostile.SERVER_ONLY:
            plan = replace(plan, purpose=ExtendedKeyUsageOID.SERVER_AUTH)
        case Hostile.SIGNED_BY_A_LEAF:
            child = _signed_by(victim.key, plan, victim.certificate.subject)
            return Client(own, (child, victim.certificate))
        case Hostile.RSA_1024:
            plan = _plan(rsa.generate_private_key(65537, 1024), now)  # noqa: S505 - the weak key is what is tested
        case Hostile.SHA_1:
            certificate = _with_sha1(authority.key, _signed_by(authority.key, plan, authority.certificate.subject))
            return Client(own, (certificate,))
        case Hostile.TWIN:
            plan = _twin(victim, own)
    return Client(plan.key, (_signed_by(authority.key, plan, authority.certificate.subject),))


def _plan(key: ClientKey, now: datetime) -> _Plan:
    public = key.public_key()
    spki = spki_hash(public)
    node = spki if isinstance(public, rsa.RSAPublicKey) else node_id_of(public)
    names = (f"urn:clawdis-bridge:node:{node}", f"urn:clawdis-bridge:spki:sha256:{spki}")
    return _Plan(key, node, names, now - DAY, now + 90 * DAY, x509.random_serial_number())


def _twin(victim: Client, key: ClientKey) -> _Plan:
    """Everything of the victim's certificate but the key."""
    theirs = victim.certificate
    subject = str(theirs.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    names = theirs.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    urns = tuple(names.get_values_for_type(x509.UniformResourceIdentifier))
    return _Plan(key, subject, urns, theirs.not_valid_before_utc, theirs.not_valid_after_utc, theirs.serial_number)


def _new_authority(now: datetime) -> ClientAuthority:
    key = ec.generate_private_key(ec.SECP256R1())
    return ClientAuthority(build_authority_certificate(key, now=now), key)


def _signed_by(signer: ClientKey, plan: _Plan, issuer: x509.Name) -> x509.Certificate:
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)  # digitalSignature
    builder = (
        x509.CertificateBuilder(issuer, x509.Name([_common(plan.subject)]), plan.key.public_key(), plan.serial)
        .not_valid_before(plan.not_before)
        .not_valid_after(plan.not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([plan.purpose]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name) for name in plan.names]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(plan.key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    return builder.sign(signer, None if isinstance(signer, Ed25519PrivateKey) else hashes.SHA256())


def _with_sha1(signer: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> x509.Certificate:
    """The same certificate signed over SHA-1, which no builder does any more."""
    info = certificate.tbs_certificate_bytes
    header = 4 if info[1] == 0x82 else 3  # a length of two bytes, or of one
    content = info[header:].replace(sequence(ECDSA_SHA256), sequence(ECDSA_SHA1), 1)
    weak = sequence(content)
    signature = signer.sign(weak, ec.ECDSA(hashes.SHA1()))  # noqa: S303 - the weak hash is what is tested
    return x509.load_der_x509_certificate(signed(weak, ECDSA_SHA1, signature))


def _common(name: str) -> x509.NameAttribute[str]:
    return x509.NameAttribute(NameOID.COMMON_NAME, name)
