"""What a home remembers that a restored backup must not undo: revoked keys, and counts that only grow."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bridge.backup.contents import DATABASE, STORE
from bridge.backup.errors import BackupError
from bridge.pairing.database import BUSY_S
from bridge.pairing.store import NodeStore, StoreError

TOMBSTONES = "tombstones"
CEREMONIES = "ceremonies"
_TABLES = (TOMBSTONES, CEREMONIES)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a table, with the statement that made it."""

    made_by: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Memory:
    """What a home remembers.

    Attributes:
        revoked: when each revoked key was revoked, from store and database.
        ceremonies: the ceremonies that were counted; None: never any.
        unread: what could not be read, a sentence each; the rest was enough.
    """

    revoked: Mapping[str, datetime]
    ceremonies: Table | None
    unread: tuple[str, ...] = ()


def remembered(home: Path) -> Memory:
    """Reads what a home remembers; a damaged file of two is a note, for the other has every tombstone as well.

    Raises:
        BackupError: what is there cannot be read, so nobody knows which keys were revoked.
    """
    unread: list[str] = []
    try:
        store = _revoked_in_store(home)
    except StoreError as exc:
        store = None
        unread.append(f"The paired nodes of {home} could not be read: {exc}")
    try:
        tables = _tables(home / DATABASE)
        told = _revoked_in(tables)
    except (sqlite3.Error, ValueError, OverflowError) as exc:
        tables, told = None, {}
        unread.append(f"The database {home / DATABASE} could not be read ({exc}).")
    if store is None and (tables is None or TOMBSTONES not in tables):
        path = shlex.quote(str(home / STORE))
        raise BackupError(
            f"{' '.join(unread)} So it is not known which nodes were revoked, and the backup might let them in again.",
            f"To restore all the same, move it away: mv {path} {path}.bad",
        )
    ceremonies = tables.get(CEREMONIES) if tables is not None else None
    return Memory(latest(store or {}, told), ceremonies, tuple(unread))


def latest(one: Mapping[str, datetime], other: Mapping[str, datetime]) -> dict[str, datetime]:
    """Returns both together; of two moments for one key the later one."""
    return {**one, **{key: max(when, one.get(key, when)) for key, when in other.items()}}


def unite(database: Path, memory: Memory) -> None:
    """Brings what another home remembers into a restored database, tombstones apart (`TombstoneStore` does those).

    Ceremonies: all of both count, and what either closed is closed. One-time codes: what nobody has used ends, and so
    does what belongs to a revoked key; the backup cannot know what became of them since.

    Raises:
        StoreError: the restored database cannot be written.
    """
    try:
        with closing(sqlite3.connect(database, timeout=BUSY_S)) as opened, opened:
            if memory.ceremonies is not None and memory.ceremonies.rows:
                _add_ceremonies(opened, memory.ceremonies)
            if "codes" in _names(opened):
                opened.execute("UPDATE codes SET revoked = 1 WHERE bound_to IS NULL")
                dead = [(node_id,) for node_id in memory.revoked]
                opened.executemany("UPDATE codes SET revoked = 1 WHERE bound_to = ?", dead)
    except sqlite3.Error as exc:
        raise StoreError(f"{database} cannot be written ({exc}). Make room, then restore again") from exc


def _add_ceremonies(opened: sqlite3.Connection, table: Table) -> None:
    if CEREMONIES not in _names(opened):
        opened.execute(table.made_by)
    marks, columns = ",".join("?" * len(table.columns)), ",".join(table.columns)
    opened.executemany(f"INSERT OR IGNORE INTO {CEREMONIES} ({columns}) VALUES ({marks})", table.rows)  # noqa: S608 - names of our own schema
    (closed,) = opened.execute(f"SELECT max(closes) FROM {CEREMONIES}").fetchone()  # noqa: S608 - a constant
    at = table.columns.index("closes")
    if closed or any(row[at] for row in table.rows):
        opened.execute(f"UPDATE {CEREMONIES} SET closes = 1")  # noqa: S608 - a constant


def _revoked_in_store(home: Path) -> dict[str, datetime]:
    records = NodeStore(home).nodes.values()
    return {record.node_id: record.revoked_at for record in records if record.revoked_at is not None}


def _revoked_in(tables: Mapping[str, Table]) -> dict[str, datetime]:
    """When each key was revoked; ValueError or OverflowError when a row does not say so."""
    rows = tables[TOMBSTONES].rows if TOMBSTONES in tables else ()
    return {str(node_id): datetime.fromtimestamp(float(str(when)), UTC) for node_id, when in rows}


def _tables(database: Path) -> dict[str, Table]:
    """Those tables of a database that are there; none when there is no database."""
    if not database.exists():
        return {}
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=BUSY_S)) as opened:
        if opened.execute("SELECT 1 FROM sqlite_master WHERE type IN ('trigger', 'view')").fetchone() is not None:
            raise sqlite3.DatabaseError("it holds triggers or views, which no version makes")
        made = dict(opened.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
        found = {}
        for name in _TABLES:
            if name in made:
                cursor = opened.execute(f"SELECT * FROM {name}")  # noqa: S608 - a constant
                columns = tuple(column[0] for column in cursor.description)
                found[name] = Table(str(made[name]), columns, cursor.fetchall())
        return found


def _names(opened: sqlite3.Connection) -> set[str]:
    return {row[0] for row in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
