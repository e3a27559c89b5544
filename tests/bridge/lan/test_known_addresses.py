"""Known addresses over a restart: capped, seldom written, and by a clock that may have been set."""

from __future__ import annotations

import asyncio
import io
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bridge import clock
from bridge.lan.door import KNOWN_S, MAX_KNOWN
from bridge.lan.events import Instant
from bridge.lan.known_addresses import WRITE_EVERY_S, KnownAddresses
from bridge.log import make_log
from bridge.tasks import Tasks
from tests.bridge.lan.doors import ipv4
from tests.support.waiting import eventually

PHONE = "192.168.1.7"


@dataclass
class Book:
    """The table, and a bridge that writes it."""

    path: Path
    tasks: Tasks
    stream: io.StringIO

    def started(self) -> KnownAddresses:
        """Return what a bridge that starts now has."""
        return KnownAddresses(self.path, self.tasks, make_log("debug", "json", self.stream))

    def rows(self) -> dict[str, float]:
        """What is on disk."""
        with closing(sqlite3.connect(self.path)) as database:
            return dict(database.execute("SELECT address, seen_at FROM known_addresses").fetchall())

    def put(self, *rows: tuple[str, float]) -> None:
        """Write rows as if they had been there."""
        with closing(sqlite3.connect(self.path)) as database, database:
            database.executemany("INSERT INTO known_addresses VALUES (?, ?)", rows)

    async def noted(self, known: KnownAddresses, address: str, now: float) -> None:
        """A paired node came in; wait until it is written."""
        known.note(address, now)
        await eventually(lambda: address in self.rows())


@pytest_asyncio.fixture
async def book(tmp_path: Path) -> AsyncIterator[Book]:
    stream = io.StringIO()
    async with Tasks(make_log("debug", "json", stream)) as tasks:
        yield Book(tmp_path / "bridge.sqlite3", tasks, stream)


def later(now: Instant, seconds: float, mono: float = 0.0) -> Instant:
    """Return a moment after a restart: the wall clock went on, the monotonic one began anew at `mono`."""
    return Instant(mono, now.wall + timedelta(seconds=seconds))


async def test_what_is_noted_is_read_after_a_restart_by_the_new_clock(book: Book) -> None:
    await book.noted(book.started(), PHONE, clock.now().mono)
    now = clock.now()
    assert book.started().read(later(now, 100.0, mono=5.0)) == {PHONE: pytest.approx(-95.0, abs=5.0)}


async def test_who_was_not_heard_of_for_a_day_is_forgotten_on_disk_too(book: Book) -> None:
    known, now = book.started(), clock.now()
    wall = now.wall.timestamp()
    book.put((PHONE, wall - KNOWN_S), ("192.168.1.8", wall - KNOWN_S + 10))
    assert known.read(now) == {"192.168.1.8": pytest.approx(now.mono - KNOWN_S + 10)}
    assert list(book.rows()) == ["192.168.1.8"]


async def test_one_from_the_future_counts_as_now_and_not_for_ever(book: Book) -> None:
    """The clock was set back. Red without the update: each restart would make it known for another day."""
    known, now = book.started(), clock.now()
    book.put((PHONE, now.wall.timestamp() + 10 * KNOWN_S))
    assert known.read(now) == {PHONE: pytest.approx(now.mono)}
    assert known.read(later(now, KNOWN_S + 1)) == {}


async def test_an_address_is_written_once_an_hour(book: Book) -> None:
    known, now = book.started(), clock.now()
    await book.noted(known, PHONE, now.mono)
    book.put(("mark", 0.0))
    first = book.rows()[PHONE]
    for second in range(0, int(WRITE_EVERY_S), 60):
        known.note(PHONE, now.mono + second)
    await book.noted(known, "192.168.1.8", now.mono)
    assert book.rows()[PHONE] == first
    known.note(PHONE, now.mono + WRITE_EVERY_S + 1)
    await eventually(lambda: book.rows()[PHONE] > first)


async def test_the_table_is_capped_and_keeps_the_youngest(book: Book) -> None:
    """Red without the cap: one row more each time."""
    known, now = book.started(), clock.now()
    wall = now.wall.timestamp()
    book.put(*((ipv4(number), wall - MAX_KNOWN + number) for number in range(MAX_KNOWN)))
    await book.noted(known, PHONE, now.mono)
    rows = book.rows()
    assert len(rows) == MAX_KNOWN
    assert PHONE in rows
    assert ipv4(0) not in rows


class Idle(Tasks):
    """Writes nothing, and counts what would have been written."""

    writes = 0

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        work.close()
        self.writes += 1
        return super().spawn(name, asyncio.sleep(0))


async def test_no_more_addresses_are_kept_in_mind_than_are_known(book: Book) -> None:
    """Red without the cap: a paired node with 2^64 addresses would fill the memory."""
    async with Idle(make_log("debug", "json", book.stream)) as idle:
        known = KnownAddresses(book.path, idle, make_log("debug", "json", book.stream))
        for number in range(MAX_KNOWN + 1):
            known.note(ipv4(number), 0.0)
        known.note(ipv4(MAX_KNOWN), 1.0)
        assert idle.writes == MAX_KNOWN + 1
        known.note(ipv4(0), 1.0)
        assert idle.writes == MAX_KNOWN + 2


async def test_a_disk_that_refuses_is_told_of_and_tried_again(book: Book) -> None:
    known, now = book.started(), clock.now()
    good = book.path.read_bytes()
    book.path.write_bytes(b"no database at all, and longer than its header is" * 100)
    known.note(PHONE, now.mono)
    await eventually(lambda: '"store-failed"' in book.stream.getvalue())
    book.path.write_bytes(good)
    await book.noted(known, PHONE, now.mono + 1)
