"""The passphrase in a keychain that works, and in keychains that do not."""

import keyring
import pytest

from certs.errors import IdentityError
from certs.passphrase_keyring import SERVICE, KeyringPassphrase
from tests.certs.keychains import (
    Forgets,
    LocksAfterWriting,
    MemoryKeychain,
    RefusesToWrite,
    ReturnsAnother,
)

ACCOUNT = "keys-0123456789abcdef"
PASSPHRASE = b"p" * 43
broken = pytest.mark.parametrize("keychain", [RefusesToWrite(), Forgets(), ReturnsAnother(), LocksAfterWriting()])


def test_it_is_kept_under_its_account() -> None:
    keychain = MemoryKeychain()
    source = KeyringPassphrase(ACCOUNT, keychain)
    assert source.load() is None
    assert source.keep(PASSPHRASE)
    assert keychain.entries == {(SERVICE, ACCOUNT): PASSPHRASE.decode()}
    assert KeyringPassphrase(ACCOUNT, keychain).load() == PASSPHRASE
    assert KeyringPassphrase("keys-other", keychain).load() is None


@broken
def test_a_keychain_that_does_not_keep_it_is_noticed_at_once(keychain: MemoryKeychain) -> None:
    source = KeyringPassphrase(ACCOUNT, keychain)
    assert not source.keep(PASSPHRASE)
    assert keychain.entries == {}


def test_a_locked_keychain_is_an_error_and_not_a_missing_passphrase() -> None:
    keychain = MemoryKeychain()
    source = KeyringPassphrase(ACCOUNT, keychain)
    assert source.keep(PASSPHRASE)
    keychain.locked = True
    with pytest.raises(IdentityError) as caught:
        source.load()
    assert caught.value.what == source.where == f"the keychain entry clawdis-bridge / {ACCOUNT}"
    assert "KeyringLocked" in caught.value.why
    assert "clawdis-bridge run" in caught.value.mend
    keychain.locked = False
    assert source.load() == PASSPHRASE


@pytest.mark.parametrize("text", ["", "x" * 42, "x" * 44, "é" * 43, "\ud800" * 43])
def test_an_entry_of_another_form_is_refused(text: str) -> None:
    keychain = MemoryKeychain()
    keychain.entries[SERVICE, ACCOUNT] = text
    with pytest.raises(IdentityError, match="holds no passphrase"):
        KeyringPassphrase(ACCOUNT, keychain).load()
    assert keychain.entries[SERVICE, ACCOUNT] == text


def test_without_a_given_one_the_system_s_keychain_is_asked() -> None:
    assert type(keyring.get_keyring()).__module__ == "keyring.backends.fail"  # what the tests' environment says
    source = KeyringPassphrase(ACCOUNT)
    assert not source.keep(PASSPHRASE)
    with pytest.raises(IdentityError, match="NoKeyringError"):
        source.load()


def test_nothing_secret_is_printed() -> None:
    keychain = MemoryKeychain()
    source = KeyringPassphrase(ACCOUNT, keychain)
    assert source.keep(PASSPHRASE)
    assert PASSPHRASE.decode() not in f"{source!r} {source.where}"
    assert source.place == "keyring"
