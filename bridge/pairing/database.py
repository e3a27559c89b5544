"""`bridge.sqlite3`: what has to be counted or consumed at once. The tables belong to the modules that use them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bridge.pairing.store import StoreError

BUSY_S = 5.0  # seconds to wait for another writer
FILE_NAME = "bridge.sqlite3"


class Database:
    """The file. Each use opens, commits and closes: uses are rare, and each must survive a crash.

    Args:
        path: the sqlite file; its folder exists.
        schema: what the user of the table needs; `CREATE TABLE IF NOT EXISTS ...`.

    Raises:
        StoreError: the file is damaged, or the disk refused.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self._path = path
        path.touch(mode=0o600)
        path.chmod(0o600)
        with self.opened() as database:
            database.execute(schema)

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are committed when the block ends well, and undone otherwise.

        Raises:
            StoreError: the file is damaged, or the disk refused; nothing has changed.
        """
        try:
            with closing(sqlite3.connect(self._path, timeout=BUSY_S)) as database, database:
                database.execute("PRAGMA synchronous = FULL")
                yield database
        except sqlite3.Error as exc:
            mend = f"Make room, or put a backup in its place; without one: mv '{self._path}' '{self._path}.bad'"
            raise StoreError(f"{self._path} cannot be used ({exc}). {mend}") from exc
