"""The files of the audit log: their names and order, and how they are opened."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from bridge.audit.entry import MAX_LINE_BYTES
from bridge.audit.errors import AuditError

FOLDER = "audit"
ACTIVE = "audit.jsonl"
_CLOSED = re.compile(r"audit-(\d{12})\.jsonl")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_READ_BYTES = 65536


def closed_name(last: int) -> str:
    """Returns the name of a file that was closed after line `last`."""
    return f"audit-{last:012d}.jsonl"


def last_of(name: str) -> int | None:
    """Returns the number of the last line of a closed file, from its name; None: it is no closed file."""
    found = _CLOSED.fullmatch(name)
    return int(found[1]) if found is not None else None


def log_files(folder: Path) -> list[Path]:
    """Returns the files of a log, the oldest first and the one that is written last; none: there is no log."""
    try:
        names = {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise unreadable(folder, exc) from exc
    closed = sorted(name for name in names if last_of(name) is not None)
    return [folder / name for name in [*closed, *([ACTIVE] if ACTIVE in names else [])]]


def open_to_append(path: Path) -> int:
    """Opens the file that is written, made 0600 when it is missing; returns its descriptor.

    Raises:
        OSError: it cannot be opened, is a link, a pipe, someone else's, or has a second name.
    """
    file = os.open(path, _APPEND, 0o600)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink != 1:
            raise OSError(f"{path} is no file of this user alone")
        os.fchmod(file, 0o600)
    except OSError:
        os.close(file)
        raise
    return file


def open_to_read(path: Path) -> int:
    """Opens a file of the log for reading; returns its descriptor.

    Raises:
        FileNotFoundError: it has gone.
        AuditError: it cannot be read, or is no regular file.
    """
    try:
        file = os.open(path, _READ)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise unreadable(path, exc) from exc
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise AuditError(f"{path} is no regular file", f"See: ls -l {shlex.quote(str(path))}")
    return file


def lines_of(file: int) -> Iterator[bytes]:
    """Yields the lines of an open file from where it stands, each with its newline if it has one.

    A line longer than `MAX_LINE_BYTES` comes in pieces, which are no entries.
    """
    left = b""
    while data := os.read(file, _READ_BYTES):
        *whole, left = (left + data).split(b"\n")
        yield from (line + b"\n" for line in whole)
        while len(left) > MAX_LINE_BYTES:
            yield left[:MAX_LINE_BYTES] + b"\n"
            left = left[MAX_LINE_BYTES:]
    if left:
        yield left


def unreadable(path: Path, exc: OSError) -> AuditError:
    """Returns the error for a file or folder of the log that cannot be read."""
    return AuditError(f"{path} cannot be read ({exc.strerror or exc})", f"See: ls -ld {shlex.quote(str(path))}")
