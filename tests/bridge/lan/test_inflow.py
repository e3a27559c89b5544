"""The account of a connection, and what is carried of its messages."""

from __future__ import annotations

from bridge.lan.byte_budget import SMALL_BYTES
from bridge.lan.inflow import Pool, nothing

LARGE = SMALL_BYTES + 1


def test_a_message_is_given_back_when_the_last_part_is_put_down_and_only_then() -> None:
    pool = Pool(10 * LARGE)
    inflow = pool.open()
    assert inflow.claim(LARGE)
    load = inflow.load(LARGE)
    at_work, sent = load.carry(), load.carry()
    at_work()
    at_work()
    assert pool.budget.held == LARGE
    sent()
    assert pool.budget.held == 0


def test_a_small_message_weighs_nothing() -> None:
    pool = Pool(10 * LARGE)
    inflow = pool.open()
    assert inflow.claim(LARGE)
    inflow.load(SMALL_BYTES).carry()()
    nothing()
    assert pool.budget.held == LARGE


def test_whoever_waited_is_woken_once_and_nobody_after_its_end() -> None:
    pool, woken = Pool(LARGE), list[str]()
    first, second, third = pool.open(), pool.open(), pool.open()
    for name, inflow in (("first", first), ("second", second), ("third", third)):
        inflow.belongs_to(name)
        inflow.on_room(lambda name=name: woken.append(name))  # type: ignore[misc]  # a default is no parameter here
    assert [first.claim(LARGE), second.claim(LARGE), third.claim(LARGE)] == [True, False, False]
    second.close()
    first.close()
    first.close()
    assert woken == ["third"]


def test_what_is_put_down_after_the_end_of_its_connection_is_not_given_back_twice() -> None:
    """Red without the `min` in `release`: whoever sends and leaves, again and again, makes the budget larger."""
    pool = Pool(10 * LARGE)
    gone, stays = pool.open(), pool.open()
    assert gone.claim(LARGE)
    assert stays.claim(LARGE)
    put_down = gone.load(LARGE).carry()
    gone.close()
    put_down()
    assert pool.budget.held == LARGE
