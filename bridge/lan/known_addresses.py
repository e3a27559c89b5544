"""Which addresses paired nodes came in from lately, on disk: after a restart the phones are no strangers.

The door decides by the monotonic clock and in memory; the file brings what it knows over a restart, by the wall clock.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

from bridge import clock
from bridge.lan.door import KNOWN_S, MAX_KNOWN
from bridge.lan.events import Instant
from bridge.log import Log
from bridge.pairing.database import Database
from bridge.pairing.store import StoreError
from bridge.tasks import Tasks

WRITE_EVERY_S = 3_600.0  # seconds between two writes for an address: what is read back is at most that much too old

_SCHEMA = "CREATE TABLE IF NOT EXISTS known_addresses (address TEXT PRIMARY KEY, seen_at REAL NOT NULL) STRICT"
_PUT = "INSERT INTO known_addresses VALUES (?, ?) ON CONFLICT (address) DO UPDATE SET seen_at = excluded.seen_at"
_CAP = """
DELETE FROM known_addresses WHERE address NOT IN (SELECT address FROM known_addresses ORDER BY seen_at DESC LIMIT ?)
"""


class KnownAddresses:
    """See the module's text.

    Args:
        path: the sqlite file; its folder exists.

    Raises:
        StoreError: on opening, and from `read`: the file is damaged, or the disk refused.
    """

    def __init__(self, path: Path, tasks: Tasks, log: Log) -> None:
        self._database = Database(path, _SCHEMA)
        self._tasks = tasks
        self._log = log
        self._written: dict[str, float] = {}

    def read(self, now: Instant) -> dict[str, float]:
        """Returns the addresses that are known, each with the monotonic seconds at which it was heard of.

        One from the future counts as one of this moment, and is written down as that: the clock was set back.
        """
        wall = now.wall.timestamp()
        with self._database.opened() as database:
            database.execute("UPDATE known_addresses SET seen_at = ? WHERE seen_at > ?", (wall, wall))
            database.execute("DELETE FROM known_addresses WHERE seen_at <= ?", (wall - KNOWN_S,))
            rows = database.execute("SELECT address, seen_at FROM known_addresses").fetchall()
        return {str(address): now.mono - (wall - float(seen)) for address, seen in rows}

    def note(self, address: str, now: float) -> None:
        """A paired node came in from an address: written in the background, at most once in `WRITE_EVERY_S`."""
        written = self._written.get(address)
        if written is not None and now - written < WRITE_EVERY_S:
            return
        self._written.pop(address, None)
        while len(self._written) >= MAX_KNOWN:
            del self._written[next(iter(self._written))]
        self._written[address] = now
        self._tasks.spawn("note-address", self._write(address, clock.now().wall))

    async def _write(self, address: str, wall: datetime) -> None:
        try:
            await asyncio.to_thread(self._put, address, wall)
        except StoreError as exc:
            self._written.pop(address, None)
            self._log.error("store-failed", error=str(exc))

    def _put(self, address: str, wall: datetime) -> None:
        with self._database.opened() as database:
            database.execute(_PUT, (address, wall.timestamp()))
            database.execute(_CAP, (MAX_KNOWN,))
