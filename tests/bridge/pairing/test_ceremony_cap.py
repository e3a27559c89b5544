"""The cap on ceremonies: ten in ten minutes, then closed until a person opens; an approval gives its place back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.pairing.ceremony_cap import WINDOW_S, CapState

LIMIT = 10


def begun(count: int, now: float = 0.0, state: CapState | None = None) -> CapState:
    state = state or CapState(LIMIT)
    for number in range(count):
        state = state.begin(f"{now}-{number}", now)
    return state


def test_the_tenth_closes() -> None:
    assert not begun(LIMIT - 1).is_closed(0.0)
    assert begun(LIMIT).is_closed(0.0)


def test_time_makes_room_as_long_as_the_limit_was_not_reached() -> None:
    state = begun(LIMIT - 1)
    assert not state.begin("later", WINDOW_S).closed
    assert list(state.begin("later", WINDOW_S).begun) == ["later"]


def test_once_closed_time_alone_does_not_open() -> None:
    assert begun(LIMIT).is_closed(100 * WINDOW_S)


def test_a_person_opens_and_counting_begins_anew() -> None:
    opened = begun(LIMIT).opened()
    assert not opened.is_closed(0.0)
    assert begun(LIMIT, 1.0, opened).is_closed(1.0)


def test_an_approved_one_gives_its_place_back_and_opens_again() -> None:
    state = begun(LIMIT).give_back("0.0-3")
    assert not state.is_closed(0.0)
    assert state.begin("again", 0.0).closed
    assert state.give_back("unknown") == state
    assert begun(LIMIT).give_back("unknown").is_closed(100 * WINDOW_S)


@given(st.lists(st.floats(min_value=0, max_value=5 * WINDOW_S), max_size=60), st.integers(1, 12))
def test_no_window_ever_holds_more_than_the_limit(moments: list[float], limit: int) -> None:
    state, began = CapState(limit), list[float]()
    for number, now in enumerate(sorted(moments)):
        if not state.is_closed(now):
            state = state.begin(str(number), now)
            began.append(now)
        assert len(state.begun) <= limit
    for start in began:
        assert sum(start <= at < start + WINDOW_S for at in began) <= limit
