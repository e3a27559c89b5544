"""Who gets no large answers, and for how long."""

from __future__ import annotations

from bridge.upstream.blame import FIRST_S, FORGOTTEN_S, LONGEST_S, MAX_OWNERS, Blame


def test_a_first_time_is_a_minute_and_each_further_one_twice_as_long() -> None:
    blame, now, lengths = Blame(), 1_000.0, []
    for _ in range(7):
        lengths.append(blame.hit("a", now))
        assert blame.rests("a", now + lengths[-1] - 1)
        now += lengths[-1]
        assert not blame.rests("a", now)
    assert lengths == [60.0, 120.0, 240.0, 480.0, LONGEST_S, LONGEST_S, LONGEST_S]
    assert not blame.rests("b", now)


def test_calls_that_ended_together_count_once() -> None:
    blame = Blame()
    assert [blame.hit("a", 1.0 + number / 1000) for number in range(9)] == [FIRST_S] * 9


def test_it_is_forgotten() -> None:
    blame = Blame()
    blame.hit("a", 0.0)
    assert blame.hit("a", FORGOTTEN_S + 1) == FIRST_S
    for number in range(2 * MAX_OWNERS):
        blame.hit(f"n{number}", FORGOTTEN_S + 2)
    assert not blame.rests("a", FORGOTTEN_S + 2)
    assert blame.rests(f"n{2 * MAX_OWNERS - 1}", FORGOTTEN_S + 2)
