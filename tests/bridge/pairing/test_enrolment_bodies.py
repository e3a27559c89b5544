"""What a native node sends: strict, bounded, and never repeated in an error."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acl.permissions import Permission
from bridge.pairing.enrolment_bodies import (
    MAX_BODY_BYTES,
    BodyError,
    ChallengeBody,
    EnrolBody,
    RenewBody,
    RevealBody,
    gateway_client_id,
    read_body,
)
from gateway_client.identity import encode_base64url
from tests.bridge.pairing.native import NativePhone

PHONE = NativePhone()
CSR = encode_base64url(PHONE.csr.der)
B32 = encode_base64url(b"x" * 32)
DEVICE: dict[str, Any] = {"displayName": "Anna's iPhone", "platform": "ios 26.1", "instanceId": "i1"}
BODY: dict[str, Any] = {"v": 1, "csr": CSR, "commit": B32, "device": DEVICE}


def enrol(**changes: Any) -> EnrolBody:
    return read_body(EnrolBody, orjson.dumps({**BODY, **changes}))


def test_the_least_body_is_read() -> None:
    body = enrol()
    assert body.csr == PHONE.csr.der
    assert body.commit == b"x" * 32
    assert (body.permissions, body.token_id, body.surface().commands) == (None, None, ())
    assert body.device.labels().client_id == "openclaw-ios"


def test_permissions_are_sorted_and_system_is_never_asked_for() -> None:
    assert enrol(permissions=["voice", "system", "screen", "voice"]).permissions == ["screen", "voice"]
    assert Permission.SYSTEM not in (enrol(permissions=["system"]).permissions or [])


def test_the_name_is_cleaned_once() -> None:
    named = enrol(device={**DEVICE, "displayName": " A\u202enna\u200b\x1b[2J\n"})
    assert named.device.labels().display_name == "Anna[2J"
    assert enrol(device={**DEVICE, "displayName": "\u200b"}).device.labels().display_name == "ios 26.1"
    assert enrol(device={**DEVICE, "displayName": "", "deviceFamily": " "}).device.labels().display_name == "ios 26.1"


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"v": True},
        {"v": 1.0},
        {"v": "1"},
        {"csr": CSR + "="},
        {"csr": "A" * 6000},
        {"csr": 1},
        {"csr": ""},
        {"commit": B32[:-1]},
        {"commit": B32 + "="},
        {"commit": None},
        {"device": {}},
        {"device": {**DEVICE, "platform": "\u0456os 26"}},
        {"device": {**DEVICE, "platform": ""}},
        {"device": {**DEVICE, "platform": " "}},
        {"device": {**DEVICE, "displayName": "a" * 513}},
        {"device": {**DEVICE, "extra": 1}},
        {"permissions": ["everything"]},
        {"permissions": "voice"},
        {"permissions": ["voice"] * 33},
        {"commands": ["a"] * 257},
        {"commands": ["a\u0000"]},
        {"commands": ["x" * 129]},
        {"tokenId": "../etc"},
        {"tokenId": ""},
        {"token_id": "abc"},
        {"role": "operator"},
    ],
)
def test_anything_else_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BodyError):
        enrol(**changes)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"null", b"{", b'{"v":1,"v":1}', b'{"v":NaN}', b"\xff", b'{"a":' * 50 + b"1" + b"}" * 50, b"\xfe\xff"],
)
def test_what_is_no_strict_json_is_refused(text: bytes) -> None:
    with pytest.raises(BodyError):
        read_body(EnrolBody, text)


def test_a_body_that_is_too_long_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(BodyError, match="bytes"):
        read_body(EnrolBody, b" " * (MAX_BODY_BYTES + 1))


def test_errors_repeat_no_value() -> None:
    secret = encode_base64url(b"secret nonce of thirty-two bytes")
    with pytest.raises(BodyError) as caught:
        read_body(RevealBody, orjson.dumps({"nonce": secret + "=", "tokenProof": secret}))
    assert secret not in str(caught.value)
    body = read_body(RevealBody, orjson.dumps({"nonce": secret, "tokenProof": secret}))
    assert "secret nonce" not in repr(body)


def test_the_other_bodies() -> None:
    assert read_body(ChallengeBody, orjson.dumps({"nodeId": "ab" * 32})).node_id == "ab" * 32
    assert read_body(RenewBody, orjson.dumps({"csr": CSR})).nonce is None
    with pytest.raises(BodyError):
        read_body(ChallengeBody, orjson.dumps({"nodeId": "AB" * 32}))


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("ios 26.1", "openclaw-ios"),
        ("iPadOS 26", "openclaw-ios"),
        ("Android 15", "openclaw-android"),
        ("linux", "node-host"),
        ("iosx", "node-host"),
    ],
)
def test_its_name_at_the_gateway(platform: str, expected: str) -> None:
    assert gateway_client_id(platform) == expected


@given(st.binary(max_size=400))
def test_no_bytes_lead_to_another_error(data: bytes) -> None:
    for kind in (EnrolBody, RevealBody, ChallengeBody, RenewBody):
        with suppress(BodyError):
            read_body(kind, data)
