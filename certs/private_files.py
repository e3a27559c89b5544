"""Files that only their owner may read: the shell below the keys folder and below the bridge's stores.

A write is whole or not there: a temporary file in the same folder, flushed, renamed over the target, and the
folder flushed. Files are 0600 and folders 0700 whatever the umask; a link, a pipe, another owner, a second name
or an open mode is refused, because the content may have been read or planted by someone else.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import shlex
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700

_OPEN_TO_OTHERS = 0o077
_WRITABLE_BY_OTHERS = 0o022
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_EXISTING_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not block the open
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class PrivateFileError(Exception):
    """A private file or folder that cannot be trusted or written.

    Attributes:
        path: the file or folder.
        why: what is wrong with it.
        mend: what the user can do, with the command.
    """

    def __init__(self, path: Path, why: str, mend: str) -> None:
        """Keep the parts; the message is made of all three."""
        super().__init__(f"{path}: {why}. {mend}")
        self.path = path
        self.why = why
        self.mend = mend


def private_folder(path: Path) -> str | None:
    """Make sure that `path` is a folder of ours with mode 0700; missing parents are made with 0700 as well.

    Returns:
        None, or a sentence for the log when a folder that others could read was closed to them.

    Raises:
        PrivateFileError: a link, no folder, another owner, or a folder in which others could write.
    """
    try:
        _make_missing(path)
        folder = os.open(path, _FOLDER)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        mode = _trusted_folder(path, folder)
        if mode == FOLDER_MODE:
            return None
        os.fchmod(folder, FOLDER_MODE)
    finally:
        os.close(folder)
    return f"{path} had mode {mode:04o}; it now has {FOLDER_MODE:04o}"


def write_private(path: Path, data: bytes) -> None:
    """Replace `path` by `data` with mode 0600, durably and at once: a crash leaves the old file or the new one.

    The folder must exist, be ours and not be writable by others. A link or pipe at `path` is replaced, not
    followed.

    Raises:
        PrivateFileError: the folder cannot be trusted, or the write failed; the old file is then still there.
    """
    try:
        with _opened_folder(path.parent) as folder:
            _replace(folder, path.name, data)
    except OSError as error:
        mend = f"Make room or mend the disk, then try again: df -h {shlex.quote(str(path.parent))}"
        raise PrivateFileError(path, f"it could not be written ({_reason(error)})", mend) from error


def read_private(path: Path, max_bytes: int) -> bytes:
    """The content of a private file.

    Args:
        path: the file, in a folder that is ours and not writable by others.
        max_bytes: a longer file is refused, not cut.

    Raises:
        FileNotFoundError: there is no such file, or no such folder.
        PrivateFileError: a link, no regular file, another owner, a second hard link, a mode that lets others in,
            a file that is too long, or one that cannot be read.
    """
    return _read_own(path, max_bytes, _OPEN_TO_OTHERS)


def read_own(path: Path, max_bytes: int) -> bytes:
    """The content of a file that nobody else can have written, though others may read it; else as `read_private`."""
    return _read_own(path, max_bytes, _WRITABLE_BY_OTHERS)


def _read_own(path: Path, max_bytes: int, closed: int) -> bytes:
    """The content of a file of ours, of which others have none of the permission bits in `closed`."""
    try:
        with _opened_folder(path.parent) as folder, _opened_file(path, folder) as file:
            _require_private(path, os.fstat(file), max_bytes, closed)
            data = _read_up_to(file, max_bytes + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unusable(path, error) from error
    if len(data) > max_bytes:
        raise _too_long(path, max_bytes)
    return data


def remove_private(path: Path) -> bool:
    """Remove a private file durably; whether there was one.

    Raises:
        PrivateFileError: the folder cannot be trusted, or the file cannot be removed.
    """
    try:
        with _opened_folder(path.parent) as folder:
            os.unlink(path.name, dir_fd=folder)
            os.fsync(folder)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unusable(path, error) from error
    return True


@contextlib.contextmanager
def locked_folder(path: Path) -> Iterator[None]:
    """Hold the folder's advisory lock, so that two processes do not make the same file at once.

    The lock ends with the block or the process, whichever comes first; nothing is left behind.

    Raises:
        PrivateFileError: another process holds it, or the folder cannot be trusted.
    """
    try:
        folder = os.open(path, _FOLDER)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        _trusted_folder(path, folder)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            mend = "Wait until it has finished, then try again: clawdis-bridge status"
            raise PrivateFileError(path, "another process is changing it", mend) from error
        yield
    finally:
        os.close(folder)


def flush_to_disk(file: int) -> None:
    """Ask for an open file's data to be on the medium; on macOS `fsync` alone stops at the drive's cache."""
    if sys.platform == "darwin":
        with contextlib.suppress(OSError):  # network volumes do not know it; fsync below still holds
            fcntl.fcntl(file, fcntl.F_FULLFSYNC)
    os.fsync(file)


def flush_folder(path: Path) -> None:
    """Make the names in a folder durable; it may be anyone's, the system's for example."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _make_missing(path: Path) -> None:
    """Make `path` and the parents that do not exist, each 0700 even under a umask that takes bits away."""
    missing = [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):  # made meanwhile by another process: judged like any other
            folder.mkdir(mode=FOLDER_MODE)
            folder.chmod(FOLDER_MODE)
            flush_folder(folder.parent)


@contextlib.contextmanager
def _opened_folder(path: Path) -> Iterator[int]:
    """The descriptor of a trusted folder: every name is then looked up in that very folder."""
    folder = os.open(path, _FOLDER)
    try:
        _trusted_folder(path, folder)
        yield folder
    finally:
        os.close(folder)


@contextlib.contextmanager
def _opened_file(path: Path, folder: int) -> Iterator[int]:
    """The descriptor of the existing file `path` in the open `folder`."""
    file = os.open(path.name, _EXISTING_FILE, dir_fd=folder)
    try:
        yield file
    finally:
        os.close(file)


def _trusted_folder(path: Path, folder: int) -> int:
    """The folder's permission bits, once it is known to be ours and closed to other writers."""
    status = os.fstat(folder)
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.geteuid():
        raise PrivateFileError(path, f"the folder belongs to user {status.st_uid}", _take_over(path))
    if mode & _WRITABLE_BY_OTHERS:
        why = f"other users can write in it (mode {mode:04o})"
        raise PrivateFileError(path, why, f"Look at what is in it, then: chmod 700 {shlex.quote(str(path))}")
    return mode


def _require_private(path: Path, status: os.stat_result, max_bytes: int, closed: int) -> None:
    """Raise PrivateFileError unless the open file is regular, ours alone, closed and not too long."""
    quoted = shlex.quote(str(path))
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        raise PrivateFileError(path, "it is no regular file", f"Move it away: mv {quoted} {quoted}.aside")
    if status.st_uid != os.geteuid():
        raise PrivateFileError(path, f"it belongs to user {status.st_uid}", _take_over(path))
    if status.st_nlink != 1:
        mend = f"Find the other name and remove it: find / -xdev -samefile {quoted}"
        raise PrivateFileError(path, f"it has {status.st_nlink} names (hard links)", mend)
    if mode & closed:
        mend = f"If nobody else has read or changed it: chmod 600 {quoted}"
        what = "open" if closed == _OPEN_TO_OTHERS else "write"
        raise PrivateFileError(path, f"other users can {what} it (mode {mode:04o})", mend)
    if status.st_size > max_bytes:
        raise _too_long(path, max_bytes)


def _replace(folder: int, name: str, data: bytes) -> None:
    """Write `data` beside `name` and rename it into place; the temporary file never outlives a failure."""
    temporary = f".{name}.{secrets.token_hex(8)}.new"
    file = os.open(temporary, _NEW_FILE, FILE_MODE, dir_fd=folder)
    try:
        with os.fdopen(file, "wb") as stream:
            os.fchmod(stream.fileno(), FILE_MODE)
            stream.write(data)
            stream.flush()
            flush_to_disk(stream.fileno())
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    os.fsync(folder)


def _read_up_to(file: int, count: int) -> bytes:
    """At most `count` bytes from an open file."""
    with os.fdopen(os.dup(file), "rb") as stream:
        return stream.read(count)


def _too_long(path: Path, max_bytes: int) -> PrivateFileError:
    quoted = shlex.quote(str(path))
    return PrivateFileError(path, f"it is longer than {max_bytes} bytes", f"Move it away: mv {quoted} {quoted}.aside")


def _unusable(path: Path, error: OSError) -> PrivateFileError:
    return PrivateFileError(path, f"it cannot be used ({_reason(error)})", f"See: ls -ld {shlex.quote(str(path))}")


def _take_over(path: Path) -> str:
    return f'If it is yours: sudo chown "$(id -u)" {shlex.quote(str(path))}'


def _reason(error: OSError) -> str:
    """The system's words for an error, without the path, which the message names already."""
    if error.errno == errno.ELOOP:  # the answer to O_NOFOLLOW
        return "it is a symbolic link"
    return error.strerror or type(error).__name__
