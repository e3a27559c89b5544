"""What a message needs of the budget, by its headers."""

from __future__ import annotations

from bridge.lan.byte_budget import SMALL_BYTES
from bridge.lan.message_sizes import MessageSizes

MAX = 1_000_000


def changes(*frames: tuple[int, bool]) -> list[int]:
    sizes = MessageSizes(MAX)
    return [sizes.frame(length, final=final) for length, final in frames]


def test_a_small_message_needs_nothing() -> None:
    assert changes((SMALL_BYTES, True), (0, True), (1, False), (1, True)) == [0, 0, 0, 0]


def test_a_large_one_needs_what_it_announces() -> None:
    assert changes((SMALL_BYTES + 1, True), (MAX, True)) == [SMALL_BYTES + 1, MAX]


def test_one_that_is_too_long_needs_nothing_because_it_is_refused_by_its_header() -> None:
    assert changes((MAX + 1, True), (2**63 - 1, True)) == [0, 0]


def test_one_in_parts_needs_what_the_longest_would_until_its_length_is_known() -> None:
    assert changes((70_000, False), (10_000, False), (10_000, True)) == [MAX, 0, 90_000 - MAX]


def test_parts_that_become_too_long_give_everything_back() -> None:
    assert changes((70_000, False), (MAX, False)) == [MAX, -MAX]


def test_parts_count_from_zero_for_each_message() -> None:
    assert changes((60_000, False), (1, True), (60_000, False), (1, True)) == [0, 0, 0, 0]
