"""B11: a signing request gives its key and the proof of it; nothing else that it says gets into a certificate."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from bridge.pairing.transcript import commitment
from certs.csr import build_csr
from certs.keys import node_id_of, sign, spki_der
from gateway_client.identity import encode_base64url
from tests.attacks.fortress import Fortress
from tests.attacks.strangers import PAIRED, Stranger, pending
from tests.bridge.pairing.native import p256
from tests.support.der import (
    EC_PUBLIC_KEY,
    ECDSA_SHA256,
    INTEGER,
    P256,
    P256_EXPLICIT,
    bit_string,
    element,
    request_info,
    sequence,
    signed,
)

pytestmark = pytest.mark.asyncio(loop_scope="package")

KEY, OTHER = p256(1100), p256(1101)
GOOD = build_csr(KEY)
CHALLENGE_PASSWORD = x509.ObjectIdentifier("1.2.840.113549.1.9.7")
RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d0101010500")


def of_key(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed448.Ed448PrivateKey) -> bytes:
    """Return an honest request of some kind of key."""
    algorithm = None if isinstance(key, ed448.Ed448PrivateKey) else hashes.SHA256()
    empty = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return empty.sign(key, algorithm).public_bytes(Encoding.DER)


def forged(spki: bytes) -> bytes:
    """Return a request with this SPKI, signed by `KEY`."""
    info = request_info(spki)
    return signed(info, ECDSA_SHA256, sign(KEY, info))


def rsa_16384() -> bytes:
    """Return a request of an RSA key that would take seconds to compute with; the signature is none."""
    numbers = sequence(element(INTEGER, b"\0" + b"\xff" * 2048), element(INTEGER, b"\1\0\1"))
    return signed(request_info(sequence(sequence(RSA_ENCRYPTION), bit_string(numbers))), ECDSA_SHA256, b"x" * 2048)


def explicit() -> bytes:
    """Return a well signed request that spells the curve out."""
    point = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return forged(sequence(sequence(EC_PUBLIC_KEY, P256_EXPLICIT), bit_string(point)))


def off_the_curve() -> bytes:
    """Return a request with a point that is not on P-256."""
    return forged(sequence(sequence(EC_PUBLIC_KEY, P256), bit_string(b"\4" + b"\1" * 64)))


def ten_thousand_extensions() -> bytes:
    """Return a request whose attributes are as long as ten thousand extensions."""
    one = sequence(bytes.fromhex("0603550403"), element(0x31, element(0x0C, b"x")))
    info = request_info(spki_der(KEY.public_key()), attributes=one * 10_000)
    return signed(info, ECDSA_SHA256, sign(KEY, info))


REFUSED: dict[str, tuple[int, Callable[[], bytes]]] = {
    "empty": (400, lambda: b""),
    "no DER": (400, lambda: b"\x30\x80" + GOOD[2:]),
    "cut": (400, lambda: GOOD[:-1]),
    "trailing": (400, lambda: GOOD + b"\0"),
    "twice": (400, lambda: GOOD + GOOD),
    "1 MiB": (413, lambda: GOOD + bytes(2**20)),
    "10,000 extensions": (413, ten_thousand_extensions),
    "RSA 2048": (400, lambda: of_key(rsa.generate_private_key(65537, 2048))),
    "RSA 16384": (400, rsa_16384),
    "P-384": (400, lambda: of_key(ec.generate_private_key(ec.SECP384R1()))),
    "P-521": (400, lambda: of_key(ec.generate_private_key(ec.SECP521R1()))),
    "Ed448": (400, lambda: of_key(ed448.Ed448PrivateKey.generate())),
    "explicit curve": (400, explicit),
    "off the curve": (400, off_the_curve),
    "another key": (400, lambda: forged(spki_der(OTHER.public_key()))),
    "another signature": (400, lambda: GOOD[:-1] + bytes([GOOD[-1] ^ 1])),
}


def greedy() -> bytes:
    """Return a good request that asks for everything it must not get."""
    urn = x509.UniformResourceIdentifier("urn:clawdis-bridge:node:" + node_id_of(OTHER.public_key()))
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node_id_of(OTHER.public_key()))]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=9), critical=True)
        .add_extension(x509.SubjectAlternativeName([urn, x509.DNSName("localhost")]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=True)
        .add_extension(x509.OCSPNoCheck(), critical=False)
        .add_attribute(CHALLENGE_PASSWORD, b"challenge")
    )
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


class TestB11:
    """Anything but one well signed request of a P-256 or Ed25519 key is refused; what it asks for is ignored.

    Guards in certs/csr.py: `_require_self_signed`: without it another key's request begins; `read_spki(_spki_of(...))`
    (`request.public_key()` in its place): RSA, P-384, P-521, Ed448 and the spelt-out curve begin. Guard: a certificate
    is built from the permit alone, which has no request (`issue_leaf`, certs/leaf.py): with one extension more
    (OCSPNoCheck, which the request asks for) the set of extensions is another.
    """

    @pytest.mark.parametrize("what", REFUSED)
    async def test_what_is_no_nodes_request_begins_nothing(self, gate: Fortress, what: str) -> None:
        status, build = REFUSED[what]
        der = build()
        commit = encode_base64url(commitment(der, bytes(31) + b"\1"))
        answer = await Stranger(gate.node_port).begin(csr=encode_base64url(der), commit=commit)
        if len(der) > 2**16 and answer.status == 0:  # it hung up before all was sent, so its words were lost
            assert await pending(gate) == []
            return
        assert answer.status == status, answer.body
        assert answer.json["error"]["code"] in {"BAD_CSR", "BAD_REQUEST", "TOO_LARGE"}
        assert await pending(gate) == []

    async def test_all_of_them_leave_it_unharmed(self, gate: Fortress) -> None:
        async with gate.unharmed():
            for _, build in REFUSED.values():
                await Stranger(gate.node_port).begin(csr=encode_base64url(build()))

    async def test_what_a_request_asks_for_is_not_in_the_certificate(self, gate: Fortress) -> None:
        node = Stranger(gate.node_port, key=KEY)
        node.csr = greedy()
        async with gate.unharmed(store=False, heard=PAIRED):
            assert (await node.redeem(await gate.link("device"))).status == 204
            answer = (await node.poll()).json
        leaf = x509.load_pem_x509_certificate(answer["certificate"].encode())
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        mine = node_id_of(KEY.public_key())
        assert [str(name.value).rpartition(":")[2] for name in names] == [mine, mine]
        assert leaf.subject.rfc4514_string() == f"CN={mine}"
        assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]
        assert {extension.oid for extension in leaf.extensions} == {
            ExtensionOID.BASIC_CONSTRAINTS,
            ExtensionOID.KEY_USAGE,
            ExtensionOID.EXTENDED_KEY_USAGE,
            ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
            ExtensionOID.SUBJECT_KEY_IDENTIFIER,
            ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        }
        assert answer["nodeId"] == mine
