"""The one choice between keychain and file, made with the first key and recorded beside it."""

import re
import secrets
from pathlib import Path

from certs.errors import IdentityError, as_identity_error, from_backup
from certs.passphrase import FilePassphrase, Place, new_passphrase
from certs.passphrase_keyring import Keychain, KeyringPassphrase
from certs.private_files import read_private, write_private

PLACE_FILE = "passphrase-place"
MAX_BYTES = 64  # "keyring keys-" and 16 digits

_KEYRING = re.compile(rb"keyring (keys-[0-9a-f]{16})\n")
_FILE = b"file\n"


class ChosenPassphrase:
    """The keychain if it kept a passphrase when the first key was made, else a file in the keys folder.

    The choice is recorded in the file `passphrase-place` and never made again: a keychain that fails later is an
    `IdentityError`, not a reason to look elsewhere. A folder with a passphrase file and no record is of a time when
    there was no choice; it stays with its file. The keychain's entry has a random name, which the record holds: a
    folder that was put aside keeps its own entry when another one is begun in its place.
    """

    def __init__(self, folder: Path, keychain: Keychain | None = None) -> None:
        """Use the record in `folder`; nothing is read or written yet.

        Args:
            folder: the keys folder.
            keychain: None: the one that `keyring` finds.
        """
        self._record = folder / PLACE_FILE
        self._file = FilePassphrase(folder)
        self._keychain = keychain

    @property
    def where(self) -> str:
        """The chosen place."""
        return self._chosen().where

    @property
    def place(self) -> Place:
        """The chosen place; a file while nothing was chosen."""
        return self._chosen().place

    def load(self) -> bytes | None:
        """The passphrase, or None when none was made; IdentityError when record or place cannot be read."""
        return self._chosen().load()

    def create(self) -> bytes:
        """Choose, make, keep and return a passphrase; IdentityError when there is one, or no place keeps it.

        The passphrase is kept before the choice is recorded, so a crash between the two leaves at most an entry of the
        keychain that nobody looks for.
        """
        if self.load() is not None:
            raise IdentityError(self.where, "there is a passphrase already", from_backup(self._record))
        account, passphrase = _new_account(), new_passphrase()
        if KeyringPassphrase(account, self._keychain).keep(passphrase):
            self._note(f"keyring {account}\n".encode("ascii"))
            return passphrase
        passphrase = self._file.create()
        self._note(_FILE)
        return passphrase

    def settle(self) -> Place:
        """Choose the place of a passphrase that came in a file, as with a backup; the place that keeps it now.

        What a record says of its place was another machine's, and is written anew.
        Once the keychain keeps it, the record is written and only then is the file removed, so a crash loses nothing.
        """
        passphrase = self._file.load()
        if passphrase is None:
            return self.place
        account = _new_account()
        if not KeyringPassphrase(account, self._keychain).keep(passphrase):
            self._note(_FILE)
            return "file"
        self._note(f"keyring {account}\n".encode("ascii"))
        self._file.remove()
        return "keyring"

    def forget(self) -> None:
        """Take the passphrase out of its place again, for a folder of keys that is given up."""
        self._chosen().remove()

    def _note(self, record: bytes) -> None:
        with as_identity_error():
            write_private(self._record, record)

    def _chosen(self) -> FilePassphrase | KeyringPassphrase:
        with as_identity_error():
            try:
                record = read_private(self._record, MAX_BYTES)
            except FileNotFoundError:
                return self._file
        if record == _FILE:
            return self._file
        entry = _KEYRING.fullmatch(record)
        if entry is None:
            why = "it does not say where the passphrase of the bridge's keys is"
            raise IdentityError(str(self._record), why, from_backup(self._record))
        return KeyringPassphrase(entry[1].decode("ascii"), self._keychain)


def _new_account() -> str:
    return f"keys-{secrets.token_hex(8)}"
