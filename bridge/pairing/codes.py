"""One-time codes on disk: `bridge.sqlite3`, table `codes`. A code is consumed before anything is issued for it.

Setup codes of OpenClaw apps are found by the hash of their token. The token of a native link never travels: it is found
by its id, and `hash` holds the key that its proofs are made with (design §6).
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from acl.permissions import Permissions, read_permissions
from bridge.pairing.database import Database, keep_newest
from bridge.pairing.native_link import NativeLink
from bridge.pairing.setup_code import CodeKind, CodeState, SetupCode, code_hash, is_spent_by, may_bind, may_finish
from bridge.pairing.transcript import token_key

MAX_CODES = 256  # rows; spent ones are kept so that their phone may present them again, the oldest go first

_SCHEMA = """
CREATE TABLE IF NOT EXISTS codes (
    hash TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, permissions TEXT NOT NULL, expires_at REAL NOT NULL,
    bound_to TEXT, revoked INTEGER NOT NULL DEFAULT 0, created_at REAL NOT NULL,
    kind TEXT NOT NULL DEFAULT 'openclaw'
) STRICT
"""
_SELECT = "SELECT id, permissions, expires_at, bound_to, revoked, created_at, kind, hash FROM codes "


class CodeStore:
    """The codes that were made.

    Args:
        path: the sqlite file; its folder exists.

    Raises:
        StoreError: from every method, and on opening: the file is damaged, or the disk refused; nothing has changed.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _SCHEMA)
        with self._database.opened() as database:
            if "kind" not in {row[1] for row in database.execute("PRAGMA table_info(codes)")}:
                database.execute("ALTER TABLE codes ADD COLUMN kind TEXT NOT NULL DEFAULT 'openclaw'")

    def add(self, code: SetupCode, now: datetime) -> None:
        """Stores a new setup code, as a hash."""
        self._insert(CodeState(code.id, code_hash(code.token), code.permissions, code.expires_at, now))

    def add_link(self, link: NativeLink, permissions: Permissions, now: datetime) -> None:
        """Stores the token of a new native link, as the key of its proofs."""
        digest = token_key(link.token).hex()
        self._insert(CodeState(link.token_id, digest, permissions, link.expires_at, now, CodeKind.NATIVE))

    def _insert(self, code: CodeState) -> None:
        row = (
            code.digest,
            code.id,
            ",".join(sorted(code.permissions)),
            code.expires_at.timestamp(),
            code.created_at.timestamp(),
            code.kind.value,
        )
        with self._database.opened() as database:
            database.execute(
                "INSERT INTO codes (hash, id, permissions, expires_at, created_at, kind) VALUES (?,?,?,?,?,?)", row
            )
            keep_newest(database, "codes", MAX_CODES)

    def bind(self, digest: str, node_id: str, now: datetime, made_after: datetime | None = None) -> Permissions | None:
        """Consumes an unused code for a key; returns what it grants, or None when it is not good for anything.

        It is read under the lock that it is written under, so of any number of keys at the same moment one gets it.

        Args:
            digest: what is stored of it: `code_hash` of a setup code's token, or `CodeState.digest`.
            node_id: the key.
            now: aware UTC time.
            made_after: of a revoked key, when it was revoked: an older code is no invitation to it; None: any code.
        """
        with self._database.opened() as database:
            database.execute("BEGIN IMMEDIATE")
            state = self._read(database, digest)
            if state is None or not may_bind(state, now) or _older(state, made_after):
                return None
            database.execute("UPDATE codes SET bound_to = ? WHERE hash = ?", (node_id, digest))
        return state.permissions

    def unfinished(
        self, digest: str, node_id: str, now: datetime, made_after: datetime | None = None
    ) -> Permissions | None:
        """Returns what a code grants that this very key has used while it is valid, so that a pairing can be finished.

        The caller has made sure that the key is not paired: a crash, or a second try, came between the two writes, or
        a person has not yet decided about a key that was revoked. The arguments are those of `bind`.
        """
        with self._database.opened() as database:
            state = self._read(database, digest)
        if state is None or not may_finish(state, node_id, now) or _older(state, made_after):
            return None
        return state.permissions

    def is_spent_by(self, digest: str, node_id: str) -> bool:
        """Tells whether this key is the one that used the code."""
        with self._database.opened() as database:
            state = self._read(database, digest)
        return state is not None and is_spent_by(state, node_id)

    def native(self, token_id: str) -> CodeState | None:
        """Returns the token of a native link; None: there is none of that id."""
        with self._database.opened() as database:
            rows = database.execute(_SELECT + "WHERE id = ? AND kind = 'native'", (token_id,))
            row = rows.fetchone()
        return None if row is None else self._state(row)

    def listed(self) -> list[CodeState]:
        """Returns all codes that are remembered, newest first."""
        with self._database.opened() as database:
            return [self._state(row) for row in database.execute(_SELECT + "ORDER BY created_at DESC")]

    def revoke(self, code_id: str) -> CodeState | None:
        """Takes a code back, so that nobody can use it, its own phone included.

        Returns it as it is now; None: there is none of that id.
        """
        with self._database.opened() as database:
            database.execute("UPDATE codes SET revoked = 1 WHERE id = ?", (code_id,))
            row = database.execute(_SELECT + "WHERE id = ?", (code_id,)).fetchone()
            return None if row is None else self._state(row)

    def _read(self, database: sqlite3.Connection, digest: str) -> CodeState | None:
        row = database.execute(_SELECT + "WHERE hash = ?", (digest,)).fetchone()
        return None if row is None else self._state(row)

    def _state(self, row: tuple[Any, ...]) -> CodeState:
        try:
            return _state(row)
        except (ValueError, OverflowError) as exc:  # of another version, or edited by hand
            raise self._database.unusable(exc) from exc


def _older(code: CodeState, moment: datetime | None) -> bool:
    return moment is not None and code.created_at <= moment


def _state(row: tuple[Any, ...]) -> CodeState:
    code_id, permissions, expires_at, bound_to, revoked, created_at, kind, digest = row
    granted: Permissions = read_permissions(permissions.split(",")) if permissions else frozenset()
    expires, created = (datetime.fromtimestamp(at, UTC) for at in (expires_at, created_at))
    return CodeState(code_id, digest, granted, expires, created, CodeKind(kind), bound_to, bool(revoked))
