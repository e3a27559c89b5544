"""Node keys: what may be one, the ids of known keys, and signatures of both kinds."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from certs.keys import (
    MAX_SPKI_BYTES,
    KeyRefused,
    NodePrivateKey,
    node_id_of,
    read_spki,
    require_node_key,
    sign,
    spki_der,
    verify_signature,
)
from tests.gateway_client.curve import L, P, small_order_encodings
from tests.support.der import EC_PUBLIC_KEY, ED25519, P256, bit_string, sequence

# RFC 8032 section 7.1, test 1.
ED25519_PRIVATE = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
ED25519_PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
# RFC 6979 appendix A.2.5: x is a private key on P-256, (Ux, Uy) its public one.
P256_PRIVATE = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
P256_POINT = bytes.fromhex(
    "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
)
P256_SPKI = sequence(sequence(EC_PUBLIC_KEY, P256), bit_string(b"\x04" + P256_POINT))

KEYS: list[NodePrivateKey] = [
    ec.derive_private_key(P256_PRIVATE, ec.SECP256R1()),
    Ed25519PrivateKey.from_private_bytes(ED25519_PRIVATE),
]
both = pytest.mark.parametrize("key", KEYS, ids=["P-256", "Ed25519"])


def ed25519_spki(raw: bytes) -> bytes:
    return sequence(sequence(ED25519), bit_string(raw))


def test_the_id_of_an_ed25519_key_is_the_hash_of_its_32_bytes() -> None:
    assert node_id_of(KEYS[1].public_key()) == hashlib.sha256(ED25519_PUBLIC).hexdigest()


def test_the_id_of_a_p256_key_is_the_hash_of_its_spki() -> None:
    assert spki_der(KEYS[0].public_key()) == P256_SPKI
    assert node_id_of(KEYS[0].public_key()) == hashlib.sha256(P256_SPKI).hexdigest()


@both
def test_an_spki_comes_back_as_the_same_key(key: NodePrivateKey) -> None:
    der = spki_der(key.public_key())
    assert node_id_of(read_spki(der)) == node_id_of(key.public_key())


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
def test_other_kinds_of_key_are_refused(
    key: ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey | rsa.RSAPrivateKey,
) -> None:
    with pytest.raises(KeyRefused, match="a node's key is on P-256, or Ed25519"):
        require_node_key(key.public_key())
    with pytest.raises(KeyRefused, match="a node's key is on P-256, or Ed25519"):
        read_spki(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def test_a_key_for_agreement_is_no_key_for_a_node() -> None:
    with pytest.raises(KeyRefused):
        require_node_key(x25519.X25519PrivateKey.generate().public_key())


def test_every_ed25519_point_of_small_order_is_refused() -> None:
    encodings = small_order_encodings()
    assert len(encodings) == 14
    for raw in encodings:
        with pytest.raises(KeyRefused, match=r"small order|one spelling"):
            require_node_key(Ed25519PublicKey.from_public_bytes(raw))


@pytest.mark.parametrize("sign_bit", [0, 1 << 255])
@pytest.mark.parametrize("y", range(P, 2**255))
def test_an_ed25519_key_has_one_spelling(y: int, sign_bit: int) -> None:
    with pytest.raises(KeyRefused, match="one spelling"):
        require_node_key(Ed25519PublicKey.from_public_bytes((y | sign_bit).to_bytes(32, "little")))


def test_a_compressed_point_is_a_second_spelling() -> None:
    compressed = KEYS[0].public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    with pytest.raises(KeyRefused, match="named curve and an uncompressed point"):
        read_spki(sequence(sequence(EC_PUBLIC_KEY, P256), bit_string(compressed)))


@pytest.mark.parametrize("der", [b"", b"\0", b"0\0", P256_SPKI[:-1], P256_SPKI + b"\0", ed25519_spki(b"\1" * 31)])
def test_what_is_no_spki_is_refused(der: bytes) -> None:
    with pytest.raises(KeyRefused):
        read_spki(der)


def test_a_point_that_is_not_on_the_curve_is_refused() -> None:
    with pytest.raises(KeyRefused, match="cannot be read"):
        read_spki(sequence(sequence(EC_PUBLIC_KEY, P256), bit_string(b"\x04" + b"\1" * 64)))


def test_a_long_text_is_not_parsed() -> None:
    with pytest.raises(KeyRefused, match=f"at most {MAX_SPKI_BYTES}"):
        read_spki(P256_SPKI + bytes(MAX_SPKI_BYTES))


@given(st.binary(max_size=128))
def test_any_bytes_are_a_key_or_refused(der: bytes) -> None:
    with pytest.raises(KeyRefused):
        read_spki(der)


@given(position=st.integers(0, len(P256_SPKI) - 1), bit=st.integers(0, 7))
def test_a_damaged_spki_is_refused_or_another_key(position: int, bit: int) -> None:
    damaged = bytearray(P256_SPKI)
    damaged[position] ^= 1 << bit
    try:
        key = read_spki(bytes(damaged))
    except KeyRefused:
        return
    assert node_id_of(key) != node_id_of(KEYS[0].public_key())


@both
def test_a_signature_is_good_for_its_key_and_data_only(key: NodePrivateKey) -> None:
    signature = sign(key, b"data")
    public = key.public_key()
    assert verify_signature(public, signature, b"data")
    assert not verify_signature(public, signature, b"dat")
    assert not verify_signature(public, signature + b"\0", b"data")
    for other in (ec.generate_private_key(ec.SECP256R1()), Ed25519PrivateKey.generate(), *KEYS):
        if other is not key:
            assert not verify_signature(other.public_key(), signature, b"data")


def test_the_known_signature_of_rfc_8032() -> None:
    signature = bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert sign(KEYS[1], b"") == signature
    assert verify_signature(KEYS[1].public_key(), signature, b"")


def test_the_known_signature_of_rfc_6979() -> None:
    r = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    s = "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    signature = bytes.fromhex(f"3046022100{r}022100{s}")
    assert verify_signature(KEYS[0].public_key(), signature, b"sample")


def test_a_second_spelling_of_an_ed25519_signature_is_refused() -> None:
    signature = sign(KEYS[1], b"data")
    raised = int.from_bytes(signature[32:], "little") + L  # S + L: RFC 8032 section 5.1.7 demands S < L
    assert not verify_signature(KEYS[1].public_key(), signature[:32] + raised.to_bytes(32, "little"), b"data")


@both
@given(signature=st.binary(max_size=80))
def test_any_bytes_are_an_answer(key: NodePrivateKey, signature: bytes) -> None:
    assert not verify_signature(key.public_key(), signature, b"data")


@both
def test_a_very_long_signature_is_an_answer_too(key: NodePrivateKey) -> None:
    for byte in (b"\x30", b"\0"):
        assert not verify_signature(key.public_key(), byte * 10_000_000, b"data")
