"""Where the passphrase of a backup comes from: a terminal, a private file, or a pipe; never the command line."""

from __future__ import annotations

import getpass
import os
import shlex
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from bridge.backup.errors import BackupError
from bridge.errors import UsageError

# Characters a new passphrase has at least. Whoever has the file may guess for ever, at half a second and 128 MiB each:
# twelve random lower-case letters (56 bits) are a billion years of that on one machine.
MIN_CHARACTERS = 12
MAX_BYTES = 1024  # bytes of UTF-8; no person types more, and a file of the wrong name is told by it

_EXISTING_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not block the open
_ELSEWHERE = "Give it in a file (--passphrase-file FILE, mode 0600) or on standard input."

Ask = Callable[[str], str]


def new_passphrase(file: Path | None, ask: Ask = getpass.getpass) -> str:
    """The passphrase for a new backup; on a terminal it is asked twice.

    Raises:
        UsageError: there is none, it is too short or too long or no text, or the two differ.
        BackupError: the file cannot be used.
    """
    if file is None and sys.stdin.isatty():
        prompt = f"Passphrase for the backup ({MIN_CHARACTERS} characters or more): "
        passphrase = _long_enough(_typed(ask, prompt))
        if ask("Once more: ") != passphrase:
            raise UsageError("The two passphrases differ.", "Try again; nothing was written.")
        return passphrase
    return _long_enough(_given(file))


def known_passphrase(file: Path | None, ask: Ask = getpass.getpass) -> str:
    """The passphrase of an existing backup.

    Raises:
        UsageError: there is none, it is too long or no text.
        BackupError: the file cannot be used.
    """
    return _typed(ask, "Passphrase of the backup: ") if file is None and sys.stdin.isatty() else _given(file)


def _long_enough(passphrase: str) -> str:
    if len(passphrase) < MIN_CHARACTERS:
        raise UsageError(
            f"The passphrase has {len(passphrase)} characters; a backup needs {MIN_CHARACTERS} or more.",
            "Take five or six random words.",
        )
    return passphrase


def _given(file: Path | None) -> str:
    """The first line of the file or of standard input."""
    return _first_line(sys.stdin.buffer.read(MAX_BYTES + 1) if file is None else _read(file))


def _typed(ask: Ask, prompt: str) -> str:
    """What a person types; bytes that are no text come as lone surrogates, and are judged as a file's would be."""
    return _first_line(ask(prompt).encode("utf-8", "surrogateescape"))


def _first_line(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise UsageError(f"The passphrase is longer than {MAX_BYTES} bytes.", "Name the right file.")
    try:
        line = data.decode("utf-8").partition("\n")[0].removesuffix("\r")
    except UnicodeDecodeError:
        raise UsageError("The passphrase is no text (UTF-8).", _ELSEWHERE) from None
    if not line:
        raise UsageError("There is no passphrase.", _ELSEWHERE)
    return line


def _read(file: Path) -> bytes:
    quoted = shlex.quote(str(file))
    try:
        with os.fdopen(os.open(file, _EXISTING_FILE), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BackupError(f"{file} is no regular file.", _ELSEWHERE)
            if stat.S_IMODE(status.st_mode) & 0o077:
                raise BackupError(f"{file} can be read by other users.", f"Close it: chmod 600 {quoted}")
            return stream.read(MAX_BYTES + 1)
    except OSError as exc:
        raise BackupError(f"{file} cannot be read ({exc.strerror}).", f"See: ls -l {quoted}") from exc
