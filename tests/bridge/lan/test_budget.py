"""Attempts within a sliding minute: none too many, none lost, none given back twice, and no way to be forgotten."""

from __future__ import annotations

import tracemalloc
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from bridge.lan.budget import MAX_KEYS, WINDOW_S, Attempt, Budget
from tests.support.scale import scale

T = 1_000.0


def spent(budget: Budget, key: str, times: int, now: float = T) -> list[Attempt]:
    """Takes attempts; each must be there."""
    taken = [budget.spend(key, now) for _ in range(times)]
    assert None not in taken
    return [attempt for attempt in taken if attempt is not None]


def test_a_key_has_its_attempts_and_no_more() -> None:
    budget = Budget(20)
    spent(budget, "a", 20)
    assert [budget.spend("a", T) for _ in range(1_000)] == [None] * 1_000
    assert budget.spend("b", T)


def test_an_attempt_counts_for_a_minute_to_the_dot() -> None:
    budget = Budget(2)
    spent(budget, "a", 1, T)
    spent(budget, "a", 1, T + 30)
    assert budget.spend("a", T + WINDOW_S - 0.001) is None
    spent(budget, "a", 1, T + WINDOW_S)
    assert budget.spend("a", T + WINDOW_S + 29.999) is None


def test_who_goes_on_trying_is_let_in_as_soon_as_who_waits() -> None:
    patient, eager = Budget(3), Budget(3)
    for budget in (patient, eager):
        spent(budget, "a", 3, T)
    assert not any(eager.spend("a", T + second) for second in range(1, 60))
    assert patient.spend("a", T + WINDOW_S)
    assert eager.spend("a", T + WINDOW_S)


def test_the_wait_is_what_is_left_of_the_oldest_attempt() -> None:
    budget = Budget(2)
    assert budget.wait("a", T) == 0.0
    spent(budget, "a", 1, T)
    assert budget.wait("a", T) == 0.0
    spent(budget, "a", 1, T + 10)
    assert budget.wait("a", T + 15) == 45.0
    assert budget.wait("a", T + WINDOW_S) == 0.0
    assert budget.wait("b", T) == 0.0


def test_what_is_given_back_can_be_spent_again_and_only_once() -> None:
    budget = Budget(2)
    first, second = spent(budget, "a", 2)
    for _ in range(10):
        first.give_back()
    spent(budget, "a", 1)
    assert budget.spend("a", T) is None
    second.give_back()
    spent(budget, "a", 1)
    assert budget.spend("a", T) is None


def test_an_attempt_whose_minute_is_over_gives_nothing_back() -> None:
    budget = Budget(1)
    (old,) = spent(budget, "a", 1, T)
    spent(budget, "a", 1, T + WINDOW_S)
    old.give_back()
    assert budget.spend("a", T + WINDOW_S) is None


def test_a_key_that_has_given_everything_back_is_not_remembered() -> None:
    budget = Budget(20)
    for attempt in spent(budget, "a", 20):
        attempt.give_back()
    assert len(budget) == 0


def test_keys_are_forgotten_when_their_minute_is_over() -> None:
    budget = Budget(1)
    for number in range(1_000):
        spent(budget, f"{number}", 1, T)
    spent(budget, "later", 1, T + WINDOW_S)
    assert len(budget) == 1


def test_a_flood_of_keys_makes_nobody_forgotten_who_is_kept_out() -> None:
    """Red when the oldest key is evicted whatever it has spent: `a` then begins anew."""
    budget = Budget(3, max_keys=100)
    spent(budget, "a", 3)
    for number in range(10_000):
        spent(budget, f"{number}", 1)
        assert len(budget) <= 100
    assert budget.spend("a", T) is None
    assert budget.wait("a", T) == WINDOW_S


def test_of_the_others_the_one_that_tried_longest_ago_goes_first() -> None:
    budget = Budget(3, max_keys=3)
    for key in ("a", "b", "c", "a", "d"):
        spent(budget, key, 1)
    spent(budget, "a", 1)
    assert budget.spend("a", T) is None, "a was kept"
    spent(budget, "b", 3)


def test_when_everybody_is_kept_out_a_newcomer_waits() -> None:
    budget = Budget(1, max_keys=10)
    for number in range(10):
        spent(budget, f"{number}", 1)
    assert budget.spend("new", T) is None
    assert [budget.spend(f"{number}", T) for number in range(10)] == [None] * 10
    spent(budget, "new", 1, T + WINDOW_S)


def test_an_attempt_of_a_forgotten_key_gives_back_nothing_of_its_new_beginning() -> None:
    budget = Budget(2, max_keys=1)
    (old,) = spent(budget, "a", 1)
    spent(budget, "b", 1)
    spent(budget, "a", 2)
    old.give_back()
    assert budget.spend("a", T) is None


def test_nor_does_it_end_a_beginning_with_attempts_left() -> None:
    budget = Budget(2, max_keys=1)
    (old,) = spent(budget, "a", 1)
    spent(budget, "b", 1)
    spent(budget, "a", 1)
    old.give_back()
    spent(budget, "a", 1)
    assert budget.spend("a", T) is None


def test_a_million_keys_take_no_more_than_the_table() -> None:
    budget = Budget(20)
    tracemalloc.start()
    try:
        for number in range(scale(1_000_000)):
            budget.spend(f"2001:db8:{number >> 16:x}:{number & 65535:x}::/64", T + number / 1_000_000)
            assert len(budget) <= MAX_KEYS
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.0, 40.0), st.integers(0, 30)), max_size=80),
)
def test_whatever_is_spent_and_given_back_it_agrees_with_a_list(
    limit: int, steps: list[tuple[str, float, int]]
) -> None:
    budget, now = Budget(limit), T
    taken: list[tuple[str, float, Attempt]] = []
    counted: defaultdict[str, list[tuple[float, Attempt]]] = defaultdict(list)
    for key, pause, choice in steps:
        now += pause
        for name in counted:
            counted[name] = [one for one in counted[name] if one[0] > now - WINDOW_S]
        if taken and choice % 2:
            name, _, attempt = taken[choice % len(taken)]
            attempt.give_back()
            counted[name] = [one for one in counted[name] if one[1] is not attempt]
            continue
        wait = budget.wait(key, now)
        got = budget.spend(key, now)
        assert (got is not None) == (len(counted[key]) < limit) == (wait == 0.0)
        if got is not None:
            taken.append((key, now, got))
            counted[key].append((now, got))
        assert len(counted[key]) <= limit
        assert len(budget) <= len("abc")
