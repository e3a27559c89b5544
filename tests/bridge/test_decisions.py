"""Requests that were decided are remembered for a while, and not for ever."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bridge.decisions import MAX_REMEMBERED, RecentDecisions
from bridge.lan.events import Outcome
from bridge.pairing.desk import PairingRequest
from bridge.pairing.reception import Asked, Settled, WindowOpened
from tests.bridge.pairing.samples import draft


def request(id: str) -> PairingRequest:
    return PairingRequest(id, draft(), "192.168.1.33", datetime.now(UTC), 0.0)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_how_a_request_ended_is_remembered_in_words(outcome: Outcome) -> None:
    decisions = RecentDecisions()
    decisions.note(Settled(request("aaaa1111"), outcome))
    assert decisions.ids == ["aaaa1111"]
    assert decisions.said("aaaa1111")


def test_what_is_still_open_is_not_remembered() -> None:
    decisions = RecentDecisions()
    decisions.note(Asked(request("aaaa1111")))
    decisions.note(WindowOpened())
    assert decisions.ids == []


def test_a_flood_pushes_out_the_oldest_and_takes_no_more_room() -> None:
    decisions = RecentDecisions()
    for number in range(MAX_REMEMBERED * 20):
        decisions.note(Settled(request(f"{number:08x}"), Outcome.EXPIRED))
    assert len(decisions.ids) == MAX_REMEMBERED
    assert decisions.ids[-1] == f"{MAX_REMEMBERED * 20 - 1:08x}"
    assert "00000000" not in decisions.ids
