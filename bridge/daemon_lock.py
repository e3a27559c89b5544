"""One daemon per home folder: an advisory lock that ends with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = "lock"


class AlreadyRunningError(Exception):
    """Another daemon runs on this folder."""


@contextmanager
def daemon_lock(home: Path) -> Iterator[None]:
    """Holds the folder's lock.

    Raises:
        AlreadyRunningError: another process holds it.
        OSError: the file cannot be made.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(home / LOCK_FILE, flags, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise AlreadyRunningError(
                f"a bridge is running on {home} already. Look at it: clawdis-bridge status --home '{home}'"
            ) from exc
        yield
    finally:
        os.close(file)
