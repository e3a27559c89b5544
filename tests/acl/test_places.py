"""A table with a cap: who has used up everything is never forgotten to make room for somebody new."""

from __future__ import annotations

from acl.places import Places


def never(_kept: object) -> bool:
    return False


def test_what_is_kept_is_found_and_taken_out_once() -> None:
    places: Places[list[int]] = Places(2)
    places.put_in("open", [], spent=False)
    places.put_in("spent", [1], spent=True)
    assert (places.get("open"), places.get("spent"), places.get("other")) == ([], [1], None)
    assert (places.spent("open"), places.spent("spent")) == (None, [1])
    assert (places.take_out("open"), places.take_out("open")) == ([], None)
    assert (places.take_out("spent"), places.take_out("spent")) == ([1], None)
    assert len(places) == 0


def test_the_one_that_came_longest_ago_makes_room() -> None:
    """Red when the last one goes instead of the first."""
    places: Places[int] = Places(2)
    for number in range(3):
        assert places.has_room(never)
        places.put_in(f"{number}", number, spent=False)
    assert [places.get(f"{number}") for number in range(3)] == [None, 1, 2]


def test_a_flood_makes_nobody_forgotten_who_is_kept_out() -> None:
    """Red when `has_room` deletes from the spent ones too."""
    places: Places[int] = Places(10)
    places.put_in("out", 0, spent=True)
    for number in range(1_000):
        assert places.has_room(never)
        places.put_in(f"{number}", number, spent=False)
        assert len(places) <= 10
    assert places.spent("out") == 0


def test_there_is_no_room_while_everybody_is_kept_out() -> None:
    places: Places[int] = Places(2)
    for number in range(2):
        places.put_in(f"{number}", number, spent=True)
    assert not places.has_room(never)
    assert places.has_room(lambda kept: kept == 0)
    assert places.get("0") is None
