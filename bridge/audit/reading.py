"""Reads the end of an audit log, and follows it, whether or not the daemon runs."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bridge.audit.entry import DamagedLineError, Entry, read_line
from bridge.audit.files import ACTIVE, lines_of, log_files, open_to_read

LOOK_S = 0.3  # seconds between looks at a file that is followed


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries a person asks for.

    Attributes:
        node: of this node; an id or its beginning. None: of all, and of none.
        kind: of this family; None: of all.
    """

    node: str | None = None
    kind: str | None = None

    def may_take(self, line: bytes) -> bool:
        """Whether a line is worth reading: a hundred times as fast as reading it."""
        about_node = self.node is None or b'"node":"' + self.node.encode("ascii", "replace") in line
        return about_node and (self.kind is None or b'"kind":"' + self.kind.encode("ascii", "replace") + b'"' in line)

    def takes(self, entry: Entry) -> bool:
        """Whether it is one of them."""
        about = str(entry.draft.fields.get("node", ""))
        return self.kind in {None, entry.draft.kind} and (self.node is None or about.startswith(self.node))


def newest(folder: Path, count: int, wanted: Wanted) -> Iterator[Entry | bytes]:
    """Yields the last entries that are wanted, the oldest first; a line that is none is given as it is.

    Args:
        folder: of the log.
        count: how many; at most `count` entries are held in memory.
        wanted: which ones.

    Raises:
        AuditError: a file cannot be read.
    """
    found: list[bytes] = []
    for path in reversed(log_files(folder)):
        kept: deque[bytes] = deque(maxlen=max(1, count - len(found)))
        try:
            file = open_to_read(path)
        except FileNotFoundError:
            continue
        try:
            kept.extend(line for line in lines_of(file) if wanted.may_take(line) or not line.startswith(b'{"seq":'))
        finally:
            os.close(file)
        found = [*kept, *found]
        if len(found) >= count:
            break
    for line in found[-count:] if count else []:
        entry = entry_of(line)
        if isinstance(entry, bytes) or wanted.takes(entry):
            yield entry


def entry_of(line: bytes) -> Entry | bytes:
    """Returns the entry of a line, or the line when it is none."""
    try:
        return read_line(line)
    except DamagedLineError:
        return line


def follow(folder: Path, wanted: Wanted, stopped: Callable[[], bool] = lambda: False) -> Iterator[Entry | bytes | None]:
    """Yields what is written after this call; None when there is nothing new, so that the caller can flush and leave.

    Over the end of a file it goes on with the next one, and a line is given when it is whole.

    Args:
        folder: of the log.
        wanted: which entries.
        stopped: whether to leave.
    """
    file = _open(folder / ACTIVE)  # now, not when the first entry is asked for
    if file is not None:
        os.lseek(file, 0, os.SEEK_END)
    return _followed(folder, file, wanted, stopped)


def _followed(
    folder: Path, file: int | None, wanted: Wanted, stopped: Callable[[], bool]
) -> Iterator[Entry | bytes | None]:
    left = b""
    while not stopped():
        successor = _open(folder / ACTIVE)  # opened before the last look at the former, so that nothing falls between
        data = _rest(file)
        *whole, left = (left + data).split(b"\n")
        for entry in map(entry_of, whole):
            if isinstance(entry, bytes) or wanted.takes(entry):
                yield entry
        if successor is not None and not _same(file, successor):
            file, left = _replace(file, successor), b""
            continue
        if successor is not None:
            os.close(successor)
        yield None
        time.sleep(LOOK_S)
    if file is not None:
        os.close(file)


def _open(path: Path) -> int | None:
    try:
        return open_to_read(path)
    except FileNotFoundError:
        return None


def _rest(file: int | None) -> bytes:
    if file is None:
        return b""
    parts = []
    while data := os.read(file, 65536):
        parts.append(data)
    return b"".join(parts)


def _same(file: int | None, other: int) -> bool:
    return file is not None and os.fstat(file).st_ino == os.fstat(other).st_ino


def _replace(file: int | None, successor: int) -> int:
    if file is not None:
        os.close(file)
    return successor
