"""Audit logs on disk for tests: written by the real journal, then tampered with."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bridge.audit.entry import Draft
from bridge.audit.files import FOLDER, log_files
from bridge.audit.inspection import Verdict, verify
from bridge.audit.journal import Journal

TS = "2026-11-27T12:00:00.000Z"


def draft(event: str = "joined", **fields: str | int) -> Draft:
    """Return an event."""
    return Draft(TS, "connect", event, dict(fields))


@dataclass
class Log:
    """A home with an audit log.

    Attributes:
        home: the folder.
        file_bytes: at which a file is closed.
        kept: closed files that stay.
    """

    home: Path
    file_bytes: int = 4_000
    kept: int = 100

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self.home / FOLDER

    @property
    def database(self) -> Path:
        """The sqlite file."""
        return self.home / "bridge.sqlite3"

    @property
    def files(self) -> list[Path]:
        """The files, oldest first."""
        return log_files(self.folder)

    def journal(self) -> Journal:
        """Open it as the daemon does."""
        journal = Journal(self.folder, self.database, file_bytes=self.file_bytes, kept=self.kept)
        journal.open(TS)
        return journal

    def write(self, count: int, batch: int = 8) -> None:
        """Open it, write events in batches, and close it."""
        journal = self.journal()
        for start in range(0, count, batch):
            journal.append([draft(node=f"{n:064x}") for n in range(start, min(count, start + batch))])
        journal.close()

    def verify(self, since: int = 1) -> Verdict:
        """Verify it."""
        return verify(self.folder, self.database, since)

    def lines(self) -> list[bytes]:
        """Return all lines of all files."""
        return [line for path in self.files for line in path.read_bytes().splitlines(keepends=True)]

    def events(self) -> list[str]:
        """Return what the lines are about, damaged ones as they are."""
        return [line.decode().partition('"event":"')[2].partition('"')[0] for line in self.lines()]

    def sql(self, statement: str) -> None:
        """Change the database behind the daemon's back."""
        with closing(sqlite3.connect(self.database)) as opened, opened:
            opened.execute(statement)
