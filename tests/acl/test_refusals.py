"""The meter of refusals: a row, a window, and a time that only goes forward."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acl.model import Deny, Reason
from acl.refusals import IN_A_ROW, WINDOW_S, RefusalMeter, counts
from acl.rules import APPS_TRY


def refuse(meter: RefusalMeter, times: int, now: float = 0.0) -> list[bool]:
    return [meter.refuse(now) for _ in range(times)]


def test_the_eleventh_refusal_in_a_row_ends_it() -> None:
    assert refuse(RefusalMeter(), 11) == [False] * 10 + [True]
    assert IN_A_ROW == 11


def test_a_row_has_no_time_limit() -> None:
    meter = RefusalMeter()
    assert [meter.refuse(now * 1000.0) for now in range(11)] == [False] * 10 + [True]


def test_an_accepted_call_ends_the_row() -> None:
    meter = RefusalMeter(per_window=1000)
    for _ in range(5):
        assert refuse(meter, 10) == [False] * 10
        meter.accept()
    assert refuse(meter, 11)[-1]


def test_an_accepted_call_does_not_empty_the_window() -> None:
    meter = RefusalMeter()
    answers = []
    for number in range(20):
        answers.append(meter.refuse(number * 3.0))  # 57 s in all
        meter.accept()
    assert answers == [False] * 19 + [True]


def test_what_is_sixty_seconds_old_no_longer_counts() -> None:
    meter = RefusalMeter()
    for _ in range(19):
        assert not meter.refuse(100.0)
        meter.accept()
    assert not meter.refuse(100.0 + WINDOW_S)
    meter.accept()
    late = RefusalMeter()
    for _ in range(19):
        late.refuse(100.0)
        late.accept()
    assert late.refuse(100.0 + WINDOW_S - 0.001)


def test_the_size_of_the_window_is_the_owners() -> None:
    assert refuse(RefusalMeter(per_window=3), 3) == [False, False, True]
    assert refuse(RefusalMeter(per_window=1), 1) == [True]


def test_meters_are_apart() -> None:
    first, second = RefusalMeter(), RefusalMeter()
    assert refuse(first, 10) == [False] * 10
    assert not second.refuse(0.0)


steps = st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=80)


@given(steps, st.integers(1, 30))
def test_it_agrees_with_counting_by_hand(moments: list[tuple[float, bool]], per_window: int) -> None:
    meter, now, row = RefusalMeter(per_window), 0.0, 0
    times: list[float] = []
    for seconds, refused in moments:
        now += seconds
        if not refused:
            meter.accept()
            row = 0
            continue
        row += 1
        times.append(now)
        recent = [at for at in times if now - WINDOW_S < at]
        assert meter.refuse(now) == (row >= 11 or len(recent) >= per_window)


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("name", ["chat.send", "config.set"])
def test_what_counts_is_what_no_app_does_on_its_own(reason: Reason, name: str) -> None:
    """Red when a reason of the owner's counts, or a new one does unasked."""
    tried = name in APPS_TRY
    expected = reason in {Reason.UNLISTED, Reason.NOT_PERMITTED} or (reason is Reason.MISSING_SCOPE and not tried)
    assert counts(Deny("some-rule", reason), name) is expected


def test_a_meter_tells_its_row_and_its_minute() -> None:
    meter = RefusalMeter()
    meter.refuse(0.0)
    meter.refuse(30.0)
    assert (meter.row, meter.recent(59.0), meter.recent(61.0), meter.recent(91.0)) == (2, 2, 1, 0)
    meter.accept()
    assert meter.row == 0
