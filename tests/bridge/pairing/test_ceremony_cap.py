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


def test_ten_may_begin_and_the_eleventh_closes() -> None:
    assert not begun(LIMIT).closed
    assert begun(LIMIT).is_closed(0.0)
    assert begun(LIMIT + 1).closed
    assert len(begun(LIMIT + 1).begun) == LIMIT, "what may not begin is not remembered"


def test_time_makes_room_as_long_as_nobody_went_over() -> None:
    full = begun(LIMIT)
    assert full.is_closed(WINDOW_S - 0.1)
    assert not full.is_closed(WINDOW_S)
    assert not full.begin("later", WINDOW_S).closed


def test_once_closed_time_alone_does_not_open() -> None:
    closed = begun(LIMIT + 1)
    assert closed.is_closed(100 * WINDOW_S)
    assert closed.begin("later", 100 * WINDOW_S).closed


def test_a_person_opens_and_counting_begins_anew() -> None:
    opened = begun(LIMIT + 1).opened()
    assert not opened.is_closed(0.0)
    assert begun(LIMIT, 1.0, opened).is_closed(1.0)


def test_an_approved_one_gives_its_place_back() -> None:
    state = begun(LIMIT).give_back("0.0-3")
    assert not state.is_closed(0.0)
    assert not state.begin("again", 0.0).closed
    assert state.give_back("unknown") == state


@given(st.lists(st.floats(min_value=0, max_value=5 * WINDOW_S), max_size=60), st.integers(1, 12))
def test_no_window_ever_holds_more_than_the_limit(moments: list[float], limit: int) -> None:
    state, began = CapState(limit), list[float]()
    for number, now in enumerate(sorted(moments)):
        after = state.begin(str(number), now)
        if not after.closed:
            began.append(now)
        state = after
        assert len(state.begun) <= limit
    for start in began:
        assert sum(start <= at < start + WINDOW_S for at in began) <= limit
