"""The calls that were made already, on disk: `bridge.sqlite3`, table `calls`. The ledger decides; this only keeps.

Memory goes by the monotonic clock, the file by the wall clock, and only over a restart. Writing happens in a thread,
many changes at a time; a disk that refuses is logged, and no call waits for it or fails.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bridge import clock
from bridge.lan.events import Instant
from bridge.log import Log
from bridge.pairing.database import Database
from bridge.pairing.store import StoreError
from bridge.tasks import Tasks
from bridge.upstream.idempotency import (
    KEPT_S,
    MAX_ENTRIES,
    MAX_RESULT_BYTES,
    Change,
    Entry,
    Forgotten,
    Ledger,
    Memo,
    Status,
)
from gateway_client.frames import Bounds, FrameError, parse_json

BATCH = 512  # changes in one transaction: at most 32 MiB of results, and 50 invokes a second are 150 changes
AGAIN_S = 5.0  # seconds until a disk that refused is asked again
MAX_WAITING = 65_536  # changes that wait for the disk: each call's latest only, so twice what the ledger holds

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    digest TEXT PRIMARY KEY, owner TEXT NOT NULL, fingerprint TEXT NOT NULL, status TEXT NOT NULL, until REAL NOT NULL,
    result BLOB
) STRICT
"""
_PUT = "INSERT OR REPLACE INTO calls (digest, owner, fingerprint, status, until, result) VALUES (?,?,?,?,?,?)"
_SELECT = "SELECT digest, owner, fingerprint, status, until, result FROM calls ORDER BY until DESC LIMIT ?"


class CallMemory:
    """The ledger, and its file.

    Args:
        path: the sqlite file; its folder exists.

    Raises:
        StoreError: on opening, and from `recall`: the file is damaged, or the disk refused.
    """

    def __init__(self, path: Path, tasks: Tasks, log: Log) -> None:
        self.ledger = Ledger()
        self._database = Database(path, _SCHEMA)
        self._tasks = tasks
        self._log = log
        self._waiting: OrderedDict[str, Change] = OrderedDict()  # whose first is found at once when others have gone
        self._writing = False
        self._refused = False
        self._disk = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """Changes that wait for the disk."""
        return len(self._waiting)

    def recall(self, now: Instant) -> None:
        """Reads what was written before a restart; what has been kept for long enough goes from the disk.

        No entry is kept for longer than if it were of this moment, whatever the clock said when it was written.
        """
        with self._database.opened() as database:
            rows = database.execute(_SELECT, (MAX_ENTRIES,)).fetchall()
            entries = [entry for row in rows if (entry := _entry(row, now)) is not None]
            kept = {entry.memo.digest for entry in entries}
            every = [row[0] for row in database.execute("SELECT digest FROM calls")]
            gone = [(digest,) for digest in every if digest not in kept]
            database.executemany("DELETE FROM calls WHERE digest = ?", gone)
        self.note(self.ledger.restore(entries, now.mono))

    def note(self, changes: Sequence[Change]) -> None:
        """Has changes of the ledger written down, soon."""
        for change in changes:
            digest = change.memo.digest if isinstance(change, Entry) else change.digest
            self._waiting.pop(digest, None)
            self._waiting[digest] = change
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popitem(last=False)
        if self._waiting and not self._writing:
            self._writing = True
            self._tasks.spawn("write-calls", self._write_all())

    def sweep(self) -> None:
        """Forgets, in memory and on disk, what has been kept for long enough."""
        self.note(self.ledger.sweep(clock.now().mono))

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                await self._write_some()
        finally:
            self._writing = False

    async def _write_some(self) -> None:
        batch = {digest: self._waiting[digest] for digest in list(self._waiting)[:BATCH]}
        for digest in batch:
            del self._waiting[digest]
        try:
            await self._written(list(batch.values()))
        except StoreError as exc:
            if not self._refused:
                self._log.error("calls-not-kept", error=str(exc))
            self._refused = True
            self._waiting = OrderedDict({**batch, **self._waiting})
            await asyncio.sleep(AGAIN_S)
        else:
            self._refused = False

    async def flush(self) -> None:
        """Writes what still waits, once; a disk that refuses is logged. For the end of the daemon."""
        left, self._waiting = list(self._waiting.values()), OrderedDict()
        try:
            await self._written(left)
        except StoreError as exc:
            self._log.error("calls-not-kept", error=str(exc))

    async def _written(self, changes: Sequence[Change]) -> None:
        async with self._disk:  # what is newer is written later
            await asyncio.to_thread(self._write, changes, clock.now())

    def _write(self, changes: Sequence[Change], now: Instant) -> None:
        with self._database.opened() as database:
            for change in changes:
                if isinstance(change, Forgotten):
                    database.execute("DELETE FROM calls WHERE digest = ?", (change.digest,))
                else:
                    database.execute(_PUT, _row(change, now))


def _row(entry: Entry, now: Instant) -> tuple[Any, ...]:
    until = now.wall.timestamp() + entry.until - now.mono
    return entry.memo.digest, entry.memo.owner, entry.memo.fingerprint, entry.status.value, until, entry.result


def _entry(row: Sequence[Any] | sqlite3.Row, now: Instant) -> Entry | None:
    digest, owner, fingerprint, status, until, result = row
    left = min(float(until) - now.wall.timestamp(), KEPT_S)
    if left <= 0 or status not in set(Status):
        return None
    entry = Entry(Memo(owner, digest, fingerprint), Status(status), now.mono + left, result)
    if entry.status is Status.DONE and not _is_readable(result):
        return replace(entry, status=Status.LARGE, result=None)
    return entry if entry.status is Status.DONE else replace(entry, result=None)


def _is_readable(result: Any) -> bool:
    """Whether a result can be given again; a row that somebody edited still tells that the call was made."""
    if not isinstance(result, bytes):
        return False
    try:
        value = parse_json(result, Bounds(max_bytes=MAX_RESULT_BYTES, max_items=MAX_RESULT_BYTES, safe_integers=False))
    except FrameError:
        return False
    return isinstance(value, dict)
