"""The proof of a key: every way in which a signature can be for something else than this socket."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bridge.lan.admission import Challenge, ProvenKey, agree_protocol, prove_key
from bridge.lan.connect import read_connect
from bridge.lan.refusal import Refusal
from tests.bridge.lan.phones import ALL_PHONES, ANDROID, CHALLENGE, IPHONE, NODE_HOST, Json, Phone, b64

NOW_MS = CHALLENGE.ts_ms
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


def prove(params: Json, challenge: Challenge = CHALLENGE, now_ms: int = NOW_MS) -> ProvenKey | str:
    """Returns the proven key, or the code of the refusal."""
    proven = prove_key(read_connect(params), challenge, now_ms)
    if isinstance(proven, ProvenKey):
        return proven
    assert isinstance(proven, Refusal)
    assert proven.close == 1008
    code = proven.error.detail("code")
    assert isinstance(code, str)
    assert proven.error.detail("reason") == code.lower().replace("_", "-")
    return code


def with_device(params: Json, **changes: Any) -> Json:
    return {**params, "device": {**params["device"], **changes}}


ROLES = [
    (phone, role) for phone in ALL_PHONES for role in ("node", "operator") if (phone, role) != (NODE_HOST, "operator")
]


@pytest.mark.parametrize("phone, role", ROLES, ids=lambda value: getattr(value, "client_id", value))
@pytest.mark.parametrize("version", [2, 3])
def test_both_versions_prove_the_key_in_both_roles(phone: Phone, role: str, version: int) -> None:
    params = phone.signed(phone.params(role, scopes=["operator.read", "operator.write"]), version=version)
    assert prove(params) == ProvenKey(phone.node_id, b64(phone.raw_key))


def test_no_device_block_is_no_identity() -> None:
    refused = prove_key(read_connect(IPHONE.params()), CHALLENGE, NOW_MS)
    assert isinstance(refused, Refusal)
    assert (refused.error.code, refused.error.detail("code")) == ("NOT_PAIRED", "DEVICE_IDENTITY_REQUIRED")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "!" * 43,
        b64(bytes(32)),  # small order
        b64(b"\x01" + bytes(31)),  # the neutral element
        b64(b"\x01" + bytes(30) + b"\x80"),  # the same with a sign
        b64(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")),
        b64(IPHONE.raw_key[:31]),
        b64(IPHONE.raw_key + b"x"),
        base64.b64encode(b"\xff" * 32).decode(),  # the other alphabet
    ],
)
def test_a_key_in_another_form_or_of_small_order_is_refused(key: str) -> None:
    assert prove(with_device(IPHONE.signed(IPHONE.params()), publicKey=key)) == "DEVICE_AUTH_PUBLIC_KEY_INVALID"


def test_the_id_must_be_the_hash_of_the_key() -> None:
    params = with_device(IPHONE.signed(IPHONE.params()), id=ANDROID.node_id)
    assert prove(params) == "DEVICE_AUTH_DEVICE_ID_MISMATCH"


@pytest.mark.parametrize("skew", [-120_001, -3_600_000, 120_001, 3_600_000])
def test_a_signature_is_too_old_or_too_young_beyond_two_minutes(skew: int) -> None:
    params = ANDROID.signed(ANDROID.params(), signed_at=NOW_MS + skew)
    assert prove(params) == "DEVICE_AUTH_SIGNATURE_EXPIRED"


@pytest.mark.parametrize("skew", [-120_000, -1, 0, 120_000])
def test_a_phone_clock_may_be_off_by_two_minutes(skew: int) -> None:
    assert isinstance(prove(ANDROID.signed(ANDROID.params(), signed_at=NOW_MS + skew)), ProvenKey)


def test_an_empty_nonce_is_named() -> None:
    assert prove(with_device(IPHONE.signed(IPHONE.params()), nonce="")) == "DEVICE_AUTH_NONCE_REQUIRED"


@pytest.mark.parametrize("nonce", ["nonce-of-another-socket", "NONCE-OF-THIS-SOCKET", "nonce-of-this-socke", "ñonce"])
def test_the_nonce_of_another_socket_is_refused_although_it_is_signed(nonce: str) -> None:
    params = IPHONE.signed(IPHONE.params(), replace(CHALLENGE, nonce=nonce))
    assert prove(params) == "DEVICE_AUTH_NONCE_MISMATCH"


def test_our_nonce_beside_a_signature_over_another_is_refused() -> None:
    other = IPHONE.signed(IPHONE.params(), Challenge("nonce-of-another-socket", NOW_MS))
    assert prove(with_device(other, nonce=CHALLENGE.nonce)) == "DEVICE_AUTH_SIGNATURE_INVALID"


def test_a_nonce_is_trimmed_as_the_gateway_does() -> None:
    params = with_device(IPHONE.signed(IPHONE.params()), nonce=f" {CHALLENGE.nonce}\n")
    assert isinstance(prove(params), ProvenKey)


def test_the_signature_of_another_key_is_refused() -> None:
    assert prove(IPHONE.signed(IPHONE.params(), key=Ed25519PrivateKey.generate())) == "DEVICE_AUTH_SIGNATURE_INVALID"


@pytest.mark.parametrize("signature", ["", "x", "A" * 86, "A" * 128, "é" * 10, b64(b"x" * 63), b64(b"x" * 65)])
def test_a_signature_of_another_form_is_refused(signature: str) -> None:
    params = with_device(IPHONE.signed(IPHONE.params()), signature=signature)
    assert prove(params) == "DEVICE_AUTH_SIGNATURE_INVALID"


def test_a_signature_with_s_beyond_the_order_is_refused() -> None:
    params = IPHONE.signed(IPHONE.params())
    raw = base64.urlsafe_b64decode(params["device"]["signature"] + "==")
    beyond = (int.from_bytes(raw[32:], "little") + GROUP_ORDER).to_bytes(32, "little")
    params = with_device(params, signature=b64(raw[:32] + beyond))
    assert prove(params) == "DEVICE_AUTH_SIGNATURE_INVALID"


SIGNED = {
    "role": ("operator", "node"),
    "scopes": (["operator.read"], ["operator.read", "operator.admin"]),
    "auth": ({"token": "mine"}, {"token": "another"}),
}


@pytest.mark.parametrize("name", SIGNED)
def test_what_is_signed_cannot_be_changed_afterwards(name: str) -> None:
    params = IPHONE.params("operator") | {name: SIGNED[name][0]}
    assert isinstance(prove(IPHONE.signed(params)), ProvenKey)
    tampered = {**IPHONE.signed(params), name: SIGNED[name][1]}
    if name == "role":
        tampered["client"] = {**tampered["client"], "mode": "node"}
    assert prove(tampered) == "DEVICE_AUTH_SIGNATURE_INVALID"


@pytest.mark.parametrize("name", ["id", "platform", "deviceFamily"])
def test_version_3_covers_the_client_as_well(name: str) -> None:
    params = ANDROID.signed(ANDROID.params())
    params["client"] = {**params["client"], name: "openclaw-ios" if name == "id" else "iPad"}
    assert prove(params) == "DEVICE_AUTH_SIGNATURE_INVALID"


@pytest.mark.parametrize(
    "auth",
    [
        {"token": "t", "deviceToken": "d", "bootstrapToken": "b"},
        {"deviceToken": "d", "bootstrapToken": "b"},
        {"bootstrapToken": "b"},
        {"token": "", "deviceToken": "d"},
        {"password": "p"},
        {},
    ],
)
def test_the_token_under_the_signature_follows_the_rule(auth: Json) -> None:
    assert isinstance(prove(IPHONE.signed(IPHONE.params(auth=auth))), ProvenKey)


def test_an_empty_token_is_present() -> None:
    over_the_next = IPHONE.signed(IPHONE.params(auth={"deviceToken": "d"}))
    over_the_next["auth"] = {"token": "", "deviceToken": "d"}
    assert prove(over_the_next) == "DEVICE_AUTH_SIGNATURE_INVALID"


@pytest.mark.parametrize(
    ("role", "lowest", "highest", "agreed"),
    [
        ("node", 4, 4, 4),
        ("node", 3, 4, 4),
        ("node", 3, 3, 3),
        ("node", 1, 9999, 4),
        ("node", 1, 3, 3),
        ("node", 2, 2, None),
        ("node", 5, 9, None),
        ("node", 4, 3, None),
        ("operator", 4, 4, 4),
        ("operator", 3, 5, 4),
        ("operator", 3, 3, None),
        ("operator", 5, 5, None),
    ],
)
def test_version_4_is_spoken_and_version_3_with_nodes_only(
    role: str, lowest: int, highest: int, agreed: int | None
) -> None:
    params = {**IPHONE.params(role), "minProtocol": lowest, "maxProtocol": highest}
    assert agree_protocol(read_connect(params)) == agreed
