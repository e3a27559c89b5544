"""Device identities: keys, ids, the signed payloads, and everything that only looks like a signature (A11, A12)."""

import base64
import dataclasses
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from gateway_client.identity import (
    BadKeyError,
    DeviceIdentity,
    SignedFields,
    decode_base64url,
    device_id_of,
    encode_base64url,
    payload_v2,
    payload_v3,
    read_public_key,
    verify_payload,
)
from tests.gateway_client.curve import L, small_order_encodings

# RFC 8032 section 7.1, test 2: secret, public key, message, signature.
RFC_8032 = [
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb0"
        "0d291612bb0c00",
    ),
]
FIELDS = SignedFields(
    device_id="d" * 64,
    client_id="openclaw-ios",
    client_mode="node",
    role="node",
    scopes=(),
    signed_at_ms=1795208478080,
    token="T",
    nonce="c8240848-57fa-42eb-ae5d-518a4d82982c",
    platform=" iOS 26.1 ",
    device_family="iPhone",
)
GOLDEN_V2 = f"v2|{'d' * 64}|openclaw-ios|node|node||1795208478080|T|c8240848-57fa-42eb-ae5d-518a4d82982c"
IDENTITY = DeviceIdentity(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
BLANK_LINES = ("\n", "\r\n", "\t", " ")


def test_the_payloads_are_spelled_as_the_gateway_spells_them() -> None:
    assert payload_v2(FIELDS).decode() == GOLDEN_V2
    assert payload_v3(FIELDS).decode() == "v3" + GOLDEN_V2[2:] + "|ios 26.1|iphone"


def test_an_operators_payload_names_its_scopes_in_order_and_needs_no_token() -> None:
    fields = dataclasses.replace(
        FIELDS, role="operator", scopes=("operator.write", "operator.read"), token="", platform="", device_family=""
    )
    assert payload_v3(fields).decode().split("|")[4:] == [
        "operator",
        "operator.write,operator.read",
        "1795208478080",
        "",
        FIELDS.nonce,
        "",
        "",
    ]


def test_only_ascii_letters_of_platform_and_family_are_folded() -> None:
    fields = dataclasses.replace(FIELDS, platform="ÄAZ[@\u212a\u0130", device_family="\u00c9IPAD")
    assert payload_v3(fields).decode().split("|")[-2:] == ["Äaz[@\u212a\u0130", "\u00c9ipad"]


def test_the_id_is_the_hash_of_the_raw_key() -> None:
    assert IDENTITY.device_id == hashlib.sha256(IDENTITY.public_key).hexdigest() == device_id_of(IDENTITY.public_key)
    assert IDENTITY.public_key_text == base64.urlsafe_b64encode(IDENTITY.public_key).decode()[:43]


def test_a_printed_identity_shows_nothing_but_the_start_of_its_id() -> None:
    assert repr(IDENTITY) == f"DeviceIdentity({IDENTITY.device_id[:8]})"


@pytest.mark.parametrize("secret, public, message, signature", RFC_8032)
def test_keys_and_signatures_are_those_of_rfc_8032(secret: str, public: str, message: str, signature: str) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    assert DeviceIdentity(key).public_key.hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature


@pytest.mark.parametrize("version", [2, 3])
def test_a_signature_says_which_payload_it_covers(version: int) -> None:
    signature = IDENTITY.sign(FIELDS, version)
    assert len(signature) == 86
    assert verify_payload(IDENTITY.public_key, FIELDS, signature) == version
    raw = decode_base64url(signature, 64)
    payload = payload_v3(FIELDS) if version == 3 else payload_v2(FIELDS)
    Ed25519PublicKey.from_public_bytes(IDENTITY.public_key).verify(raw, payload)


def test_version_3_is_signed_unless_asked_otherwise() -> None:
    assert verify_payload(IDENTITY.public_key, FIELDS, IDENTITY.sign(FIELDS)) == 3


OTHERS = {
    "device_id": dataclasses.replace(FIELDS, device_id="e" * 64),
    "client_id": dataclasses.replace(FIELDS, client_id="node-host"),
    "client_mode": dataclasses.replace(FIELDS, client_mode="ui"),
    "role": dataclasses.replace(FIELDS, role="operator"),
    "scopes": dataclasses.replace(FIELDS, scopes=("operator.read",)),
    "signed_at_ms": dataclasses.replace(FIELDS, signed_at_ms=FIELDS.signed_at_ms + 1),
    "token": dataclasses.replace(FIELDS, token=""),
    "nonce": dataclasses.replace(FIELDS, nonce=FIELDS.nonce[:-1] + "e"),
}


@pytest.mark.parametrize("changed", OTHERS.values(), ids=OTHERS.keys())
@pytest.mark.parametrize("version", [2, 3])
def test_every_field_is_covered(changed: SignedFields, version: int) -> None:
    assert verify_payload(IDENTITY.public_key, changed, IDENTITY.sign(FIELDS, version)) is None


def test_only_version_3_covers_platform_and_family() -> None:
    for changed in (dataclasses.replace(FIELDS, platform="android"), dataclasses.replace(FIELDS, device_family="iPad")):
        assert verify_payload(IDENTITY.public_key, changed, IDENTITY.sign(FIELDS, 3)) is None
        assert verify_payload(IDENTITY.public_key, changed, IDENTITY.sign(FIELDS, 2)) == 2


def test_another_keys_signature_is_worth_nothing() -> None:
    other = DeviceIdentity(Ed25519PrivateKey.generate())
    assert verify_payload(IDENTITY.public_key, FIELDS, other.sign(FIELDS)) is None
    assert verify_payload(other.public_key, FIELDS, IDENTITY.sign(FIELDS)) is None


def test_a_signature_with_s_beyond_the_order_is_refused() -> None:
    raw = decode_base64url(IDENTITY.sign(FIELDS), 64)
    beyond = int.from_bytes(raw[32:], "little") + L
    forged = raw[:32] + beyond.to_bytes(32, "little")
    assert verify_payload(IDENTITY.public_key, FIELDS, encode_base64url(forged)) is None


@pytest.mark.parametrize("bit", range(0, 512, 7))
def test_a_signature_with_one_bit_changed_is_refused(bit: int) -> None:
    raw = bytearray(decode_base64url(IDENTITY.sign(FIELDS), 64))
    raw[bit // 8] ^= 1 << bit % 8
    assert verify_payload(IDENTITY.public_key, FIELDS, encode_base64url(bytes(raw))) is None


def test_fourteen_encodings_have_small_order_and_all_are_refused() -> None:
    encodings = small_order_encodings()
    assert len(encodings) == 14
    for raw in encodings:
        with pytest.raises(BadKeyError, match="small order"):
            read_public_key(encode_base64url(raw))


@pytest.mark.parametrize("public", [vector[1] for vector in RFC_8032] + ["02" + "00" * 31, "ff" * 32, "00" * 31 + "01"])
def test_other_keys_are_read(public: str) -> None:
    assert read_public_key(encode_base64url(bytes.fromhex(public))).hex() == public


@pytest.mark.parametrize("length", [32, 64])
def test_base64url_is_read_padded_or_not(length: int) -> None:
    data = b"\xfb\xef\xbe\xff" * (length // 4)  # `-` and `_` in every spelling
    padded = base64.urlsafe_b64encode(data).decode()
    assert decode_base64url(padded, length) == decode_base64url(padded.rstrip("="), length) == data


KEY_TEXT = IDENTITY.public_key_text
BAD_TEXTS = {
    "empty": "", "padding only": "=", "short": KEY_TEXT[:-1], "long": KEY_TEXT + "A",
    "too much padding": KEY_TEXT + "==",
    "three": KEY_TEXT + "===", "inner padding": KEY_TEXT[:20] + "=" + KEY_TEXT[20:], "leading padding": "=" + KEY_TEXT,
    "standard alphabet": "+" + KEY_TEXT[1:], "slash": "/" + KEY_TEXT[1:], "blank": KEY_TEXT[:-1] + " ",
    "nul": KEY_TEXT + "\x00",
    "dot": KEY_TEXT[:-1] + ".",
    "full width": "\uff21" + KEY_TEXT[1:], "digit": "\u0661" + KEY_TEXT[1:], "hex": IDENTITY.public_key.hex(),
    "pem": "-----BEGIN PUBLIC KEY-----", "one character": "A", "five characters": "AAAAA", "41 characters": "A" * 41,
    **{f"blank {blank!r} after": KEY_TEXT + blank for blank in BLANK_LINES},
    **{f"blank {blank!r} before": blank + KEY_TEXT for blank in BLANK_LINES},
    **{f"blank {blank!r} inside": KEY_TEXT[:9] + blank + KEY_TEXT[9:] for blank in BLANK_LINES},
}  # fmt: skip


@pytest.mark.parametrize("text", BAD_TEXTS.values(), ids=BAD_TEXTS.keys())
def test_what_is_not_base64url_of_the_length_is_refused(text: str) -> None:
    with pytest.raises(BadKeyError):
        read_public_key(text)
    with pytest.raises(BadKeyError):
        verify_payload(IDENTITY.public_key, FIELDS, text)


def test_bits_that_no_encoder_writes_are_refused() -> None:
    assert decode_base64url("A" * 43, 32) == bytes(32)
    for last in "BCDHP_":  # 43 characters carry two bits too many, which are zero
        with pytest.raises(BadKeyError):
            decode_base64url("A" * 42 + last, 32)


@given(st.binary(max_size=70))
def test_base64url_survives(data: bytes) -> None:
    text = encode_base64url(data)
    assert "=" not in text
    if data:
        assert decode_base64url(text, len(data)) == data
        with pytest.raises(BadKeyError):
            decode_base64url(text, len(data) + 1)


@given(st.text(max_size=50))
def test_any_text_is_a_key_or_a_bad_key(text: str) -> None:
    try:
        raw = read_public_key(text)
    except BadKeyError:
        return
    assert encode_base64url(raw) == text.rstrip("=")
