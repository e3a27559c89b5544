"""The identity in the keys folder: made once, the same for ever, refused when in doubt."""

import os
import re
import ssl
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from certs.errors import IdentityError
from certs.issue import build_bridge_certificate, new_bridge_key
from certs.passphrase import FilePassphrase, Place
from certs.pins import certificate_pin, spki_hash
from certs.private_files import locked_folder, private_folder, write_private
from certs.store import BridgeIdentity, KeyFolder

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
HOST = "clawdis-bridge-0a1b2c3d.local"
NODE = "a1b2c3d4e5f60718"


class MemoryPassphrase:
    """A passphrase source in memory: its state is the passphrase and whether it can be reached."""

    def __init__(self, passphrase: bytes | None = None, *, reachable: bool = True) -> None:
        self.passphrase = passphrase
        self.reachable = reachable

    @property
    def where(self) -> str:
        return "the test's memory"

    @property
    def place(self) -> Place:
        return "file"

    def load(self) -> bytes | None:
        if not self.reachable:
            raise IdentityError(self.where, "it is locked", "Unlock it: security unlock-keychain")
        return self.passphrase

    def create(self) -> bytes:
        self.passphrase = b"m" * 43
        return self.passphrase


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def identity(path: Path) -> BridgeIdentity:
    return KeyFolder(path).load_or_create(HOST, now=NOW)


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def refusal(path: Path, *, now: datetime = NOW) -> IdentityError:
    """The error of the next start; it must not have changed a byte of the folder."""
    before = contents(path)
    with pytest.raises(IdentityError) as caught:
        KeyFolder(path).load_or_create(HOST, now=now)
    assert contents(path) == before
    with pytest.raises(IdentityError):
        KeyFolder(path).load()
    return caught.value


class TestFirstStart:
    def test_it_makes_one_identity_and_says_so(self, identity: BridgeIdentity, path: Path) -> None:
        assert identity.created
        assert identity.file == path / "bridge.pem"
        assert identity.pin == certificate_pin(identity.certificate)
        assert identity.spki == spki_hash(identity.key.public_key()) == spki_hash(identity.certificate.public_key())
        assert identity.certificate.not_valid_before_utc == NOW - timedelta(hours=24)

    def test_the_files_are_private_under_any_umask(self, path: Path) -> None:
        before = os.umask(0)
        try:
            folder = KeyFolder(path)
            folder.load_or_create(HOST, now=NOW)
            folder.create_ed25519(NODE)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()}
        names = ["bridge.pem", "bridge.pin", f"node-{NODE}.pem", "passphrase", "passphrase-place"]
        assert modes == dict.fromkeys(names, 0o600)

    def test_the_key_is_encrypted_on_disk(self, identity: BridgeIdentity) -> None:
        text = identity.file.read_text()
        assert re.findall("-----BEGIN (.*)-----", text) == ["ENCRYPTED PRIVATE KEY", "CERTIFICATE"]

    def test_two_folders_have_nothing_in_common(self, tmp_path: Path) -> None:
        one, other = (KeyFolder(tmp_path / name).load_or_create(HOST, now=NOW) for name in ("one", "other"))
        assert one.spki != other.spki
        assert one.passphrase != other.passphrase

    def test_a_host_that_cannot_be_certified_leaves_no_trace(self, path: Path) -> None:
        with pytest.raises(ValueError, match="host name"):
            KeyFolder(path).load_or_create("", now=NOW)
        assert contents(path) == {}

    def test_loading_without_an_identity_does_not_make_one(self, path: Path) -> None:
        with pytest.raises(IdentityError, match="missing"):
            KeyFolder(path).load()
        assert contents(path) == {}

    def test_it_continues_after_a_crash_between_passphrase_and_key(self, path: Path) -> None:
        private_folder(path)
        passphrase = FilePassphrase(path).create()
        made = KeyFolder(path).load_or_create(HOST, now=NOW)
        assert made.created
        assert made.passphrase == passphrase

    def test_another_process_making_keys_is_not_raced(self, path: Path) -> None:
        folder = KeyFolder(path)
        with locked_folder(path), pytest.raises(IdentityError, match="another process"):
            folder.load_or_create(HOST, now=NOW)
        assert contents(path) == {}


class TestLaterStarts:
    def test_the_same_identity_comes_back_for_ever(self, identity: BridgeIdentity, path: Path) -> None:
        before = contents(path)
        again = KeyFolder(path).load_or_create("clawdis-bridge-ffffffff.local", now=NOW + timedelta(days=9999))
        assert not again.created
        assert (again.pin, again.spki, again.passphrase) == (identity.pin, identity.spki, identity.passphrase)
        assert again.key.private_numbers() == identity.key.private_numbers()
        assert KeyFolder(path).load().pin == identity.pin
        assert contents(path) == before

    def test_a_crash_before_the_pin_was_noted_is_made_good(self, identity: BridgeIdentity, path: Path) -> None:
        (path / "bridge.pin").unlink()
        again = KeyFolder(path).load_or_create(HOST, now=NOW)
        assert again.pin == identity.pin
        assert (path / "bridge.pin").read_text() == f"{identity.pin}\n"

    def test_a_readable_folder_is_closed_with_a_note(self, identity: BridgeIdentity, path: Path) -> None:
        assert KeyFolder(path).note is None
        path.chmod(0o750)
        folder = KeyFolder(path)
        assert folder.note is not None
        assert "0750" in folder.note
        assert folder.load().pin == identity.pin

    def test_nothing_secret_is_printed(self, identity: BridgeIdentity) -> None:
        shown = f"{identity!r} {identity}"
        assert identity.passphrase.decode() not in shown
        assert "PRIVATE" not in shown
        assert identity.pin in shown


class TestRefusals:
    @pytest.mark.parametrize(
        "left", ["bridge.pin", f"node-{NODE}.pem", "client-ca.pem", "client-ca.pin", "bridge-next.pem"]
    )
    def test_an_identity_that_is_gone_is_never_made_again(
        self, identity: BridgeIdentity, path: Path, left: str
    ) -> None:
        folder = KeyFolder(path)
        folder.create_ed25519(NODE)
        folder.client_authority(NOW)
        folder.prepare_next(HOST, now=NOW)
        for file in path.iterdir():
            if file.name not in (left, "passphrase", "passphrase-place"):
                file.unlink()
        error = refusal(path)
        assert "missing" in error.why
        assert f"rm -r {path}" in error.mend
        assert "pair again" in error.mend

    def test_a_missing_passphrase_is_never_made_again(self, identity: BridgeIdentity, path: Path) -> None:
        (path / "passphrase").unlink()
        error = refusal(path)
        assert error.what == str(path / "passphrase")
        with pytest.raises(IdentityError, match="passphrase"):
            KeyFolder(path).create_ed25519(NODE)

    @pytest.mark.parametrize("kept", ["ENCRYPTED PRIVATE KEY", "CERTIFICATE"])
    def test_a_key_without_certificate_and_the_reverse(self, identity: BridgeIdentity, path: Path, kept: str) -> None:
        block = re.search(f"-----BEGIN {kept}-----.*-----END {kept}-----\n", identity.file.read_text(), re.DOTALL)
        assert block is not None
        write_private(identity.file, block[0].encode())
        assert "one encrypted key followed by one certificate" in refusal(path).why

    def test_a_certificate_of_another_key(self, identity: BridgeIdentity, path: Path) -> None:
        stranger = build_bridge_certificate(new_bridge_key(), HOST, now=NOW).public_bytes(Encoding.PEM)
        key = identity.file.read_bytes().partition(b"-----BEGIN CERTIFICATE")[0]
        write_private(identity.file, key + stranger)
        assert "not for its key" in refusal(path).why

    def test_a_whole_other_identity_in_its_place(self, identity: BridgeIdentity, path: Path, tmp_path: Path) -> None:
        memory = MemoryPassphrase(identity.passphrase)
        other = KeyFolder(tmp_path / "other", memory).load_or_create(HOST, now=NOW)
        write_private(identity.file, other.file.read_bytes())
        assert "paired phones would not fit it" in refusal(path).why

    def test_another_passphrase(self, identity: BridgeIdentity, path: Path) -> None:
        write_private(path / "passphrase", b"x" * 43)
        assert "cannot be decrypted" in refusal(path).why

    @pytest.mark.parametrize(
        "make",
        [lambda: ec.generate_private_key(ec.SECP384R1()), Ed25519PrivateKey.generate],
        ids=["P-384", "Ed25519"],
    )
    def test_a_key_of_another_kind(
        self,
        identity: BridgeIdentity,
        path: Path,
        make: Callable[[], ec.EllipticCurvePrivateKey | Ed25519PrivateKey],
    ) -> None:
        pem = make().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(identity.passphrase))
        certificate = identity.certificate.public_bytes(Encoding.PEM)
        write_private(identity.file, pem + certificate)
        assert "no P-256 key" in refusal(path).why

    def test_a_key_that_is_not_encrypted(self, identity: BridgeIdentity, path: Path) -> None:
        pem = identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private(identity.file, pem + identity.certificate.public_bytes(Encoding.PEM))
        assert "one encrypted key" in refusal(path).why

    @pytest.mark.parametrize("name", ["bridge.pem", "bridge.pin", "passphrase"])
    @pytest.mark.parametrize("content", [b"", b"\0", b"[]", b"\xff\xfe", b"x" * 20_000])
    def test_a_file_of_rubbish(self, identity: BridgeIdentity, path: Path, name: str, content: bytes) -> None:
        write_private(path / name, content)
        assert refusal(path).mend

    @pytest.mark.parametrize("name", ["bridge.pem", "bridge.pin", "passphrase"])
    def test_a_file_that_others_can_read(self, identity: BridgeIdentity, path: Path, name: str) -> None:
        (path / name).chmod(0o644)
        assert f"chmod 600 {path / name}" in refusal(path).mend

    @pytest.mark.parametrize("name", ["bridge.pem", "bridge.pin", "passphrase"])
    def test_a_link_even_to_the_right_file(
        self, identity: BridgeIdentity, path: Path, tmp_path: Path, name: str
    ) -> None:
        (path / name).rename(tmp_path / name)
        (path / name).symlink_to(tmp_path / name)
        assert "symbolic link" in refusal(path).why

    @pytest.mark.parametrize("name", ["bridge.pem", "bridge.pin"])
    def test_a_dangling_link_is_a_trace_too(self, path: Path, name: str) -> None:
        private_folder(path)
        (path / name).symlink_to("nowhere")
        with pytest.raises(IdentityError):
            KeyFolder(path).load_or_create(HOST, now=NOW)
        assert [file.name for file in path.iterdir()] == [name]

    def test_a_folder_that_others_can_write(self, identity: BridgeIdentity, path: Path) -> None:
        path.chmod(0o777)
        with pytest.raises(IdentityError, match="chmod 700"):
            KeyFolder(path)

    def test_a_file_cut_at_any_byte(self, identity: BridgeIdentity, path: Path) -> None:
        whole = identity.file.read_bytes()
        for length in range(len(whole)):
            identity.file.write_bytes(whole[:length])
            with pytest.raises(IdentityError):
                KeyFolder(path).load()
        identity.file.write_bytes(whole)
        assert KeyFolder(path).load().pin == identity.pin

    def test_a_flipped_bit_anywhere_is_never_another_identity(self, identity: BridgeIdentity, path: Path) -> None:
        whole = identity.file.read_bytes()
        for position in range(0, len(whole), 7):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << (position % 8)
            identity.file.write_bytes(damaged)
            try:
                loaded = KeyFolder(path).load()
            except IdentityError:
                continue
            # A bit that base64 does not use: the same key and certificate in other letters.
            assert (loaded.pin, loaded.spki) == (identity.pin, identity.spki)

    def test_a_changed_certificate_is_seen_without_the_noted_pin(self, identity: BridgeIdentity, path: Path) -> None:
        (path / "bridge.pin").unlink()
        der = bytearray(identity.certificate.public_bytes(Encoding.DER))
        position = der.index(HOST.encode())
        der[position] ^= 1
        key = identity.file.read_bytes().partition(b"-----BEGIN CERTIFICATE")[0]
        write_private(identity.file, key + ssl.DER_cert_to_PEM_cert(bytes(der)).encode())
        assert "certificate is damaged" in refusal(path).why


class TestPassphraseSources:
    def test_another_source_is_used_and_no_file_is_made(self, path: Path) -> None:
        memory = MemoryPassphrase()
        made = KeyFolder(path, memory).load_or_create(HOST, now=NOW)
        assert made.passphrase == memory.passphrase == b"m" * 43
        assert sorted(contents(path)) == ["bridge.pem", "bridge.pin"]

    def test_a_source_that_cannot_be_reached_stops_the_start(self, path: Path) -> None:
        memory = MemoryPassphrase()
        made = KeyFolder(path, memory).load_or_create(HOST, now=NOW)
        memory.reachable = False
        with pytest.raises(IdentityError, match="it is locked"):
            KeyFolder(path, memory).load_or_create(HOST, now=NOW)
        memory.reachable = True
        assert KeyFolder(path, memory).load().pin == made.pin

    def test_a_source_that_forgot_is_not_asked_for_a_new_one(self, path: Path) -> None:
        memory = MemoryPassphrase()
        KeyFolder(path, memory).load_or_create(HOST, now=NOW)
        memory.passphrase = None
        with pytest.raises(IdentityError, match="the test's memory: the passphrase"):
            KeyFolder(path, memory).load_or_create(HOST, now=NOW)
        assert memory.passphrase is None
