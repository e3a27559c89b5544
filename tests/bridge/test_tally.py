"""Counters: what is added is found again, and no label makes the table grow without end."""

from __future__ import annotations

import pytest

from bridge.tally import MAX_LABELS, OTHER, Tally


def test_what_is_counted_is_found_by_name_and_label() -> None:
    tally = Tally("refused", "limited")
    tally.add("refused", "frame")
    tally.add("refused", "frame", 2)
    tally.add("refused")
    assert tally.of("refused") == {"frame": 3, "": 1}
    assert (tally.total("refused"), tally.total("limited")) == (4, 0)
    assert tally.names == ("refused", "limited")


def test_a_name_that_was_not_announced_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Tally("refused").add("typo")


def test_a_flood_of_labels_ends_in_one() -> None:
    """Red when every label gets a counter of its own."""
    tally = Tally("refused")
    for number in range(10_000):
        tally.add("refused", f"label-{number}")
    assert len(tally.of("refused")) == MAX_LABELS + 1
    assert tally.of("refused")[OTHER] == 10_000 - MAX_LABELS
    assert tally.total("refused") == 10_000


def test_what_is_returned_is_a_copy() -> None:
    tally = Tally("refused")
    before = tally.of("refused")
    tally.add("refused", "frame")
    assert before == {}
