"""A key with its certificate and the note about them: what is accepted, what is written down, what is refused."""

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.errors import IdentityError, from_backup
from certs.issue import build_bridge_certificate, new_bridge_key
from certs.pair_file import Pair, PairFile
from certs.passphrase import FilePassphrase
from certs.pins import certificate_pin, spki_hash
from certs.vault import Vault

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
OTHER = "ab" * 32


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "keys", FilePassphrase(tmp_path / "keys"))


@pytest.fixture
def file(vault: Vault) -> PairFile:
    return PairFile(vault, "x", what="the pair", mend=from_backup)


@pytest.fixture
def made(file: PairFile) -> Pair:
    key = new_bridge_key()
    return file.create(key, build_bridge_certificate(key, "x.local", now=NOW))


def note(vault: Vault) -> str:
    return (vault.path / "x.pin").read_text()


def test_what_was_made_comes_back(file: PairFile, made: Pair, vault: Vault) -> None:
    assert file.was_made
    assert note(vault) == f"{made.pin}\n"
    for again in (file.load(), file.read()):
        assert again is not None
        assert (again.pin, again.spki) == (certificate_pin(made.certificate), spki_hash(made.key.public_key()))


def test_before_it_is_made_there_is_nothing(file: PairFile) -> None:
    assert not file.was_made
    assert file.read() is None
    with pytest.raises(IdentityError, match="the pair is missing") as caught:
        file.load()
    assert caught.value.mend == from_backup(file.file)


@pytest.mark.parametrize("name", ["x.pem", "x.pin"])
def test_either_file_says_that_it_was_made(file: PairFile, vault: Vault, name: str) -> None:
    (vault.path / name).symlink_to("nowhere")
    assert file.was_made


@pytest.mark.parametrize("before", ["{}\n" + OTHER + "\n", OTHER + "\n{}\n", "{}\n{}\n"])
def test_a_note_of_two_is_settled_by_the_next_load(file: PairFile, made: Pair, vault: Vault, before: str) -> None:
    vault.write("x.pin", before.format(made.pin, made.pin).encode())
    assert file.load().pin == made.pin
    assert note(vault) == f"{made.pin}\n"


@pytest.mark.parametrize("locked", [False, True])
def test_a_note_of_others_is_refused_and_kept(file: PairFile, made: Pair, vault: Vault, locked: bool) -> None:
    for before in (f"{OTHER}\n", f"{OTHER}\n{'cd' * 32}\n", "", f"{made.pin[:-1]}\n", f"x{made.pin}\n"):
        vault.write("x.pin", before.encode())
        with pytest.raises(IdentityError, match="would not fit"):
            file.load(locked=locked)
        assert note(vault) == before


def test_a_load_without_the_lock_asks_for_it_before_it_settles(file: PairFile, made: Pair, vault: Vault) -> None:
    vault.write("x.pin", f"{made.pin}\n{OTHER}\n".encode())
    with vault.locked():
        assert file.load().pin == made.pin
        assert note(vault) == f"{made.pin}\n{OTHER}\n"
        assert file.load(locked=True).pin == made.pin
    assert note(vault) == f"{made.pin}\n"


def test_a_certificate_of_a_version_that_nobody_knows_is_damage(file: PairFile, made: Pair, vault: Vault) -> None:
    """One flipped bit is enough; `cryptography` has an error of its own for it."""
    der = made.certificate.public_bytes(Encoding.DER).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x06", 1)
    text = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
    vault.write("x.pem", vault.encrypted(made.key) + text)
    with pytest.raises(IdentityError, match="certificate is damaged"):
        file.load()


def test_a_pair_that_cannot_be_written_leaves_the_old_one(file: PairFile, made: Pair, vault: Vault) -> None:
    key = new_bridge_key()
    certificate = build_bridge_certificate(key, "x.local", now=NOW)
    vault.path.chmod(0o777)
    with pytest.raises(IdentityError, match="chmod 700"):
        file.replace(made, key, certificate)
    vault.path.chmod(0o700)
    assert file.load().pin == made.pin
    assert file.replace(made, key, certificate).pin == certificate_pin(certificate)


def test_a_removed_pair_leaves_its_note(file: PairFile, made: Pair, vault: Vault) -> None:
    assert file.remove()
    assert not file.remove()
    assert file.was_made
    with pytest.raises(IdentityError, match="missing"):
        file.load()


def test_the_key_is_not_printed(made: Pair) -> None:
    assert repr(made) == f"Pair(pin={made.pin!r}, spki={made.spki!r})"
