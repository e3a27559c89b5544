"""Remembered calls on disk: over a restart, whatever the clock said, and whatever the disk does."""

from __future__ import annotations

import asyncio
import io
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge import clock
from bridge.lan.events import Instant
from bridge.log import make_log
from bridge.tasks import Tasks
from bridge.upstream.idempotency import (
    KEPT_S,
    MAX_ENTRIES_OF_OWNER,
    Again,
    Conflict,
    Forgotten,
    Memo,
    memo_of,
    node_owner,
)
from bridge.upstream.idempotency_file import MAX_WAITING, CallMemory
from gateway_client.frames import JsonObject
from tests.support.waiting import eventually

CALL = memo_of(node_owner("aa"), "planted-key", "screen.eval", '{"javaScript":"planted-value"}')
RESULT: JsonObject = {"ok": True, "payloadJSON": "{}"}


@dataclass
class Desk:
    """A call memory and its surroundings."""

    path: Path
    memory: CallMemory
    log: io.StringIO

    def rows(self, columns: str = "*") -> list[tuple[Any, ...]]:
        """What the file holds."""
        with sqlite3.connect(self.path) as database:
            return database.execute(f"SELECT {columns} FROM calls ORDER BY digest").fetchall()  # noqa: S608 - the names are the test's own

    async def holds(self, count: int) -> None:
        """Wait until the file holds so many rows."""
        await eventually(lambda: len(self.rows()) == count, what=f"{count} rows")


@asynccontextmanager
async def desk(folder: Path, wall_jump_s: float = 0.0) -> AsyncIterator[Desk]:
    """Open the memory as a daemon would, its wall clock so many seconds off."""
    log = io.StringIO()
    async with Tasks(make_log("debug", "json", log)) as tasks:
        memory = CallMemory(folder / "bridge.sqlite3", tasks, make_log("debug", "json", log))
        now = clock.now()
        memory.recall(Instant(now.mono, now.wall + timedelta(seconds=wall_jump_s)))
        yield Desk(folder / "bridge.sqlite3", memory, log)
        await memory.flush()


def mono() -> float:
    return clock.now().mono


async def written(folder: Path) -> None:
    """Leave one call that was done, and one that was only sent."""
    async with desk(folder) as one:
        one.memory.note(one.memory.ledger.done(CALL, RESULT, mono()))
        one.memory.note(one.memory.ledger.sent(other(0), mono()))


def other(number: int) -> Memo:
    return memo_of(node_owner("bb"), f"k{number}", "c", None)


async def test_over_a_restart_what_was_done_is_told_again_and_what_was_sent_stays_unknown(tmp_path: Path) -> None:
    await written(tmp_path)
    async with desk(tmp_path) as one:
        assert one.memory.ledger.look(CALL, mono()) == Again(RESULT)
        assert isinstance(one.memory.ledger.look(other(0), mono()), Conflict)
        assert one.memory.ledger.look(CALL, mono() + KEPT_S) is None


async def test_each_change_reaches_the_disk_by_itself_and_so_does_its_end(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        one.memory.note(one.memory.ledger.sent(CALL, mono()))
        await one.holds(1)
        one.memory.note(one.memory.ledger.done(CALL, RESULT, mono()))
        await eventually(lambda: one.rows("status") == [("done",)])
        one.memory.note(one.memory.ledger.forget(CALL))
        await one.holds(0)


async def test_what_has_been_kept_for_long_enough_is_swept_from_the_disk(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        one.memory.note(one.memory.ledger.done(CALL, RESULT, mono() - KEPT_S))
        await one.holds(1)
        one.memory.sweep()
        await one.holds(0)


async def test_after_ten_minutes_of_standstill_nothing_is_left(tmp_path: Path) -> None:
    await written(tmp_path)
    async with desk(tmp_path, wall_jump_s=KEPT_S + 1) as one:
        assert (len(one.memory.ledger), one.rows()) == (0, [])


async def test_a_clock_that_was_set_back_keeps_nothing_longer(tmp_path: Path) -> None:
    """Red without the `min` of `_entry`: a day back would keep a key for a day."""
    await written(tmp_path)
    async with desk(tmp_path, wall_jump_s=-86_400) as one:
        assert one.memory.ledger.look(CALL, mono()) == Again(RESULT)
        assert one.memory.ledger.look(CALL, mono() + KEPT_S + 1) is None


async def test_neither_key_nor_parameters_are_in_the_file_and_it_is_private(tmp_path: Path) -> None:
    await written(tmp_path)
    data = (tmp_path / "bridge.sqlite3").read_bytes()
    assert b"planted" not in data
    assert CALL.digest.encode() in data  # this is where it would be
    assert (tmp_path / "bridge.sqlite3").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("column", "value", "known"),
    [
        ("result", b"not json", True),
        ("result", b"[1]", True),
        ("result", "x" * 70_000, True),
        ("result", None, True),
        ("status", "unheard-of", False),
        ("until", float("inf"), True),
        ("until", float("-inf"), False),
    ],
)
async def test_a_row_that_somebody_edited_is_never_told_and_never_stops_the_bridge(
    tmp_path: Path, column: str, value: Any, known: bool
) -> None:
    await written(tmp_path)
    with sqlite3.connect(tmp_path / "bridge.sqlite3") as database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        value = value.encode() if isinstance(value, str) and column == "result" else value
        database.execute(f"UPDATE calls SET {column} = ? WHERE digest = ?", (value, CALL.digest))  # noqa: S608 - the names are the test's own
    async with desk(tmp_path) as one:
        found = one.memory.ledger.look(CALL, mono())
        if column == "until":
            assert (found == Again(RESULT)) is known
        else:
            assert isinstance(found, Conflict) is known


async def test_a_disk_that_refuses_is_logged_once_and_written_to_when_it_works_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        with sqlite3.connect(one.path) as database:
            database.execute("ALTER TABLE calls RENAME TO hidden")
        one.memory.note(one.memory.ledger.done(CALL, RESULT, mono()))
        await eventually(lambda: "calls-not-kept" in one.log.getvalue())
        one.memory.note(one.memory.ledger.sent(other(0), mono()))
        assert one.memory.ledger.look(CALL, mono()) == Again(RESULT)
        assert one.log.getvalue().count("calls-not-kept") == 1
        with sqlite3.connect(one.path) as database:
            database.execute("ALTER TABLE hidden RENAME TO calls")
        await one.memory.flush()
        assert len(one.rows()) == 2  # also the one that was refused: red when a refused batch is not taken back


async def test_so_many_changes_wait_for_the_disk_and_no_more(tmp_path: Path) -> None:
    """Red without the loop of `note`: each new key of a flood makes an older one's end wait, too."""
    async with desk(tmp_path) as one:
        for number in range(5 * MAX_WAITING):
            one.memory.note([Forgotten(f"{number}")])
        assert one.memory.waiting == MAX_WAITING
        one.memory.note(one.memory.ledger.done(CALL, RESULT, mono()))
        assert one.memory.waiting == MAX_WAITING
        await one.memory.flush()
        await one.holds(1)  # the newest was not the one that went


async def test_a_flood_ends_on_the_disk_as_it_does_in_the_ledger(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        for number in range(5 * MAX_ENTRIES_OF_OWNER):
            one.memory.note(one.memory.ledger.done(other(number), RESULT, mono()))
        await one.memory.flush()
        await eventually(lambda: one.memory.waiting == 0)
        await one.holds(MAX_ENTRIES_OF_OWNER)


async def test_the_loop_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    async with desk(tmp_path) as one:
        with sqlite3.connect(one.path) as blocker:
            blocker.execute("BEGIN EXCLUSIVE")
            one.memory.note(one.memory.ledger.done(CALL, RESULT, mono()))
            before = mono()
            for _ in range(20):
                await asyncio.sleep(0)
            assert mono() - before < 0.5
            blocker.rollback()
        await one.holds(1)
