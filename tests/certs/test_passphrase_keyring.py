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
broken = pytest.mark.parametrize("keychain", [RefusesToWrite(), Forgets(), ReturnsAnother(), LocksAfterWriting()])


def test_it_is_random_and_kept_under_its_account() -> None:
    keychain = MemoryKeychain()
    source = KeyringPassphrase(ACCOUNT, keychain)
    assert source.load() is None
    made = source.create()
    assert len(made) == 43
    assert keychain.entries == {(SERVICE, ACCOUNT): made.decode()}
    assert KeyringPassphrase(ACCOUNT, keychain).load() == made
    assert KeyringPassphrase("keys-other", keychain).create() != made


def test_it_is_made_once_only() -> None:
    source = KeyringPassphrase(ACCOUNT, MemoryKeychain())
    made = source.create()
    with pytest.raises(IdentityError, match="already"):
        source.create()
    assert source.load() == made


@broken
def test_a_keychain_that_does_not_keep_it_is_noticed_at_once(keychain: MemoryKeychain) -> None:
    source = KeyringPassphrase(ACCOUNT, keychain)
    assert not source.keep(b"p" * 43)
    assert keychain.entries == {}
    keychain.locked = False
    with pytest.raises(IdentityError, match="does not keep it"):
        source.create()


def test_a_locked_keychain_is_an_error_and_not_a_missing_passphrase() -> None:
    keychain = MemoryKeychain()
    source = KeyringPassphrase(ACCOUNT, keychain)
    made = source.create()
    keychain.locked = True
    for action in (source.load, source.create):
        with pytest.raises(IdentityError) as caught:
            action()
        assert caught.value.what == source.where == f"the keychain entry clawdis-bridge / {ACCOUNT}"
        assert "KeyringLocked" in caught.value.why
        assert "clawdis-bridge run" in caught.value.mend
    keychain.locked = False
    assert source.load() == made


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
    assert not source.keep(b"p" * 43)
    with pytest.raises(IdentityError, match="NoKeyringError"):
        source.load()


def test_nothing_secret_is_printed() -> None:
    keychain = MemoryKeychain()
    source = KeyringPassphrase(ACCOUNT, keychain)
    made = source.create().decode()
    assert made not in f"{source!r} {source.where}"
    assert source.place == "keyring"
