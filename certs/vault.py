"""The files of the keys folder, and the passphrase that their private keys are encrypted with."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from certs.errors import IdentityError, as_identity_error, from_backup, lost_identity
from certs.keys import UNREADABLE, NodePrivateKey
from certs.passphrase import PassphraseSource
from certs.private_files import locked_folder, private_folder, read_private, remove_private, write_private

MAX_FILE_BYTES = 16384  # the longest file here, bridge.pem, has some 1,400 bytes
KEY_BLOCK = b"ENCRYPTED PRIVATE KEY"  # PKCS#8, RFC 7468 section 11

_TRACES = (".pem", ".pin")  # what keys, certificates and the notes about them are called
_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\n[A-Za-z0-9+/=\n]+-----END \1-----\n")


class Vault:
    """The keys folder as a place: reads, writes and decrypts, and knows nothing of what the keys are for.

    Every method raises `IdentityError` and nothing else for a file that it cannot trust.
    """

    def __init__(self, path: Path, passphrases: PassphraseSource) -> None:
        """Make the folder when it is missing, close it to others when it is open."""
        self.path = path
        """The folder."""
        self.passphrases = passphrases
        """Where the passphrase lives."""
        self._known: bytes | None = None
        with as_identity_error():
            self.note = private_folder(path)
            """A sentence for the log when the folder's mode had to be repaired, else None."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from changing the folder; not to be nested."""
        with as_identity_error(), locked_folder(self.path):
            yield

    def holds_any_key(self) -> bool:
        """Whether any trace says that a key exists or existed; a dangling link is a trace too."""
        return any(file.suffix in _TRACES for file in self.path.iterdir())

    def read(self, name: str) -> bytes | None:
        """The content of a file, or None when there is no such file."""
        with as_identity_error():
            try:
                return read_private(self.path / name, MAX_FILE_BYTES)
            except FileNotFoundError:
                return None

    def write(self, name: str, data: bytes) -> None:
        """Replace a file, durably and at once."""
        with as_identity_error():
            write_private(self.path / name, data)

    def remove(self, name: str) -> bool:
        """Remove a file; whether there was one."""
        with as_identity_error():
            return remove_private(self.path / name)

    def encrypted(self, key: NodePrivateKey) -> bytes:
        """The key as PKCS#8 PEM (RFC 5958 section 3), under the passphrase, which is made with the very first key."""
        encryption = BestAvailableEncryption(self._passphrase_for_new_key())
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    def decrypted(self, name: str, pem: bytes) -> PrivateKeyTypes:
        """The private key in `pem`, which came from the file `name`."""
        try:
            return load_pem_private_key(pem, self.passphrase())
        except UNREADABLE as error:
            why = "its key cannot be decrypted: the file is damaged or the passphrase is another one"
            raise IdentityError(str(self.path / name), why, from_backup(self.path / name)) from error

    def passphrase(self) -> bytes:
        """The passphrase of the keys that exist, asked for once: a keychain may ask a person each time."""
        if self._known is None:
            self._known = self.passphrases.load()
        if self._known is None:
            why = "the passphrase of the bridge's keys is missing"
            raise IdentityError(self.passphrases.where, why, lost_identity(self.path, self.path))
        return self._known

    def _passphrase_for_new_key(self) -> bytes:
        """The passphrase, made first if there is no key at all yet."""
        if self.holds_any_key():
            return self.passphrase()
        existing = self.passphrases.load()
        return existing if existing is not None else self.passphrases.create()


def pem_blocks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Label and text of each PEM block; empty when there is anything between or around them."""
    blocks = list(_PEM_BLOCK.finditer(data))
    if b"".join(block[0] for block in blocks) != data:
        return []
    return [(block[1], block[0]) for block in blocks]
