"""The count of ceremonies on disk: it is written before a ceremony begins, and a restart forgives nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from bridge.pairing.ceremony_cap import WINDOW_S
from bridge.pairing.ceremony_ledger import CeremonyLedger
from bridge.pairing.store import StoreError
from tests.bridge.pairing.samples import NOON

LIMIT = 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bridge.sqlite3"


def ledger(path: Path, after_s: float = 0.0, now: float = 0.0) -> CeremonyLedger:
    """A ledger as a daemon makes it that starts so many seconds after noon, its monotonic clock at `now`."""
    return CeremonyLedger(path, LIMIT, now, NOON + timedelta(seconds=after_s))


def begin(one: CeremonyLedger, name: str, after_s: float = 0.0) -> bool:
    return one.begin(name, after_s, NOON + timedelta(seconds=after_s))


def rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT id, closes FROM ceremonies ORDER BY id").fetchall()


def test_it_is_on_disk_before_it_begins(path: Path) -> None:
    assert begin(ledger(path), "a")
    assert rows(path) == [("a", 0)]


def test_over_the_limit_it_closes_and_a_restart_does_not_open(path: Path) -> None:
    one = ledger(path)
    assert [begin(one, name) for name in "abcd"] == [True, True, True, False]
    again = ledger(path, after_s=100 * WINDOW_S, now=5.0)
    assert again.closed(5.0)
    assert not again.begin("e", 5.0, NOON + timedelta(seconds=100 * WINDOW_S))


def test_a_restart_keeps_the_count_of_an_open_one(path: Path) -> None:
    one = ledger(path)
    assert begin(one, "a")
    assert begin(one, "b")
    again = ledger(path, after_s=60.0, now=1000.0)
    assert not again.closed(1000.0)
    assert again.begin("c", 1000.0, NOON + timedelta(seconds=60))
    assert again.closed(1001.0)


def test_what_began_before_a_restart_ages_with_the_wall_clock(path: Path) -> None:
    one = ledger(path)
    begin(one, "a")
    begin(one, "b")
    again = ledger(path, after_s=60.0, now=1000.0)
    later = 1000.0 + WINDOW_S - 60.0
    assert again.begin("c", later, NOON + timedelta(seconds=WINDOW_S))
    assert not again.closed(later), "the first two are older than the window"


def test_a_clock_that_was_set_back_forgives_nothing(path: Path) -> None:
    one = ledger(path)
    for name in "abc":
        begin(one, name)
    again = ledger(path, after_s=-3600.0, now=7.0)
    assert again.closed(7.0 + WINDOW_S - 1)


def test_a_step_of_the_wall_clock_while_it_runs_changes_nothing(path: Path) -> None:
    one = ledger(path)
    for name in "abc":
        assert one.begin(name, 1.0, NOON)
    assert one.closed(2.0)
    assert not one.begin("d", 2.0, NOON + timedelta(days=400))


def test_an_approved_one_gives_its_place_back_on_disk_too(path: Path) -> None:
    one = ledger(path)
    for name in "abc":
        begin(one, name)
    one.give_back("b")
    assert rows(path) == [("a", 0), ("c", 0)]
    assert begin(one, "d")


def test_a_person_opens_it_for_good(path: Path) -> None:
    one = ledger(path)
    for name in "abcd":
        begin(one, name)
    one.open()
    assert rows(path) == []
    assert not ledger(path).closed(0.0)
    assert begin(one, "e")


def test_old_rows_go(path: Path) -> None:
    one = ledger(path)
    begin(one, "a")
    begin(one, "b", WINDOW_S + 1)
    assert rows(path) == [("b", 0)]


def test_when_the_disk_refuses_nothing_is_counted_and_nothing_may_begin(path: Path) -> None:
    one = ledger(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TABLE ceremonies")
    with pytest.raises(StoreError):
        begin(one, "a")
    assert not one.closed(0.0)
