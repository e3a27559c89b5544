"""Errors of pairing: every one says what happened and what to do, and keeps what a program needs."""

from __future__ import annotations

import pytest

from bridge.node.pairing_errors import (
    AlreadyUnderWay,
    BadAnswer,
    BridgeMismatch,
    BridgeUnreachable,
    Denied,
    EnrolmentError,
    Expired,
    Refused,
)

ALL = [
    (BridgeUnreachable("h:1", "refused"), "clawdis-bridge status"),
    (BridgeMismatch("a", "b"), "clawdis-bridge status"),
    (BridgeMismatch(None, None), "clawdis-bridge status"),
    (Refused(429, "RATE_LIMITED", "no", 1.5), r"Try again in 1\.5 s"),
    (Denied(), "clawdis-bridge pair"),
    (Expired("nobody came"), "Start it again"),
    (BadAnswer("no JSON"), "same version"),
    (AlreadyUnderWay(), "finish that first"),
]


@pytest.mark.parametrize("error, advice", ALL)
def test_it_says_what_to_do(error: EnrolmentError, advice: str) -> None:
    with pytest.raises(EnrolmentError, match=advice):
        raise error


def test_parts_are_kept() -> None:
    refused = Refused(409, "CONFLICT", "no")
    assert (refused.status, refused.code, refused.message, refused.retry_after_s) == (409, "CONFLICT", "no", None)
    assert "Try again" not in str(refused)
    mismatch = BridgeMismatch("a", "b", "names in its answer")
    assert (mismatch.expected, mismatch.seen) == ("a", "b")
    assert "names in its answer the key b, not a" in str(mismatch)
    assert BadAnswer("x").why == "x"
