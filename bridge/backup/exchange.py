"""Swaps two folders in one step of the file system, so that no moment is without either.

Linux: `renameat2(2)` with RENAME_EXCHANGE; macOS: `renamex_np(2)` with RENAME_SWAP. Python offers neither.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from bridge.backup.errors import BackupError
from certs.private_files import flush_folder

_AT_FDCWD = -100  # <fcntl.h> of Linux: names are relative to the working folder; ours are absolute
_RENAME_EXCHANGE = 2  # <linux/fs.h>: 1 << 1
_RENAME_SWAP = 2  # <sys/stdio.h> of macOS
_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})

Call = Callable[[bytes, bytes], int]


class ExchangeUnsupported(Exception):
    """This file system, or this C library, cannot swap two folders."""


def exchange(one: Path, other: Path, call: Call | None = None) -> None:
    """Swaps two folders of one parent, durably.

    Args:
        one: a folder.
        other: the other.
        call: asks the system; returns 0 or the number of the error. None: as this system does it.

    Raises:
        ExchangeUnsupported: it cannot be done here; nothing has changed.
        BackupError: the system refused; nothing has changed.
    """
    number = (call or _exchange)(os.fsencode(one), os.fsencode(other))
    if number in _UNSUPPORTED:
        raise ExchangeUnsupported
    if number:
        mend = f"See: ls -ld {shlex.quote(str(other.parent))}"
        raise BackupError(f"{other} could not be replaced ({os.strerror(number)}).", mend)
    with contextlib.suppress(OSError):  # it is done; after a power failure it may be undone, and is whole either way
        flush_folder(other.parent)


def _exchange(one: bytes, other: bytes) -> int:
    """0, or the number of the error."""
    library = ctypes.CDLL(None, use_errno=True)
    try:
        if sys.platform == "darwin":
            result = library.renamex_np(one, other, ctypes.c_uint(_RENAME_SWAP))
        else:
            result = library.renameat2(_AT_FDCWD, one, _AT_FDCWD, other, ctypes.c_uint(_RENAME_EXCHANGE))
    except AttributeError:  # an older C library lacks the function
        return errno.ENOSYS
    return ctypes.get_errno() if result != 0 else 0
