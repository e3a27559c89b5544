"""Keychain or file: chosen once, recorded, and never looked for elsewhere."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs.errors import IdentityError
from certs.passphrase import FilePassphrase
from certs.passphrase_choice import ChosenPassphrase
from certs.private_files import private_folder, write_private
from certs.store import KeyFolder
from tests.certs.keychains import Forgets, LocksAfterWriting, MemoryKeychain, RefusesToWrite, ReturnsAnother

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
HOST = "clawdis-bridge-0a1b2c3d.local"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    private_folder(path)
    return path


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.iterdir())


def opened(path: Path, keychain: MemoryKeychain) -> KeyFolder:
    return KeyFolder(path, ChosenPassphrase(path, keychain))


def test_nothing_is_chosen_before_a_key_needs_it(path: Path) -> None:
    keychain = MemoryKeychain()
    source = ChosenPassphrase(path, keychain)
    assert source.load() is None
    assert source.place == "file"
    assert (names(path), keychain.reads) == ([], 0)


def test_a_working_keychain_is_chosen_and_no_file_holds_the_passphrase(path: Path) -> None:
    keychain = MemoryKeychain()
    made = opened(path, keychain).load_or_create(HOST, now=NOW)
    assert names(path) == ["bridge.pem", "bridge.pin", "passphrase-place"]
    assert list(keychain.entries.values()) == [made.passphrase.decode()]
    assert stat.S_IMODE((path / "passphrase-place").stat().st_mode) == 0o600
    assert not [file for file in path.iterdir() if made.passphrase in file.read_bytes()]
    again = opened(path, keychain)
    assert again.load().pin == made.pin
    assert again.passphrase_place == "keyring"


@pytest.mark.parametrize("keychain", [RefusesToWrite(), Forgets(), ReturnsAnother(), LocksAfterWriting()])
def test_a_keychain_that_does_not_keep_it_is_passed_over_for_ever(path: Path, keychain: MemoryKeychain) -> None:
    made = opened(path, keychain).load_or_create(HOST, now=NOW)
    assert (path / "passphrase-place").read_text() == "file\n"
    assert (path / "passphrase").read_bytes() == made.passphrase
    later = opened(path, MemoryKeychain())
    assert later.load().pin == made.pin
    assert later.passphrase_place == "file"


def test_a_keychain_that_fails_later_stops_the_start_and_makes_nothing(path: Path) -> None:
    """Positive control: with a fallback to the file, or a new key, the second half of this would pass."""
    keychain = MemoryKeychain()
    made = opened(path, keychain).load_or_create(HOST, now=NOW)
    before = {name: (path / name).read_bytes() for name in names(path)}
    keychain.locked = True
    for _ in range(3):
        with pytest.raises(IdentityError, match="did not give it"):
            opened(path, keychain).load_or_create(HOST, now=NOW)
    assert {name: (path / name).read_bytes() for name in names(path)} == before
    assert opened(path, keychain).passphrase_place == "keyring"
    keychain.locked = False
    assert opened(path, keychain).load().pin == made.pin


def test_a_keychain_that_forgot_stops_the_start_too(path: Path) -> None:
    keychain = MemoryKeychain()
    opened(path, keychain).load_or_create(HOST, now=NOW)
    entries, keychain.entries = keychain.entries, {}
    with pytest.raises(IdentityError, match="the passphrase of the bridge's keys is missing"):
        opened(path, keychain).load_or_create(HOST, now=NOW)
    assert keychain.entries == {}
    keychain.entries = entries
    opened(path, keychain).load()


def test_a_file_beside_a_recorded_keychain_is_not_looked_at(path: Path) -> None:
    keychain = MemoryKeychain()
    opened(path, keychain).load_or_create(HOST, now=NOW)
    write_private(path / "passphrase", b"x" * 43)
    opened(path, keychain).load()


def test_a_home_of_before_the_choice_stays_with_its_file(path: Path) -> None:
    made = KeyFolder(path, FilePassphrase(path)).load_or_create(HOST, now=NOW)
    before, keychain = names(path), MemoryKeychain()
    folder = opened(path, keychain)
    assert folder.load_or_create(HOST, now=NOW).pin == made.pin
    folder.create_ed25519("a1b2c3d4")
    assert folder.passphrase_place == "file"
    assert [name for name in names(path) if name != "node-a1b2c3d4.pem"] == before
    assert keychain.entries == {}


def test_the_keychain_is_asked_once_however_many_keys_are_opened(path: Path) -> None:
    keychain = MemoryKeychain()
    opened(path, keychain).load_or_create(HOST, now=NOW)
    keychain.reads = 0
    folder = opened(path, keychain)
    folder.load()
    folder.client_authority(NOW)
    folder.create_ed25519("a1b2c3d4")
    folder.load()
    assert keychain.reads == 1


def test_a_crash_between_the_choice_and_the_first_key_is_made_good(path: Path) -> None:
    keychain = MemoryKeychain()
    passphrase = ChosenPassphrase(path, keychain).create()
    assert opened(path, keychain).load_or_create(HOST, now=NOW).passphrase == passphrase
    assert len(keychain.entries) == 1


def test_a_crash_between_keychain_and_record_leaves_an_entry_that_nobody_uses(path: Path) -> None:
    keychain = MemoryKeychain()
    path.chmod(0o777)  # the record cannot be written
    with pytest.raises(IdentityError, match="chmod 700"):
        ChosenPassphrase(path, keychain).create()
    path.chmod(0o700)
    left = dict(keychain.entries)
    made = opened(path, keychain).load_or_create(HOST, now=NOW)
    assert made.passphrase.decode() not in left.values()
    assert opened(path, keychain).load().pin == made.pin


def test_a_folder_that_was_put_aside_keeps_its_own_entry(path: Path) -> None:
    keychain = MemoryKeychain()
    first = opened(path, keychain).load_or_create(HOST, now=NOW)
    aside = path.rename(path.with_name("aside"))
    second = opened(path, keychain).load_or_create(HOST, now=NOW)
    assert second.pin != first.pin
    assert opened(aside, keychain).load().pin == first.pin


@pytest.mark.parametrize(
    "record",
    [b"", b"file", b"keyring", b"keyring keys-0123456789abcdef", b"keyring gateway-token\n", b"x\n", b"file\n" * 99],
)
def test_a_damaged_record_stops_the_start(path: Path, record: bytes) -> None:
    keychain = MemoryKeychain()
    opened(path, keychain).load_or_create(HOST, now=NOW)
    write_private(path / "passphrase-place", record)
    with pytest.raises(IdentityError) as caught:
        opened(path, keychain).load()
    assert caught.value.what == str(path / "passphrase-place")
    assert (path / "passphrase-place").read_bytes() == record


def test_it_is_made_once_only(path: Path) -> None:
    keychain = MemoryKeychain()
    source = ChosenPassphrase(path, keychain)
    made = source.create()
    with pytest.raises(IdentityError, match="already"):
        source.create()
    assert source.load() == made
    assert made.decode() not in f"{source!r} {source.where}"


def test_a_passphrase_that_came_in_a_file_moves_into_a_keychain_that_keeps_it(path: Path) -> None:
    made = KeyFolder(path, FilePassphrase(path)).load_or_create(HOST, now=NOW)
    keychain = MemoryKeychain()
    assert ChosenPassphrase(path, keychain).settle() == "keyring"
    assert names(path) == ["bridge.pem", "bridge.pin", "passphrase-place"]
    assert list(keychain.entries.values()) == [made.passphrase.decode()]
    assert opened(path, keychain).load().pin == made.pin
    assert ChosenPassphrase(path, keychain).settle() == "keyring"
    assert len(keychain.entries) == 1


@pytest.mark.parametrize("keychain", [RefusesToWrite(), Forgets(), ReturnsAnother(), LocksAfterWriting()])
def test_a_passphrase_that_no_keychain_keeps_stays_in_its_file(path: Path, keychain: MemoryKeychain) -> None:
    made = KeyFolder(path, FilePassphrase(path)).load_or_create(HOST, now=NOW)
    assert ChosenPassphrase(path, keychain).settle() == "file"
    assert (path / "passphrase-place").read_text() == "file\n"
    assert opened(path, MemoryKeychain()).load().pin == made.pin


@pytest.mark.parametrize("record", ["keyring keys-0123456789abcdef\n", "file\n", "nonsense"])
def test_what_another_machine_recorded_is_no_choice(path: Path, record: str) -> None:
    keychain = MemoryKeychain()
    made = KeyFolder(path, FilePassphrase(path)).load_or_create(HOST, now=NOW)
    write_private(path / "passphrase-place", record.encode())
    assert ChosenPassphrase(path, keychain).settle() == "keyring"
    assert names(path) == ["bridge.pem", "bridge.pin", "passphrase-place"]
    assert opened(path, keychain).load().pin == made.pin


@pytest.mark.parametrize("keychain", [MemoryKeychain(), Forgets()], ids=["keyring", "file"])
def test_what_is_forgotten_is_in_no_place(path: Path, keychain: MemoryKeychain) -> None:
    opened(path, keychain).load_or_create(HOST, now=NOW)
    source = ChosenPassphrase(path, keychain)
    source.forget()
    assert (source.load(), keychain.entries) == (None, {})


def test_where_there_is_no_passphrase_there_is_nothing_to_settle(path: Path) -> None:
    assert ChosenPassphrase(path, MemoryKeychain()).settle() == "file"
    assert names(path) == []
