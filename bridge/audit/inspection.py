"""Verifies an audit log on disk, whether or not the daemon runs; reads, and changes nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bridge.audit.entry import Position
from bridge.audit.errors import AuditError
from bridge.audit.files import ACTIVE, last_of, lines_of, log_files, open_to_read
from bridge.audit.head import Head, read_head
from bridge.audit.verification import Break, Verifier, Why

TRIES = 20  # readings while a daemon closes one file after the other; each takes a second at the most


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found.

    Attributes:
        events: lines that are as they were written, up to the first that is not.
        last: the last of them.
        broken: the first place that is not; None: all is as it was written.
        file: where that is.
        line: number of the line in that file.
        unfinished: whether the last line has no end yet: a crash has torn it, or it is being written.
        pruned: lines before the oldest file, which were removed in time.
    """

    events: int
    last: Position
    broken: Break | None = None
    file: Path | None = None
    line: int | None = None
    unfinished: bool = False
    pruned: int = 0


def verify(folder: Path, database: Path, since: int = 1) -> Verdict:
    """Reads a whole log.

    Args:
        folder: of the log.
        database: the sqlite file that knows its end.
        since: number of the first line that is looked at.

    Raises:
        AuditError: something cannot be read, or the files do not hold still.
    """
    for _ in range(TRIES):
        before, head = _state(folder), read_head(database)
        try:
            verdict = _read(folder, database, head, since)
        except FileNotFoundError:
            continue  # pruned meanwhile
        if _state(folder) == before:
            return verdict
    raise AuditError(f"The files in {folder} do not stop changing", "Stop the bridge, verify, start it again.")


def _state(folder: Path) -> list[tuple[str, int]]:
    """Which files there are; that one grows does not matter."""
    found = []
    for path in log_files(folder):
        try:
            found.append((path.name, path.stat(follow_symlinks=False).st_ino))
        except FileNotFoundError:
            continue
    return found


def _read(folder: Path, database: Path, head: Head | None, since: int) -> Verdict:
    base = head.base if head is not None else Position()
    verifier = Verifier(base if since <= base.count + 1 else Position(), max(since, 1), head.last if head else None)
    if since <= base.count + 1:
        verifier.since = 1
    files = [path for path in log_files(folder) if (last_of(path.name) or base.count + 1) > base.count]
    place: tuple[Path, int] | None = None
    unfinished = False
    for each in files:
        file = open_to_read(each)
        try:
            for number, data in enumerate(lines_of(file), 1):
                place = (each, number)
                if not data.endswith(b"\n") and each.name == ACTIVE:
                    unfinished = True
                    break
                broken = _unended(data, verifier) or verifier.line(data)
                if broken is not None:
                    return Verdict(verifier.checked, verifier.at, broken, each, number, pruned=base.count)
        finally:
            os.close(file)
    after = read_head(database)
    growth = after.last.count - head.last.count if after is not None and head is not None else 0
    broken = verifier.end(growth)
    path, line = place if broken is not None and place is not None else (None, None)
    return Verdict(verifier.checked, verifier.at, broken, path, line, unfinished, base.count)


def _unended(line: bytes, verifier: Verifier) -> Break | None:
    if line.endswith(b"\n") or (verifier.since > 1 and not verifier.checked):
        return None
    return Break(verifier.at.count + 1, Why.UNFINISHED)
