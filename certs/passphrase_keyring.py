"""The passphrase of the private keys in the system's keychain, through `keyring`.

Every call may block for as long as a person takes to answer a dialog of the system, so a caller with an event loop
makes it in a thread or before the loop has work.
"""

from contextlib import suppress
from typing import Protocol

import keyring

from certs.errors import RESTORE, IdentityError
from certs.passphrase import Place, is_passphrase

SERVICE = "clawdis-bridge"


class Keychain(Protocol):
    """What is needed of a backend of `keyring`; it may raise anything."""

    def get_password(self, service: str, username: str, /) -> str | None:
        """The entry, or None when there is none."""

    def set_password(self, service: str, username: str, password: str, /) -> None:
        """Make or replace the entry."""

    def delete_password(self, service: str, username: str, /) -> None:
        """Remove the entry."""


class KeyringPassphrase:
    """A passphrase under one account of the keychain."""

    def __init__(self, account: str, keychain: Keychain | None = None) -> None:
        """Use the entry `account` of the service `clawdis-bridge`; nothing is read or written yet.

        Args:
            account: the name of the entry.
            keychain: None: the one that `keyring` finds.
        """
        self._account = account
        self._given = keychain

    @property
    def where(self) -> str:
        """Service and account, as the keychain's own program lists them."""
        return f"the keychain entry {SERVICE} / {self._account}"

    @property
    def place(self) -> Place:
        """The keychain."""
        return "keyring"

    def load(self) -> bytes | None:
        """The passphrase, or None when there is no entry; IdentityError when the keychain does not answer."""
        try:
            text = self._keychain().get_password(SERVICE, self._account)
        except Exception as error:  # a backend raises what it likes, also what it is built on
            why = f"the keychain did not give it ({type(error).__name__})"
            raise IdentityError(self.where, why, "Unlock the keychain and try again: clawdis-bridge run") from error
        if text is None:
            return None
        if not is_passphrase(data := text.encode("utf-8", "replace")):
            raise IdentityError(self.where, "it holds no passphrase of this bridge", RESTORE)
        return data

    def keep(self, passphrase: bytes) -> bool:
        """Whether the keychain takes the passphrase and gives the same one back; if not, nothing of it stays there."""
        text = passphrase.decode("ascii")
        with suppress(Exception):  # a backend raises what it likes; whatever it was, it did not keep the passphrase
            keychain = self._keychain()
            keychain.set_password(SERVICE, self._account, text)
            if keychain.get_password(SERVICE, self._account) == text:
                return True
        self.remove()
        return False

    def remove(self) -> None:
        """Remove the entry, if the keychain lets us; nothing can be done about one that stays."""
        with suppress(Exception):  # a backend raises what it likes
            self._keychain().delete_password(SERVICE, self._account)

    def _keychain(self) -> Keychain:
        return self._given if self._given is not None else keyring.get_keyring()
