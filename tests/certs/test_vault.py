"""The keys folder as a place: what counts as a trace of a key, and what text is PEM."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from certs.errors import IdentityError
from certs.passphrase import FilePassphrase
from certs.private_files import locked_folder
from certs.vault import MAX_FILE_BYTES, Vault, pem_blocks

BLOCK = b"-----BEGIN X-----\nAAAA\n-----END X-----\n"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "keys", FilePassphrase(tmp_path / "keys"))


@pytest.mark.parametrize("name", ["bridge.pem", "client-ca.pin", "node-0123456789abcdef.pem", "what-comes-later.pem"])
def test_whatever_is_called_like_a_key_is_a_trace(vault: Vault, name: str) -> None:
    assert not vault.holds_any_key()
    (vault.path / name).symlink_to("nowhere")
    assert vault.holds_any_key()


@pytest.mark.parametrize("name", ["passphrase", "passphrase-place", ".bridge.pem.0011.new", "bridge.pem.bad"])
def test_other_files_are_none(vault: Vault, name: str) -> None:
    vault.write(name, b"")
    assert not vault.holds_any_key()


def test_a_key_is_encrypted_under_a_passphrase_that_is_made_with_the_first(vault: Vault) -> None:
    key = Ed25519PrivateKey.generate()
    pem = vault.encrypted(key)
    assert [label for label, _ in pem_blocks(pem)] == [b"ENCRYPTED PRIVATE KEY"]
    opened = vault.decrypted("x.pem", pem)
    assert isinstance(opened, Ed25519PrivateKey)
    assert opened.private_bytes_raw() == key.private_bytes_raw()


def test_no_passphrase_is_made_while_there_is_a_trace(vault: Vault) -> None:
    vault.write("bridge.pin", b"")
    with pytest.raises(IdentityError, match="passphrase of the bridge's keys is missing"):
        vault.encrypted(Ed25519PrivateKey.generate())
    assert [file.name for file in vault.path.iterdir()] == ["bridge.pin"]


def test_the_advice_for_a_damaged_key_names_its_file(vault: Vault) -> None:
    vault.encrypted(Ed25519PrivateKey.generate())
    with pytest.raises(IdentityError, match="cannot be decrypted") as caught:
        vault.decrypted("x.pem", BLOCK)
    assert caught.value.what == str(vault.path / "x.pem")


def test_a_missing_file_is_none_and_a_long_one_is_refused(vault: Vault) -> None:
    assert vault.read("x.pem") is None
    assert not vault.remove("x.pem")
    vault.write("x.pem", bytes(MAX_FILE_BYTES))
    assert vault.read("x.pem") == bytes(MAX_FILE_BYTES)
    vault.write("x.pem", bytes(MAX_FILE_BYTES + 1))
    with pytest.raises(IdentityError, match="longer than"):
        vault.read("x.pem")
    assert vault.remove("x.pem")


def test_one_process_changes_the_folder_at_a_time(vault: Vault) -> None:
    with locked_folder(vault.path), pytest.raises(IdentityError, match="another process"), vault.locked():
        pytest.fail("entered a locked folder")
    with vault.locked():
        pass


@pytest.mark.parametrize(
    "text, labels",
    [
        (b"", []),
        (BLOCK, [b"X"]),
        (BLOCK * 2, [b"X", b"X"]),
        (BLOCK + b"\n", []),
        (b"#\n" + BLOCK, []),
        (BLOCK[:-1], []),
        (BLOCK.replace(b"END X", b"END Y"), []),
        (BLOCK.replace(b"\n", b"\r\n"), []),
    ],
)
def test_nothing_stands_between_or_around_pem_blocks(text: bytes, labels: list[bytes]) -> None:
    assert [label for label, _ in pem_blocks(text)] == labels
