"""At the node port TLS has proved the key: what a `device` block beside it may say, and what the store says then."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.lan.admission import Enter, ProvenKey, Verdict, prove, verdict_on
from bridge.lan.connect import read_connect
from bridge.lan.refusal import Refusal
from bridge.pairing.records import NodeRecord, Security
from tests.bridge.lan.phones import ANDROID, CHALLENGE, IPHONE, WALL, Json
from tests.bridge.lan.playbook import book

ME = IPHONE.node_id
RECORD = IPHONE.record(security=Security.MTLS)


def proven(params: Json, certified: str = ME) -> ProvenKey | Any:
    """Returns the proven key, or the code of the refusal."""
    key = prove(read_connect(params), CHALLENGE, CHALLENGE.ts_ms, certified)
    return key if isinstance(key, ProvenKey) else key.error.detail("code")


def verdict(record: NodeRecord | None, params: Json | None = None) -> Verdict:
    directory = book(*([record] if record is not None else []))
    connect = read_connect(params if params is not None else IPHONE.params())
    return verdict_on(connect, ProvenKey(ME, ""), directory, WALL, certified=True)


def code_of(found: Verdict) -> Any:
    assert isinstance(found, Refusal), found
    return found.error.detail("code")


def test_a_device_block_is_not_needed_and_may_name_the_same_node() -> None:
    assert proven(IPHONE.params()) == ProvenKey(ME, "")
    assert proven(IPHONE.signed(IPHONE.params())) == ProvenKey(ME, "")


def test_it_may_not_name_another() -> None:
    assert proven(ANDROID.signed(ANDROID.params())) == "DEVICE_AUTH_DEVICE_ID_MISMATCH"


def test_one_that_proves_nothing_is_not_overlooked() -> None:
    signed = IPHONE.signed(IPHONE.params())
    stale = {**signed, "device": {**signed["device"], "signature": "AA"}}
    assert proven(stale) == "DEVICE_AUTH_SIGNATURE_INVALID"


def test_without_a_certificate_only_the_device_block_proves_anything() -> None:
    refused = prove(read_connect(IPHONE.params()), CHALLENGE, CHALLENGE.ts_ms, None)
    assert isinstance(refused, Refusal)


@pytest.mark.parametrize("auth", [None, {"token": "x"}, {"bootstrapToken": "x"}])
def test_a_paired_node_gets_in_and_gets_no_token(auth: Json | None) -> None:
    assert verdict(RECORD, IPHONE.params(auth=auth)) == Enter(None)


@pytest.mark.parametrize(
    "record", [None, IPHONE.record(security=Security.MTLS, revoked_at=WALL)], ids=["unknown", "revoked"]
)
def test_a_certificate_opens_nothing_that_the_store_does_not(record: NodeRecord | None) -> None:
    assert code_of(verdict(record)) == "NOT_PAIRED"


def test_a_key_that_was_paired_at_the_app_port_is_refused_here() -> None:
    assert code_of(verdict(IPHONE.record())) == "DEVICE_AUTH_INVALID"


def test_another_kind_of_device_is_a_new_pairing() -> None:
    assert code_of(verdict(RECORD, ANDROID.params())) == "PAIRING_REQUIRED"
