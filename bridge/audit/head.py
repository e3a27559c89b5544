"""What the database knows of the audit log: its last line, and the last line that was pruned. Table `audit_head`."""

from __future__ import annotations

import shlex
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bridge.audit.entry import Position
from bridge.audit.errors import AuditError
from bridge.pairing.database import BUSY_S, Database
from bridge.pairing.store_error import StoreError

TABLE = "audit_head"
_SCHEMA = (
    f"CREATE TABLE IF NOT EXISTS {TABLE} (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL, "
    "hash TEXT NOT NULL, base_count INTEGER NOT NULL, base_hash TEXT NOT NULL) STRICT"
)
_READ = f"SELECT count, hash, base_count, base_hash FROM {TABLE}"  # noqa: S608 - a constant
_WRITE = f"INSERT OR REPLACE INTO {TABLE} VALUES (1, ?, ?, ?, ?)"  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class Head:
    """See the module's text.

    Attributes:
        last: the last line that is known to be on disk.
        base: the last line that was pruned; the oldest file continues it.
    """

    last: Position
    base: Position


class HeadStore:
    """The row, for the daemon.

    Args:
        path: the sqlite file; its folder exists.

    Raises:
        StoreError: from every method, and on opening: the file is damaged, or the disk refused.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _SCHEMA)

    def read(self) -> Head | None:
        """Returns the row, or None when there is none yet."""
        with self._database.opened() as database:
            return _head(database.execute(_READ).fetchone())

    def write(self, head: Head) -> None:
        """Writes the row durably."""
        with self._database.opened() as database:
            database.execute(_WRITE, (head.last.count, head.last.hash, head.base.count, head.base.hash))


def read_head(path: Path) -> Head | None:
    """Returns the row without making a database, for those who only look; None: there is none.

    Raises:
        AuditError: the database cannot be read.
    """
    if not path.exists():
        return None
    try:
        # mode=rw: a daemon that was killed has left a journal, which only a writer may roll back; never made anew.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_S)) as database:
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (TABLE,)).fetchone() is None:
                return None
            return _head(database.execute(_READ).fetchone())
    except (sqlite3.Error, StoreError) as exc:
        why = f"{path}, which knows the end of the audit log, cannot be read ({exc})"
        raise AuditError(why, f"See: ls -l {shlex.quote(str(path))}") from exc


def forget_head(path: Path) -> None:
    """Takes the row out of a database whose log is elsewhere, as a restored one's is.

    Raises:
        StoreError: the database cannot be written.
    """
    with Database(path, _SCHEMA).opened() as database:
        database.execute(f"DELETE FROM {TABLE}")  # noqa: S608 - a constant


def _head(row: tuple[object, ...] | None) -> Head | None:
    if row is None:
        return None
    count, digest, base_count, base_hash = row
    return Head(Position(int(str(count)), str(digest)), Position(int(str(base_count)), str(base_hash)))
