"""The backup as a file: written whole, with mode 0600, and never over another; read with a bound."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import stat
from pathlib import Path

from bridge.backup.archive import MAX_ARCHIVE_BYTES
from bridge.backup.errors import BackupError
from certs.private_files import flush_folder, flush_to_disk

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_EXISTING_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not block the open


def require_new(path: Path) -> None:
    """Checks where a backup is to be written, before anything is asked or computed.

    Raises:
        BackupError: there is something of that name, or no folder for it.
    """
    if os.path.lexists(path):
        raise BackupError(f"{path} exists already, and is not overwritten.", "Give the backup another name.")
    if not path.parent.is_dir():
        raise BackupError(f"There is no folder {path.parent}.", f"Make it: mkdir -p {shlex.quote(str(path.parent))}")


def write_new(path: Path, data: bytes) -> None:
    """Writes a backup, durably and at once: it is whole or it is not there.

    The folder may be anyone's, a memory stick's for example: what is written there is encrypted and authenticated.

    Raises:
        BackupError: there is something of that name, or the disk refused.
    """
    require_new(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        file = os.open(temporary, _NEW_FILE, 0o600)
        try:
            with os.fdopen(file, "wb") as stream:
                with contextlib.suppress(OSError):  # a FAT stick knows no modes
                    os.fchmod(stream.fileno(), 0o600)
                stream.write(data)
                stream.flush()
                flush_to_disk(stream.fileno())
            require_new(path)
            temporary.rename(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        flush_folder(path.parent)
    except OSError as exc:
        raise BackupError(
            f"{path} could not be written ({exc.strerror or type(exc).__name__}).",
            f"Make room, or name another place: df -h {shlex.quote(str(path.parent))}",
        ) from exc


def read_archive(path: Path) -> bytes:
    """The bytes of a backup.

    Raises:
        BackupError: there is no such file, it cannot be read, or it is longer than any backup.
    """
    try:
        with os.fdopen(os.open(path, _EXISTING_FILE), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise BackupError(f"{path} is no regular file.", "Name the file that 'clawdis-bridge backup' wrote.")
            data = stream.read(MAX_ARCHIVE_BYTES + 1)
    except OSError as exc:
        raise BackupError(
            f"{path} cannot be read ({exc.strerror or type(exc).__name__}).", f"See: ls -l {shlex.quote(str(path))}"
        ) from exc
    if len(data) > MAX_ARCHIVE_BYTES:
        raise BackupError(f"{path} is longer than {MAX_ARCHIVE_BYTES} bytes: no backup is.", "Name the right file.")
    return data
