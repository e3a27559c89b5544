"""`bridge.sqlite3`: what has to be counted or consumed at once. The tables belong to the modules that use them."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bridge.pairing.store_error import StoreError

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
        try:
            path.touch(mode=0o600)
            path.chmod(0o600)
        except OSError as exc:
            raise self.unusable(exc) from exc
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
            raise self.unusable(exc) from exc

    def unusable(self, why: Exception) -> StoreError:
        """Returns the error for a file that cannot be used, or that holds what nobody can read; it tells a way out."""
        aside = f"mv {shlex.quote(str(self._path))} {shlex.quote(f'{self._path}.bad')}"
        mend = f"Make room, or put a backup in its place; without one: {aside}"
        return StoreError(f"{self._path} cannot be used ({why}). {mend}")


def keep_newest(database: sqlite3.Connection, table: str, count: int) -> None:
    """Deletes all rows of a table but the `count` that were written last, whatever the clock said meanwhile."""
    newest = f"SELECT rowid FROM {table} ORDER BY rowid DESC LIMIT ?"  # noqa: S608 - the table's name is the caller's own
    database.execute(f"DELETE FROM {table} WHERE rowid NOT IN ({newest})", (count,))  # noqa: S608 - likewise
