"""Looks at the end of an audit log when the daemon starts: whole, torn by a crash, or not what was written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bridge.audit.entry import MAX_LINE_BYTES, START_HASH, DamagedLineError, Entry, Position, read_line
from bridge.audit.files import ACTIVE, lines_of, log_files, open_to_read
from bridge.audit.head import Head
from bridge.audit.verification import MAX_AHEAD

_SHOWN_BYTES = 80  # of a torn line that its recovery quotes: number, time, kind and event
_TAIL_BYTES = (MAX_AHEAD + 2) * MAX_LINE_BYTES  # 2.3 MiB: the lines that a crash can leave, and the head's


@dataclass(frozen=True, slots=True)
class Found:
    """What the end of a log is.

    Attributes:
        head: what the database knows; a beginning when it knows nothing.
        at: the last whole line.
        ahead: whole lines that the head does not know yet.
        torn: bytes of a line without an end.
        beginning: of that line.
        gap: why the log is not what was written; None: it is.
    """

    head: Head
    at: Position
    ahead: int = 0
    torn: int = 0
    beginning: str = ""
    gap: str | None = None

    @property
    def recovered(self) -> bool:
        """Whether a crash has left something to mend."""
        return bool(self.torn or self.ahead)


def look(folder: Path, head: Head | None) -> Found:
    """Tells what the end of the log in a folder is.

    Raises:
        AuditError: a file cannot be read.
    """
    files = log_files(folder)
    whole, torn = _tail(files)
    if head is None:
        return _without_head(files, whole)
    if not files:
        return Found(head, head.last, gap="its files were removed" if head.last.count else None)
    start = _index_of(whole, head.last)
    if start is None:
        return Found(head, head.last, gap=f"line {head.last.count}, the last one known, is not at its end")
    at = head.last
    for line in whole[start:]:
        entry = _entry(line)
        if entry is None or entry.seq != at.count + 1 or entry.prev != at.hash:
            return Found(head, head.last, gap=f"line {at.count + 1} is not the daemon's")
        at = entry.position
    return Found(head, at, len(whole) - start, len(torn), torn[:_SHOWN_BYTES].decode("ascii", "replace"))


def first_entry(path: Path) -> Entry | None:
    """Returns the first line of a file; None: it is none."""
    try:
        file = open_to_read(path)
    except FileNotFoundError:
        return None
    try:
        return _entry(next(lines_of(file), b""))
    finally:
        os.close(file)


def _without_head(files: list[Path], whole: list[bytes]) -> Found:
    if not files:
        return Found(Head(Position(), Position()), Position())
    first, last = first_entry(files[0]), next(filter(None, map(_entry, reversed(whole))), None)
    base = Position(first.seq - 1, first.prev) if first is not None else Position(0, START_HASH)
    at = last.position if last is not None else base
    return Found(Head(at, base), at, gap="the database does not know it: it was removed or replaced")


def _tail(files: list[Path]) -> tuple[list[bytes], bytes]:
    """The last whole lines of a log, as many as matter, and what follows them without an end."""
    whole: list[bytes] = []
    torn = b""
    for path in reversed(files):
        lines = _last_lines(path)
        if path.name == ACTIVE and lines and not lines[-1].endswith(b"\n"):
            torn = lines.pop()
        whole = [*lines, *whole]
        if len(whole) > MAX_AHEAD:
            break
    return whole[-(MAX_AHEAD + 1) :], torn


def _last_lines(path: Path) -> list[bytes]:
    try:
        file = open_to_read(path)
    except FileNotFoundError:
        return []
    try:
        skipped = max(0, os.fstat(file).st_size - _TAIL_BYTES)
        os.lseek(file, skipped, os.SEEK_SET)
        lines = list(lines_of(file))
    finally:
        os.close(file)
    return lines[1:] if skipped else lines


def _index_of(whole: list[bytes], last: Position) -> int | None:
    """Where the lines after the head's begin."""
    if last == Position():
        return 0 if len(whole) <= MAX_AHEAD else None
    for index in range(len(whole) - 1, -1, -1):
        entry = _entry(whole[index])
        if entry is not None and entry.position == last:
            return index + 1
    return None


def _entry(line: bytes) -> Entry | None:
    try:
        return read_line(line)
    except DamagedLineError:
        return None
