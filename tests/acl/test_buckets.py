"""Token buckets: no token too many over any span of time, and nobody waits longer than it was told."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acl.buckets import TokenBucket

T = 1_000.0


def taken(bucket: TokenBucket, times: int, now: float = T) -> int:
    """Returns how many of so many attempts found a token."""
    return sum(bucket.take(now) == 0.0 for _ in range(times))


def test_a_burst_passes_and_no_more() -> None:
    assert taken(TokenBucket(20, 40), 10_000) == 40


def test_a_second_brings_its_rate_and_never_more_than_the_burst() -> None:
    bucket = TokenBucket(20, 40)
    assert taken(bucket, 100) == 40
    assert taken(bucket, 100, T + 1) == 20
    assert taken(bucket, 100, T + 3_600) == 40


def test_whoever_waits_as_long_as_it_was_told_finds_its_token() -> None:
    """Red when a rounding error counts as a missing token."""
    bucket = TokenBucket(0.3, 1)
    now = T
    for _ in range(1_000):
        assert bucket.take(now) == 0.0
        wait = bucket.take(now)
        assert wait > 0
        assert bucket.take(now + wait * 0.99) > 0
        now += wait


def test_nobody_waits_longer_than_a_token_takes_because_of_dust() -> None:
    """Red when what a rounding error lacked is owed: 50 ms, said in whole ones, are 51 then."""
    bucket = TokenBucket(20, 1)
    bucket.take(T)
    now = T + bucket.take(T) - 4e-11
    assert bucket.take(now) == 0.0
    assert bucket.take(now) <= 1 / 20


def test_asking_in_vain_delays_nothing() -> None:
    bucket = TokenBucket(1, 1)
    assert taken(bucket, 1_000) == 1
    assert bucket.wait(T + 0.25) == 0.75
    assert taken(bucket, 1, T + 1) == 1


def test_a_clock_that_stands_or_goes_back_brings_nothing() -> None:
    bucket = TokenBucket(1, 1)
    assert taken(bucket, 1) == 1
    assert taken(bucket, 100, T - 1_000_000) == 0
    assert bucket.wait(T) == 1.0
    full = TokenBucket(1, 1)
    assert full.wait(T) == full.wait(T - 1_000_000) == 0.0, "and takes nothing"


def test_more_than_the_bucket_holds_is_never_there() -> None:
    bucket = TokenBucket(1, 10)
    assert bucket.take(T, 11) == inf
    assert bucket.take(T, 10) == 0.0


def test_what_has_happened_already_is_owed_but_not_for_ever() -> None:
    """Red when `charge` stops at zero, and when it has no bottom."""
    bucket = TokenBucket(1, 10)
    bucket.charge(T, 15)
    assert bucket.wait(T) == 6.0
    bucket.charge(T, 1_000_000)
    assert bucket.wait(T) == 11.0


def test_what_is_given_back_can_be_taken_again_and_never_more() -> None:
    bucket = TokenBucket(1, 2)
    assert taken(bucket, 2) == 2
    bucket.give_back()
    assert taken(bucket, 2) == 1
    bucket.give_back(1_000)
    assert taken(bucket, 10) == 2


def test_use_is_what_is_missing() -> None:
    bucket = TokenBucket(1, 4)
    assert bucket.used(T) == 0.0
    bucket.take(T, 3)
    assert (bucket.used(T), bucket.used(T + 1), bucket.used(T + 60)) == (3.0, 2.0, 0.0)


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (1, 0), (-1, 1)])
def test_a_bucket_that_could_never_give_anything_cannot_be_made(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        TokenBucket(rate, burst)


@given(st.floats(0.1, 100), st.integers(1, 50), st.lists(st.floats(0, 5), max_size=60))
def test_over_any_span_it_gives_at_most_the_burst_and_the_rate(rate: float, burst: int, pauses: list[float]) -> None:
    bucket, now = TokenBucket(rate, burst), T
    moments: list[float] = []
    for pause in pauses:
        now += pause
        if bucket.take(now) == 0.0:
            moments.append(now)
        for first in range(len(moments)):
            given = len(moments) - first
            assert given <= burst + rate * (moments[-1] - moments[first]) + 1e-6
