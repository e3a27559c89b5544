"""Points in time in a person's words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from bridge.cli.moments import ago, clock, span, until

NOW = datetime(2026, 11, 21, 13, 27, tzinfo=UTC)


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    "seconds, text",
    [
        (-5, "0 seconds"), (0, "0 seconds"), (1, "1 second"), (59.9, "59 seconds"), (60, "1 minute"),
        (3599, "59 minutes"), (7200, "2 hours"), (86400, "1 day"), (864000, "10 days"),
    ],
)  # fmt: skip
def test_a_span_has_one_unit(seconds: float, text: str) -> None:
    assert span(timedelta(seconds=seconds)) == text


def test_the_past_is_counted() -> None:
    assert ago(NOW - timedelta(minutes=5), NOW) == "5 minutes ago"
    assert ago(NOW, NOW) == ago(NOW + timedelta(hours=1), NOW) == "just now"


def test_the_future_is_counted_and_told_on_the_local_clock() -> None:
    assert until(NOW + timedelta(minutes=5), NOW) == "in 5 minutes, at 14:32:00"
    assert until(NOW + timedelta(minutes=5), NOW + timedelta(milliseconds=1500)) == "in 5 minutes, at 14:32:00"
    assert until(NOW - timedelta(minutes=5), NOW) == "has passed, at 14:22:00"


def test_another_day_gets_its_date() -> None:
    assert clock(NOW + timedelta(hours=12), NOW) == "2026-11-22 02:27:00"
    assert clock(datetime(2026, 7, 1, 12, 0, tzinfo=UTC), NOW) == "2026-07-01 14:00:00"
