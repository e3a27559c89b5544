"""Where the passphrase of the private keys is kept: the interface, and the file that serves it everywhere."""

import re
import secrets
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from certs.errors import IdentityError, as_identity_error, from_backup
from certs.private_files import read_private, remove_private, write_private

PASSPHRASE_FILE = "passphrase"  # noqa: S105 - a file name
MAX_BYTES = 256  # more than any passphrase that this module writes

Place: TypeAlias = Literal["keyring", "file"]

_PASSPHRASE = re.compile(rb"[A-Za-z0-9_-]{43}")  # 32 random bytes in base64url


def new_passphrase() -> bytes:
    """A random passphrase: 32 bytes from the system, in base64url."""
    return secrets.token_urlsafe(32).encode("ascii")


def is_passphrase(data: bytes) -> bool:
    """Whether `data` has the form of what `new_passphrase` makes."""
    return _PASSPHRASE.fullmatch(data) is not None


class PassphraseSource(Protocol):
    """Where the passphrase of the private keys is kept."""

    @property
    def where(self) -> str:
        """The place, as an error message names it."""

    @property
    def place(self) -> Place:
        """What kind of place it is."""

    def load(self) -> bytes | None:
        """The passphrase, or None when none was ever made.

        Raises:
            IdentityError: the place cannot be read; never answered by a new passphrase.
        """

    def create(self) -> bytes:
        """Make, keep and return a new random passphrase; only asked for while no key exists.

        Raises:
            IdentityError: the place cannot be written, or holds a passphrase already.
        """


class FilePassphrase:
    """A passphrase in a 0600 file beside the keys.

    It keeps a key file that was copied alone useless; it does not protect against a copy of the whole folder.
    """

    def __init__(self, folder: Path) -> None:
        """Use the file `passphrase` in `folder`; nothing is read or written yet."""
        self._file = folder / PASSPHRASE_FILE

    @property
    def where(self) -> str:
        """The path of the file."""
        return str(self._file)

    @property
    def place(self) -> Place:
        """A file."""
        return "file"

    def load(self) -> bytes | None:
        """The passphrase, or None when there is no file; IdentityError when the file cannot be trusted."""
        with as_identity_error():
            try:
                data = read_private(self._file, MAX_BYTES)
            except FileNotFoundError:
                return None
        if not is_passphrase(data):
            raise IdentityError(self.where, "it holds no passphrase of this bridge", from_backup(self._file))
        return data

    def create(self) -> bytes:
        """Make, keep and return a passphrase of 32 random bytes; IdentityError when there is one already."""
        if self.load() is not None:
            raise IdentityError(self.where, "there is a passphrase already", from_backup(self._file))
        passphrase = new_passphrase()
        with as_identity_error():
            write_private(self._file, passphrase)
        return passphrase

    def remove(self) -> None:
        """Remove the file; IdentityError when it cannot be removed."""
        with as_identity_error():
            remove_private(self._file)
