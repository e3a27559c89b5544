"""The control socket's file: made private before anybody can connect, never in place of something foreign."""

from __future__ import annotations

import errno
import os
import shlex
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import BridgeError

SOCKET_NAME = "bridge.sock"
MAX_PATH_BYTES = 103  # sun_path is 104 bytes with its NUL on macOS (108 on Linux): one limit, so that homes can move
_MODE = 0o600
_PROBE_S = 1.0  # seconds to find out whether somebody answers at an existing socket


class ControlSocketError(BridgeError):
    """The control socket cannot be made; the daemon does not start without it."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__("CONTROL_SOCKET", message, fix)


@dataclass(frozen=True, slots=True)
class SocketFile:
    """A bound socket with its file.

    Attributes:
        sock: bound, not yet listening.
        path: of the file.
        identity: device and inode of the file, to know it again.
    """

    sock: socket.socket
    path: Path
    identity: tuple[int, int]

    def close(self) -> None:
        """Closes the socket and removes its file, unless something else has taken its place. Idempotent."""
        self.sock.close()
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return
        if (found.st_dev, found.st_ino) == self.identity:
            self.path.unlink(missing_ok=True)


def bind_private(path: Path) -> SocketFile:
    """Binds a Unix socket whose file only its owner can use.

    The folder must be ours and closed to others, so nobody else can reach the file in the moment between bind and
    chmod; and nobody at all can connect, because nothing listens yet. The process's umask plays no part.

    Raises:
        ControlSocketError: the path is too long, the folder is open to others, something else is in the way, or
            another daemon answers there.
    """
    require_short(path)
    _require_private_folder(path.parent)
    _clear_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        path.chmod(_MODE)
        made = path.lstat()
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise ControlSocketError(
            f"The control socket {path} cannot be made: {error.strerror}.",
            f"See: ls -la {shlex.quote(str(path.parent))}",
        ) from error
    return SocketFile(sock, path, (made.st_dev, made.st_ino))


def require_short(path: Path) -> None:
    """Refuses a path that does not fit into a socket address.

    Raises:
        ControlSocketError: it has more than `MAX_PATH_BYTES` bytes.
    """
    length = len(os.fsencode(path))
    if length > MAX_PATH_BYTES:
        raise ControlSocketError(
            f"The path of the control socket has {length} bytes, and a Unix socket's may have {MAX_PATH_BYTES}: {path}",
            "Use a shorter folder: clawdis-bridge --home DIR ...",
        )


def _require_private_folder(folder: Path) -> None:
    """Refuses a folder that is a link, not ours, or open to others."""
    try:
        found = folder.lstat()
    except OSError as error:
        raise ControlSocketError(
            f"The folder {folder} cannot be used: {error.strerror}.", "Make it, with mode 0700."
        ) from error
    quoted = shlex.quote(str(folder))
    if not stat.S_ISDIR(found.st_mode):
        raise ControlSocketError(f"{folder} is not a folder (links are not followed).", f"See: ls -ld {quoted}")
    if found.st_uid != os.geteuid():
        raise ControlSocketError(f"The folder {folder} belongs to another user.", f"See: ls -ld {quoted}")
    if found.st_mode & 0o077:
        raise ControlSocketError(f"The folder {folder} is open to other users.", f"chmod 700 {quoted}")


def _clear_stale(path: Path) -> None:
    """Removes a socket that a daemon of ours left behind, and nothing else."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    see = f"See what it is, and move it away: ls -l {shlex.quote(str(path))}"
    if not stat.S_ISSOCK(found.st_mode):
        raise ControlSocketError(f"{path} is in the way: it is not a socket.", see)
    if found.st_uid != os.geteuid():
        raise ControlSocketError(f"{path} is in the way: it belongs to another user.", see)
    if _answers(path):
        raise ControlSocketError(f"Another daemon already serves {path}.", "Stop it first; see: clawdis-bridge status")
    path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    """Whether somebody listens at a socket file; in doubt, yes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(str(path))
        except OSError as error:
            return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
    return True
