"""Setup codes on disk: `bridge.sqlite3`, table `codes`. A code is consumed before anything is issued for it."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from acl.permissions import Permissions, read_permissions
from bridge.pairing.database import Database
from bridge.pairing.setup_code import CodeState, SetupCode, code_hash, is_spent_by, may_bind

MAX_CODES = 256  # rows; spent ones are kept so that their phone may present them again, the oldest go first

_SCHEMA = """
CREATE TABLE IF NOT EXISTS codes (
    hash TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, permissions TEXT NOT NULL, expires_at REAL NOT NULL,
    bound_to TEXT, revoked INTEGER NOT NULL DEFAULT 0, created_at REAL NOT NULL
) STRICT
"""


class CodeStore:
    """The codes that were made.

    Args:
        path: the sqlite file; its folder exists.

    Raises:
        StoreError: from every method, and on opening: the file is damaged, or the disk refused; nothing has changed.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _SCHEMA)

    def add(self, code: SetupCode, now: datetime) -> None:
        """Stores a new code, as a hash."""
        row = (
            code_hash(code.token),
            code.id,
            ",".join(sorted(code.permissions)),
            code.expires_at.timestamp(),
            now.timestamp(),
        )
        with self._database.opened() as database:
            database.execute(
                "INSERT INTO codes (hash, id, permissions, expires_at, created_at) VALUES (?,?,?,?,?)", row
            )
            database.execute(
                "DELETE FROM codes WHERE hash NOT IN (SELECT hash FROM codes ORDER BY created_at DESC LIMIT ?)",
                (MAX_CODES,),
            )

    def bind(self, token: str, node_id: str, now: datetime) -> Permissions | None:
        """Consumes an unused code for a key; returns what it grants, or None when it is not good for anything.

        One statement decides, so of any number of keys at the same moment one gets it.
        """
        digest = code_hash(token)
        with self._database.opened() as database:
            database.execute("BEGIN IMMEDIATE")
            state = self._read(database, digest)
            if state is None or not may_bind(state, now):
                return None
            database.execute("UPDATE codes SET bound_to = ? WHERE hash = ? AND bound_to IS NULL", (node_id, digest))
        return state.permissions

    def unfinished(self, token: str, node_id: str, now: datetime) -> Permissions | None:
        """Returns what a code grants that this very key has used while it is valid, so that a pairing can be finished.

        The caller has made sure that the key was never paired: a crash, or a second try, came between the two writes.
        """
        with self._database.opened() as database:
            state = self._read(database, code_hash(token))
        if state is None or state.revoked or not is_spent_by(state, node_id) or now >= state.expires_at:
            return None
        return state.permissions

    def is_spent_by(self, token: str, node_id: str) -> bool:
        """Tells whether this key is the one that used the code."""
        with self._database.opened() as database:
            state = self._read(database, code_hash(token))
        return state is not None and is_spent_by(state, node_id)

    @staticmethod
    def _read(database: sqlite3.Connection, digest: str) -> CodeState | None:
        row = database.execute(
            "SELECT id, permissions, expires_at, bound_to, revoked FROM codes WHERE hash = ?", (digest,)
        ).fetchone()
        if row is None:
            return None
        code_id, permissions, expires_at, bound_to, revoked = row
        granted: Permissions = read_permissions(permissions.split(",")) if permissions else frozenset()
        return CodeState(code_id, granted, datetime.fromtimestamp(expires_at, UTC), bound_to, bool(revoked))
