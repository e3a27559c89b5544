"""Certification requests: taken for their key alone, whatever else they ask for, and refused without a trace else."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from certs.csr import MAX_CSR_BYTES, CsrRefused, build_csr, read_csr
from certs.keys import KeyRefused, NodePrivateKey, node_id_of, sign, spki_der
from certs.pins import spki_hash
from tests.support.der import (
    EC_PUBLIC_KEY,
    ECDSA_SHA1,
    ECDSA_SHA256,
    ED25519,
    P256,
    P256_EXPLICIT,
    SET,
    bit_string,
    element,
    request_info,
    sequence,
    signed,
)

KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = Ed25519PrivateKey.generate()
GOOD = build_csr(KEY)
both = pytest.mark.parametrize("key", [KEY, ED_KEY], ids=["P-256", "Ed25519"])

OtherKey = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey | rsa.RSAPrivateKey


def refusal(der: bytes) -> str:
    with pytest.raises(CsrRefused) as caught:
        read_csr(der)
    return str(caught.value)


def request_of(key: OtherKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    algorithm = None if isinstance(key, ed448.Ed448PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


def forged(spki: bytes) -> bytes:
    """Return a request with this SPKI, well signed by `KEY`."""
    info = request_info(spki)
    return signed(info, ECDSA_SHA256, sign(KEY, info))


@both
def test_a_request_is_read_as_its_key(key: NodePrivateKey) -> None:
    der = build_csr(key)
    csr = read_csr(der)
    assert csr.der == der
    assert csr.node_id == node_id_of(csr.key) == node_id_of(key.public_key())
    assert csr.spki == spki_hash(key.public_key())
    assert len(der) < MAX_CSR_BYTES / 10


def test_a_built_request_asks_for_nothing() -> None:
    request = x509.load_der_x509_csr(GOOD)
    assert list(request.subject) == []
    assert list(request.extensions) == []
    assert list(request.attributes) == []


def test_a_request_is_built_for_node_keys_only() -> None:
    with pytest.raises(KeyRefused, match="secp384r1"):
        build_csr(ec.generate_private_key(ec.SECP384R1()))


def test_what_is_asked_for_is_ignored() -> None:
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("urn:clawdis-bridge:node:" + "0" * 64)])
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "0" * 64)]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=9), critical=True)
        .add_extension(names, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_attribute(x509.ObjectIdentifier("1.2.840.113549.1.9.7"), b"challenge")
        .sign(KEY, hashes.SHA384())
    )
    csr = read_csr(request.public_bytes(Encoding.DER))
    assert csr.node_id == node_id_of(KEY.public_key())


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ed448.Ed448PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-384", "P-521", "secp256k1", "Ed448", "RSA"],
)
def test_other_kinds_of_key_are_refused(key: OtherKey) -> None:
    assert "a node's key is on P-256, or Ed25519" in refusal(request_of(key))


def test_the_forger_of_these_tests_can_make_a_good_request() -> None:
    assert read_csr(forged(spki_der(KEY.public_key()))).node_id == node_id_of(KEY.public_key())


def test_explicit_curve_parameters_are_refused_even_those_of_p256() -> None:
    """Positive control: without the look at the bytes as they came, the key is read as P-256 and accepted."""
    point = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    der = forged(sequence(sequence(EC_PUBLIC_KEY, P256_EXPLICIT), bit_string(point)))
    assert x509.load_der_x509_csr(der).is_signature_valid
    assert "named curve" in refusal(der)


def test_a_compressed_point_is_refused() -> None:
    point = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    der = forged(sequence(sequence(EC_PUBLIC_KEY, P256), bit_string(point)))
    assert x509.load_der_x509_csr(der).is_signature_valid
    assert "uncompressed" in refusal(der)


def test_the_right_spki_elsewhere_in_the_request_does_not_help() -> None:
    point = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    right = spki_der(KEY.public_key())
    subject = sequence(element(SET, sequence(bytes.fromhex("0603550403"), element(0x0C, right.hex().encode()))))
    wrong = sequence(sequence(EC_PUBLIC_KEY, P256), bit_string(point))
    info = request_info(wrong, subject=subject)
    assert "uncompressed" in refusal(signed(info, ECDSA_SHA256, sign(KEY, info)))


def test_an_ed25519_key_of_small_order_is_refused_though_its_signature_is_good() -> None:
    """Positive control: [0]B = R + [k]A holds for every message when A and R are the neutral point."""
    neutral = b"\1" + bytes(31)
    der = signed(request_info(sequence(sequence(ED25519), bit_string(neutral))), ED25519, neutral + bytes(32))
    assert x509.load_der_x509_csr(der).is_signature_valid
    assert "small order" in refusal(der)


def test_the_signature_of_another_key_is_refused() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    info = request_info(spki_der(KEY.public_key()))
    assert "not signed by its own key" in refusal(signed(info, ECDSA_SHA256, sign(other, info)))


def test_the_signature_of_another_request_is_refused() -> None:
    info = request_info(spki_der(KEY.public_key()))
    assert refusal(signed(info, ECDSA_SHA256, sign(KEY, info + b"\0"))) == "the request is not signed by its own key"


@pytest.mark.parametrize("algorithm", [ED25519, bytes.fromhex("06092a864886f70d01010b"), bytes.fromhex("06022a03")])
def test_the_algorithm_of_another_kind_of_key_is_refused(algorithm: bytes) -> None:
    info = request_info(spki_der(KEY.public_key()))
    assert "sign" in refusal(signed(info, algorithm, sign(KEY, info)))


def test_a_weak_hash_is_refused() -> None:
    info = request_info(spki_der(KEY.public_key()))
    assert refusal(signed(info, ECDSA_SHA1, KEY.sign(info, ec.ECDSA(hashes.SHA1()))))  # noqa: S303 - what is tested


def test_sha224_is_refused() -> None:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(KEY, hashes.SHA224())
    assert request.is_signature_valid
    assert "sha224" in refusal(request.public_bytes(Encoding.DER))


@pytest.mark.parametrize(
    "der",
    [b"", b"\0", b"0\0", GOOD + b"\0", GOOD * 2, GOOD[:-1], b"-----BEGIN CERTIFICATE REQUEST-----", b"0\x80" + GOOD],
)
def test_what_is_not_one_request_is_refused(der: bytes) -> None:
    assert refusal(der) == "it is no PKCS#10 request in DER"


def test_a_later_version_is_refused() -> None:
    info = request_info(spki_der(KEY.public_key()), version=1)
    assert refusal(signed(info, ECDSA_SHA256, sign(KEY, info))) == "it is no PKCS#10 request in DER"


def test_ten_thousand_extensions_are_refused_by_size() -> None:
    extension = sequence(bytes.fromhex("06032a0304"), element(0x04))
    wanted = element(SET, sequence(*[extension] * 10_000))
    attribute = sequence(bytes.fromhex("06092a864886f70d01090e"), wanted)  # extensionRequest, PKCS#9
    info = request_info(spki_der(KEY.public_key()), attributes=attribute)
    assert "at most 4096" in refusal(signed(info, ECDSA_SHA256, sign(KEY, info)))


@pytest.mark.parametrize("size", [MAX_CSR_BYTES + 1, 1 << 20])
def test_a_long_text_is_refused_before_it_is_parsed(size: int) -> None:
    assert f"has {size} bytes" in refusal(b"\0" * size)


def test_a_request_of_the_largest_size_is_read() -> None:
    filler = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.1"), b"x" * 3800)
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    der = builder.add_extension(filler, critical=False).sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)
    assert MAX_CSR_BYTES - 100 < len(der) <= MAX_CSR_BYTES
    assert read_csr(der).node_id == node_id_of(KEY.public_key())


@given(st.binary(max_size=600))
def test_any_bytes_are_refused(data: bytes) -> None:
    refusal(data)


@given(
    edits=st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 8),
)
def test_a_damaged_request_is_refused(edits: list[tuple[int, int]], cut: int) -> None:
    damaged = bytearray(GOOD)
    for position, value in edits:
        damaged[position] = value
    data = bytes(damaged[: len(damaged) - cut])
    if data != GOOD:
        refusal(data)


@given(subject=st.binary(max_size=80), spki=st.binary(max_size=120), signature=st.binary(max_size=80))
def test_pieces_of_rubbish_in_the_right_order_are_refused(subject: bytes, spki: bytes, signature: bytes) -> None:
    refusal(signed(request_info(spki, subject=subject), ECDSA_SHA256, signature))
    refusal(signed(request_info(sequence(spki), subject=sequence(subject)), ECDSA_SHA256, signature))
