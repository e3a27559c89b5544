"""Pure: reading and building PKCS#10 certification requests (RFC 2986).

A request is taken for two things only: the public key and the proof that its sender holds the private one. Whatever
else it asks for (a subject, extensions, a challenge password) is ignored; the issuer writes every other field itself.
"""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from certs.keys import UNREADABLE, KeyRefused, NodeKey, NodePrivateKey, node_id_of, read_spki, require_node_key
from certs.pins import spki_hash

MAX_CSR_BYTES = 4096  # a P-256 request has some 250 bytes; the rest is room for a subject and extensions

# ECDSA signs a hash; one that can be collided would not prove that this very request was signed.
_STRONG_HASHES = frozenset({"sha256", "sha384", "sha512"})


class CsrRefused(ValueError):
    """A certification request that no certificate is issued for."""


@dataclass(frozen=True, slots=True)
class Csr:
    """A request whose sender holds the private key."""

    der: bytes
    """The request as it came."""
    key: NodeKey
    """The public key, the only thing that is taken from it."""
    node_id: str
    """The id of `key`."""
    spki: str
    """SHA-256 hex of the key's SubjectPublicKeyInfo DER."""


def read_csr(der: bytes) -> Csr:
    """Read one request, from anybody.

    Args:
        der: exactly one PKCS#10 DER.

    Raises:
        CsrRefused: too long, no single request, no key for a node, or not signed by that key. Nothing else is raised.
    """
    if len(der) > MAX_CSR_BYTES:
        raise CsrRefused(f"the request has {len(der)} bytes, at most {MAX_CSR_BYTES}")
    try:
        request = x509.load_der_x509_csr(der)  # refuses trailing bytes and anything but DER
        key = read_spki(_spki_of(request.tbs_certrequest_bytes))
    except KeyRefused as error:
        raise CsrRefused(str(error)) from error
    except UNREADABLE as error:
        raise CsrRefused("it is no PKCS#10 request in DER") from error
    _require_self_signed(request, key)
    return Csr(der, key, node_id_of(key), spki_hash(key))


def build_csr(private_key: NodePrivateKey) -> bytes:
    """The DER of a request for this key, with an empty subject: the issuer writes its own.

    Raises:
        KeyRefused: the key is neither on P-256 nor Ed25519.
    """
    require_node_key(private_key.public_key())
    algorithm = None if isinstance(private_key, Ed25519PrivateKey) else hashes.SHA256()
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(private_key, algorithm).public_bytes(Encoding.DER)


def _require_self_signed(request: x509.CertificateSigningRequest, key: NodeKey) -> None:
    """Raise CsrRefused unless the request carries its own key's signature (RFC 2986 section 4.2)."""
    try:
        digest = request.signature_hash_algorithm
        valid = request.is_signature_valid
    except UNREADABLE as error:
        raise CsrRefused("the request is signed in a way that its key cannot sign") from error
    if digest is not None and digest.name not in _STRONG_HASHES:
        raise CsrRefused(f"the request is signed with {digest.name}; SHA-256 or longer is needed")
    if not valid:
        raise CsrRefused("the request is not signed by its own key")


def _spki_of(request_info: bytes) -> bytes:
    """The bytes of subjectPublicKeyInfo as they came: a parsed key no longer tells how it was written.

    Args:
        request_info: DER of a CertificationRequestInfo that was parsed before, so every length in it holds
            (RFC 2986 section 4.1: version, subject, subjectPKInfo, attributes).
    """
    version, _ = _element(request_info, 0)
    _, subject = _element(request_info, version)
    _, start = _element(request_info, subject)
    _, end = _element(request_info, start)
    return request_info[start:end]


def _element(der: bytes, start: int) -> tuple[int, int]:
    """Where the content of the element at `start` begins and where it ends (X.690 section 8.1.3)."""
    first = der[start + 1]
    if first < 0x80:
        return start + 2, start + 2 + first
    content = start + 2 + (first & 0x7F)
    return content, content + int.from_bytes(der[start + 2 : content], "big")
