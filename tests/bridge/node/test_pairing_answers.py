"""Answers of the pairing routes: read strictly; whatever a bridge sends ends as a value or as `BadAnswer`."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.node.pairing_answers import (
    MAX_MESSAGE_CHARS,
    MAX_RETRY_MS,
    BridgeKeys,
    Challenge,
    Opened,
    Renewed,
    Standing,
    next_of,
    own_id,
    read_answer,
    read_body,
    read_certificate,
    read_nonce,
    read_refusal,
)
from bridge.node.pairing_errors import BadAnswer
from certs.keys import NodeKey
from tests.bridge.node.stages import new_key

NONCE = "A" * 42 + "E"
HASH = "ab" * 32
KEY: NodeKey = new_key().public_key()

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
members = st.sampled_from(
    ["status", "nodeId", "certificate", "permissions", "nextSpki", "id", "nonce", "bridge", "spki"]
)


@given(body=st.dictionaries(members, json_values) | json_values)
def test_nothing_but_bad_answer_comes_out(body: Any) -> None:
    for kind in (Opened, Standing, Renewed, Challenge, BridgeKeys):
        with contextlib.suppress(BadAnswer):
            read_answer(kind, body)


@given(data=st.binary(max_size=200), status=st.integers(400, 599))
def test_any_bytes_are_a_refusal(data: bytes, status: int) -> None:
    assert read_refusal(status, data).status == status


@given(data=st.binary(max_size=200))
def test_any_bytes_are_json_or_a_bad_answer(data: bytes) -> None:
    with contextlib.suppress(BadAnswer):
        read_body(data)


@given(pem=st.text(max_size=200))
def test_any_text_is_no_certificate(pem: str) -> None:
    with pytest.raises(BadAnswer):
        read_certificate(pem, KEY, datetime.now(UTC))


class TestRefusal:
    def test_its_parts_are_read(self) -> None:
        body = {"error": {"code": "RATE_LIMITED", "message": "later", "retryAfterMs": 1500, "details": {}}}
        refused = read_refusal(429, json.dumps(body).encode())
        assert (refused.code, refused.message, refused.retry_after_s) == ("RATE_LIMITED", "later", 1.5)

    def test_its_words_can_be_shown(self) -> None:
        body = {"error": {"code": "A", "message": "a\x1b[31m\nb\u202ec"}}
        assert read_refusal(400, json.dumps(body).encode()).message == "a [31m b c"

    @pytest.mark.parametrize(
        "error",
        [
            {"code": "lower", "message": ""}, {"code": "A" * 65, "message": ""}, {"code": "A"}, {"message": ""}, [],
            {"code": "A", "message": "x" * (MAX_MESSAGE_CHARS + 1)}, {"code": "A", "message": "", "retryAfterMs": -1},
            {"code": "A", "message": "", "retryAfterMs": MAX_RETRY_MS + 1},
            {"code": "A", "message": "", "retryAfterMs": "1"}, {"code": "A", "message": "", "retryAfterMs": True},
        ],
    )  # fmt: skip
    def test_one_that_is_not_in_form_is_named_by_its_status(self, error: object) -> None:
        refused = read_refusal(503, json.dumps({"error": error}).encode())
        assert (refused.code, refused.retry_after_s) == ("HTTP_503", None)


class TestMembers:
    def test_a_nonce_is_32_bytes_and_not_zero(self) -> None:
        assert len(read_nonce(NONCE)) == 32
        for text in ("A" * 43, "A" * 42 + "B", "A" * 42, "A" * 44, NONCE + "=="):
            with pytest.raises(BadAnswer, match="nonce"):
                read_nonce(text)

    def test_an_id_is_ours_or_not_said(self) -> None:
        own_id(None, HASH)
        own_id(HASH, HASH)
        with pytest.raises(BadAnswer):
            own_id("cd" * 32, HASH)

    def test_the_present_key_is_no_next_one(self) -> None:
        assert next_of(HASH, HASH) is None
        assert next_of(None, HASH) is None
        assert next_of("cd" * 32, HASH) == "cd" * 32

    @pytest.mark.parametrize("spki", [HASH + "\n", HASH.upper(), HASH[:-1], "", None, 1])
    def test_a_hash_has_one_spelling(self, spki: str | int | None) -> None:
        with pytest.raises(BadAnswer, match="spki"):
            read_answer(BridgeKeys, {"spki": spki})

    def test_wire_names_are_the_only_ones(self) -> None:
        assert read_answer(BridgeKeys, {"spki": HASH, "next_spki": HASH}).next_spki is None
        assert read_answer(BridgeKeys, {"spki": HASH, "nextSpki": HASH}).next_spki == HASH
