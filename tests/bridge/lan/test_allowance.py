"""What a key may use up: of each limit its share, over all sockets, and no way to be forgotten in between."""

from __future__ import annotations

import pytest

from acl.refusals import RefusalMeter
from bridge.config import LimitsTable
from bridge.lan.allowance import (
    FRAME_BYTES,
    FRAMES_AT_A_TIME,
    FRAMES_BURST,
    FRAMES_PER_SECOND,
    MAX_KEYS,
    Allowance,
    Allowances,
    Limit,
)

T = 1_000.0


def taken(allowance: Allowance, limit: Limit, times: int, now: float = T) -> int:
    return sum(allowance.take(limit, now) == 0.0 for _ in range(times))


@pytest.mark.parametrize(
    ("limit", "at_once", "seconds", "then"),
    [
        (Limit.CALLS, 40, 1, 20),
        (Limit.EVENTS, 300, 60, 300),
        (Limit.VOICE, 30, 60, 30),
        (Limit.AGENT, 20, 60, 20),
        (Limit.INVOKES, 100, 1, 50),
        (Limit.SNAPSHOTS, 30, 60, 30),
    ],
)
def test_each_limit_is_the_one_that_was_agreed_on(limit: Limit, at_once: int, seconds: int, then: int) -> None:
    allowance = Allowance(LimitsTable())
    assert taken(allowance, limit, 1_000) == at_once
    assert taken(allowance, limit, 1_000, T + seconds) == then


def test_what_is_configured_is_what_counts() -> None:
    allowance = Allowance(LimitsTable(voice_per_minute=2, calls_burst=3))
    assert (taken(allowance, Limit.VOICE, 9), taken(allowance, Limit.CALLS, 9)) == (2, 3)


def test_one_limit_takes_nothing_of_another() -> None:
    allowance = Allowance(LimitsTable())
    taken(allowance, Limit.CALLS, 1_000)
    assert taken(allowance, Limit.EVENTS, 1) == 1


def test_the_third_burst_in_a_row_is_one_too_many() -> None:
    """Red when there is no `_excess`, and when a client that keeps the pace that it was told is ended."""
    allowance = Allowance(LimitsTable())
    assert [allowance.is_too_much(T) for _ in range(81)] == [False] * 80 + [True]
    patient = Allowance(LimitsTable())
    assert not any(patient.is_too_much(T + number / 20) for number in range(10_000))


def test_use_is_shown_with_how_often_the_limit_was_met() -> None:
    allowance = Allowance(LimitsTable())
    taken(allowance, Limit.CALLS, 50)
    use = allowance.uses(T)[Limit.CALLS]
    assert (use.used, use.of, use.met) == (40.0, 40, 10)
    assert allowance.uses(T).keys() == set(Limit)


def test_reading_pauses_when_more_frames_come_than_anybody_needs() -> None:
    allowance = Allowance(LimitsTable())
    for _ in range(FRAMES_BURST):
        assert allowance.pause(T) == 0.0
        allowance.read(T)
    allowance.read(T)
    wait = allowance.pause(T)
    assert 0.0 < wait <= (FRAMES_AT_A_TIME + 1) / FRAMES_PER_SECOND
    for _ in range(FRAMES_AT_A_TIME):
        assert allowance.pause(T + wait) == 0.0
        allowance.read(T + wait)
    assert allowance.pause(T + wait) > 0.0


def test_large_frames_are_read_more_slowly_than_small_ones() -> None:
    """A flood of them costs decryption and copies. Red when a frame is a frame whatever its size; the largest one, a
    clip of the camera, pauses nobody noticeably."""
    allowance, largest = Allowance(LimitsTable()), LimitsTable().frame_max_bytes
    allowance.read(T, largest)
    assert allowance.pause(T) < 0.2
    now = T
    for _ in range(10):
        now += allowance.pause(now)
        allowance.read(now, largest)
    assert 10 * largest / (now - T) < 2 * FRAMES_PER_SECOND * FRAME_BYTES
    assert allowance.pause(now) <= (FRAMES_BURST + FRAMES_AT_A_TIME) / FRAMES_PER_SECOND, "never for long"


@pytest.mark.parametrize("limit", list(Limit))
def test_a_key_is_idle_when_a_new_one_would_have_no_more(limit: Limit) -> None:
    allowance = Allowance(LimitsTable())
    assert allowance.is_idle(T)
    allowance.take(limit, T)
    assert not allowance.is_idle(T)
    assert allowance.is_idle(T + 61)


def test_refusals_keep_a_key_from_being_idle() -> None:
    meter = RefusalMeter()
    allowance = Allowance(LimitsTable(), meter)
    meter.refuse(T)
    assert not allowance.is_idle(T)
    assert not allowance.is_idle(T + 61), "its row goes on"
    meter.accept()
    assert allowance.is_idle(T + 61)


def test_a_key_has_one_allowance_however_often_it_comes() -> None:
    allowances = Allowances(LimitsTable())
    first = allowances.of("a", T)
    assert allowances.get("a") is first is allowances.of("a", T)
    assert allowances.get("b") is None
    assert list(allowances) == [first]


def test_a_flood_of_keys_forgets_the_idle_ones_first() -> None:
    """Red when the oldest is forgotten whatever it has used up: the first key would begin anew."""
    allowances = Allowances(LimitsTable())
    taken(allowances.of("busy", T), Limit.CALLS, 100)
    for number in range(5 * MAX_KEYS):
        allowances.of(f"{number}", T)
        assert len(allowances) <= MAX_KEYS
    assert taken(allowances.of("busy", T), Limit.CALLS, 1) == 0


def test_when_none_is_idle_the_one_that_came_longest_ago_goes() -> None:
    allowances = Allowances(LimitsTable())
    for number in range(MAX_KEYS + 1):
        allowances.of(f"{number}", T).take(Limit.CALLS, T)
    assert (len(allowances), allowances.get("0")) == (MAX_KEYS, None)
    assert allowances.get("1") is not None
