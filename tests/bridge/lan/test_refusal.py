"""The words of refusals: never what makes a client pause for good, always what fits a close frame."""

from __future__ import annotations

import pytest

from bridge.lan import refusal
from bridge.lan.refusal import Refusal

ALL = {
    "invalid": refusal.invalid("at client/id: wrong"),
    "first": refusal.first_must_connect(),
    "protocol": refusal.protocol_mismatch(1, 2),
    "device": refusal.device_auth("DEVICE_AUTH_NONCE_MISMATCH", "device nonce mismatch"),
    "token": refusal.token_mismatch(),
    "device-token": refusal.device_token_mismatch(),
    "missing": refusal.token_missing(),
    "bootstrap": refusal.bootstrap_invalid(),
    "port": refusal.wrong_port("mutual TLS"),
    "not paired": refusal.not_paired(),
    "closed": refusal.pairing_closed("a" * 64, "node"),
    "busy": refusal.busy(1_000),
    "unavailable": refusal.unavailable("disk"),
    "pairing": refusal.pairing_required("req-1", "a" * 64, "node"),
    "denied": refusal.pairing_denied("a" * 64, "node"),
}


@pytest.mark.parametrize("answer", ALL.values(), ids=ALL)
def test_every_refusal_has_a_code_a_message_and_a_close(answer: Refusal) -> None:
    assert answer.error.code in {"INVALID_REQUEST", "NOT_PAIRED", "UNAVAILABLE"}
    assert answer.error.message
    assert answer.close in {1002, 1008, 1013}
    assert "AUTH_RATE_LIMITED" not in str(answer.error.as_json())


def test_a_close_reason_is_cut_between_characters() -> None:
    assert refusal.unavailable("é" * 100).reason == "é" * 60
    assert len(refusal.unavailable("x" + "é" * 100).reason.encode()) == 119


@pytest.mark.parametrize("name", ["busy", "unavailable"])
def test_what_is_temporary_says_when_to_come_back(name: str) -> None:
    answer = ALL[name]
    assert answer.error.retryable is True
    assert answer.error.retry_after_ms
    assert answer.close == 1013


def test_only_a_mismatch_of_the_shared_token_may_be_tried_again() -> None:
    may = {name for name, answer in ALL.items() if answer.error.detail("canRetryWithDeviceToken") is True}
    assert may == {"token"}
