"""Renewal and rotation: what changes, what stays, and that a crash at any write leaves one of the two identities."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.errors import IdentityError
from certs.identity import IdentityFiles
from certs.passphrase import FilePassphrase
from certs.pins import certificate_pin, spki_hash
from certs.private_files import locked_folder, write_private
from certs.store import BridgeIdentity, KeyFolder
from certs.vault import Vault

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
LATER = NOW + timedelta(days=3000)
HOST = "clawdis-bridge-0a1b2c3d.local"
OTHER = "ab" * 32

Change = Callable[[IdentityFiles], BridgeIdentity]


class Crash(BaseException):
    """The process ends here."""


class CrashingVault(Vault):
    """A keys folder whose process ends at the nth change of a file, before it or right after it."""

    def __init__(self, path: Path, *, at: int, after: bool) -> None:
        super().__init__(path, FilePassphrase(path))
        self.left = at
        self.after = after

    def write(self, name: str, data: bytes) -> None:
        self._count(lambda: super(CrashingVault, self).write(name, data))

    def remove(self, name: str) -> bool:
        self._count(lambda: super(CrashingVault, self).remove(name))
        return True

    def _count(self, change: Callable[[], object]) -> None:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Crash
        change()
        if self.left == 0:
            raise Crash


def renewed(files: IdentityFiles) -> BridgeIdentity:
    return files.renew(HOST, now=LATER)


def rotated(files: IdentityFiles) -> BridgeIdentity:
    return files.rotate(now=LATER)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def old(path: Path) -> BridgeIdentity:
    folder = KeyFolder(path, FilePassphrase(path))
    identity = folder.load_or_create(HOST, now=NOW)
    folder.prepare_next(HOST, now=NOW)
    return identity


def note(path: Path) -> list[str]:
    return (path / "bridge.pin").read_text().splitlines()


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


class TestRenewal:
    def test_the_key_stays_and_the_certificate_is_new(self, old: BridgeIdentity, path: Path) -> None:
        new = KeyFolder(path).renew_certificate("clawdis-bridge-ffffffff.local", now=LATER)
        assert (new.spki, new.key.private_numbers()) == (old.spki, old.key.private_numbers())
        assert new.pin == certificate_pin(new.certificate) != old.pin
        assert new.certificate.not_valid_before_utc == LATER - timedelta(hours=24)
        assert new.certificate.subject.rfc4514_string() == "CN=clawdis-bridge-ffffffff.local"
        assert not new.created
        assert note(path) == [new.pin]
        assert KeyFolder(path).load().pin == KeyFolder(path).load_or_create(HOST, now=NOW).pin == new.pin

    def test_the_next_key_stays_the_next_one(self, old: BridgeIdentity, path: Path) -> None:
        folder = KeyFolder(path)
        before = folder.next_spki
        folder.renew_certificate(HOST, now=LATER)
        assert folder.next_spki == before is not None

    def test_a_host_that_cannot_be_certified_changes_nothing(self, old: BridgeIdentity, path: Path) -> None:
        before = contents(path)
        with pytest.raises(ValueError, match="host name"):
            KeyFolder(path).renew_certificate("", now=LATER)
        assert contents(path) == before

    def test_there_must_be_one(self, path: Path) -> None:
        with pytest.raises(IdentityError, match="missing"):
            KeyFolder(path).renew_certificate(HOST, now=NOW)
        assert contents(path) == {}


class TestTheNextKey:
    def test_it_is_made_once_and_is_the_key_of_a_rotation(self, old: BridgeIdentity, path: Path) -> None:
        folder = KeyFolder(path)
        spki = folder.prepare_next(HOST, now=NOW)
        assert spki == folder.prepare_next(HOST, now=LATER) == KeyFolder(path).next_spki != old.spki
        assert folder.rotate(now=LATER).spki == spki

    def test_there_is_none_before_it_is_made(self, path: Path) -> None:
        folder = KeyFolder(path)
        assert folder.next_spki is None
        folder.load_or_create(HOST, now=NOW)
        assert folder.next_spki is None

    def test_without_an_identity_none_is_made(self, path: Path) -> None:
        with pytest.raises(IdentityError, match="missing"):
            KeyFolder(path).prepare_next(HOST, now=NOW)
        assert contents(path) == {}

    def test_a_damaged_one_is_never_answered_by_another(self, old: BridgeIdentity, path: Path) -> None:
        write_private(path / "bridge-next.pem", b"rubbish")
        before, folder = contents(path), KeyFolder(path)
        for use in (
            lambda: folder.next_spki,
            lambda: folder.prepare_next(HOST, now=LATER),
            lambda: folder.rotate(now=LATER),
        ):
            with pytest.raises(IdentityError, match="bridge-next"):
                use()
        assert contents(path) == before
        assert folder.load().pin == old.pin


class TestRotation:
    def test_the_prepared_key_comes_into_force_with_a_fresh_certificate(self, old: BridgeIdentity, path: Path) -> None:
        spki = KeyFolder(path).next_spki
        new = KeyFolder(path).rotate(now=LATER)
        assert new.spki == spki == spki_hash(new.key.public_key()) != old.spki
        assert new.certificate.not_valid_before_utc == LATER - timedelta(hours=24)
        assert new.certificate.subject == old.certificate.subject
        assert note(path) == [new.pin]
        assert sorted(contents(path)) == ["bridge.pem", "bridge.pin", "passphrase"]
        assert KeyFolder(path).next_spki is None
        assert KeyFolder(path).load().pin == new.pin

    def test_without_a_prepared_key_nothing_happens(self, path: Path) -> None:
        folder = KeyFolder(path)
        folder.load_or_create(HOST, now=NOW)
        before = contents(path)
        with pytest.raises(IdentityError, match="no next key") as caught:
            folder.rotate(now=LATER)
        assert "clawdis-bridge certs rotate" in caught.value.mend
        assert contents(path) == before

    def test_a_named_key_is_rotated_to_once(self, old: BridgeIdentity, path: Path) -> None:
        folder = KeyFolder(path)
        first = folder.prepare_next(HOST, now=NOW)
        new = folder.rotate(now=LATER, to=first)
        following = folder.prepare_next(HOST, now=LATER)
        assert folder.rotate(now=LATER, to=first).pin == new.pin
        assert folder.next_spki == following != first

    def test_another_key_than_the_named_one_does_not_come_into_force(self, old: BridgeIdentity, path: Path) -> None:
        before = contents(path)
        with pytest.raises(IdentityError, match=f"not {OTHER}"):
            KeyFolder(path).rotate(now=LATER, to=OTHER)
        assert contents(path) == before

    def test_loading_again_sees_what_another_process_did_and_refuses_what_it_broke(
        self, old: BridgeIdentity, path: Path
    ) -> None:
        daemon, other = KeyFolder(path), KeyFolder(path)
        assert daemon.load().pin == old.pin
        new = other.rotate(now=LATER)
        assert daemon.load().pin == new.pin
        whole = new.file.read_bytes()
        for broken in (b"", whole[:-40], whole.replace(b"CERTIFICATE", b"CERTIFICATX")):
            write_private(new.file, broken)
            with pytest.raises(IdentityError):
                daemon.load()
        key = whole.partition(b"-----BEGIN CERTIFICATE")[0]
        mismatched = old.certificate.public_bytes(Encoding.PEM)
        write_private(new.file, key + mismatched)
        with pytest.raises(IdentityError, match="not for its key"):
            daemon.load()
        write_private(new.file, whole)
        assert daemon.load().pin == new.pin


# Changes of files: the note of both pins, the pair, the note of one; a rotation then removes the next key.
CRASHES = [(renewed, at) for at in (1, 2, 3)] + [(rotated, at) for at in (1, 2, 3, 4)]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("change, at", CRASHES)
class TestCrashes:
    """Positive control: with the note written once only, after the pair, a crash between the two leaves no bridge."""

    def crashed(self, path: Path, change: Change, at: int, after: bool) -> None:
        with pytest.raises(Crash):
            change(IdentityFiles(CrashingVault(path, at=at, after=after)))

    def test_the_next_load_finds_one_of_the_two_and_settles_the_note(
        self, old: BridgeIdentity, path: Path, change: Change, at: int, after: bool
    ) -> None:
        self.crashed(path, change, at, after)
        found = KeyFolder(path).load()
        replaced = (at, after) >= (2, True)
        assert (found.pin != old.pin) is replaced
        assert note(path) == [found.pin]
        assert KeyFolder(path).load_or_create(HOST, now=LATER).pin == found.pin

    def test_the_same_call_again_ends_it(
        self, old: BridgeIdentity, path: Path, change: Change, at: int, after: bool
    ) -> None:
        self.crashed(path, change, at, after)
        vault = Vault(path, FilePassphrase(path))
        if (change, at, after) == (rotated, 4, True):
            assert IdentityFiles(vault).load().spki != old.spki  # it was complete
            return
        new = change(IdentityFiles(vault))
        assert note(path) == [new.pin]
        assert (new.spki != old.spki) is (change is rotated)
        if change is rotated:
            assert not (path / "bridge-next.pem").exists()
        assert KeyFolder(path).load().pin == new.pin

    def test_while_another_process_is_at_it_the_note_stays(
        self, old: BridgeIdentity, path: Path, change: Change, at: int, after: bool
    ) -> None:
        self.crashed(path, change, at, after)
        before = note(path)
        with locked_folder(path):
            found = KeyFolder(path).load()
            assert found.pin in before
            assert note(path) == before
            with pytest.raises(IdentityError, match="another process"):
                KeyFolder(path).rotate(now=LATER)

    def test_a_next_key_that_is_in_force_is_none(
        self, old: BridgeIdentity, path: Path, change: Change, at: int, after: bool
    ) -> None:
        self.crashed(path, change, at, after)
        folder = KeyFolder(path)
        assert folder.next_spki != folder.load().spki
        assert folder.prepare_next(HOST, now=LATER) != folder.load().spki


def test_both_crash_tests_see_every_write(old: BridgeIdentity, path: Path) -> None:
    """One change more would not be reached: the lists above are whole."""
    renewed(IdentityFiles(CrashingVault(path, at=4, after=False)))
    rotated(IdentityFiles(CrashingVault(path, at=5, after=False)))


def test_a_note_of_two_does_not_let_a_third_in(old: BridgeIdentity, path: Path, tmp_path: Path) -> None:
    write_private(path / "bridge.pin", f"{old.pin}\n{OTHER}\n".encode())
    stranger = KeyFolder(tmp_path / "other").load_or_create(HOST, now=NOW)
    write_private(path / "passphrase", stranger.passphrase)
    write_private(path / "bridge.pem", stranger.file.read_bytes())
    with pytest.raises(IdentityError, match="would not fit"):
        KeyFolder(path).load()
    assert note(path) == [old.pin, OTHER]
