"""The keys of upstream identities in the keys folder: one per name, made and removed on request only."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.errors import IdentityError
from certs.private_files import write_private
from certs.store import BridgeIdentity, KeyFolder

NODE = "a1b2c3d4e5f60718"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def identity(path: Path) -> BridgeIdentity:
    now = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
    return KeyFolder(path).load_or_create("clawdis-bridge-0a1b2c3d.local", now=now)


def raw(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_a_key_comes_back(identity: BridgeIdentity, path: Path) -> None:
    made = KeyFolder(path).create_ed25519(NODE)
    assert raw(KeyFolder(path).load_ed25519(NODE)) == raw(made)


def test_each_name_has_its_own(identity: BridgeIdentity, path: Path) -> None:
    folder = KeyFolder(path)
    keys = {raw(folder.create_ed25519(name)) for name in ("0" * 8, "1" * 8, "f" * 64)}
    assert len(keys) == 3


def test_an_existing_one_is_not_made_again(identity: BridgeIdentity, path: Path) -> None:
    folder = KeyFolder(path)
    made = folder.create_ed25519(NODE)
    with pytest.raises(IdentityError, match="already"):
        folder.create_ed25519(NODE)
    assert raw(folder.load_ed25519(NODE)) == raw(made)


def test_a_missing_one_is_not_made(identity: BridgeIdentity, path: Path) -> None:
    before = contents(path)
    with pytest.raises(IdentityError, match="missing"):
        KeyFolder(path).load_ed25519(NODE)
    assert contents(path) == before


def test_a_damaged_one_is_refused_and_kept(identity: BridgeIdentity, path: Path) -> None:
    folder = KeyFolder(path)
    folder.create_ed25519(NODE)
    file = path / f"node-{NODE}.pem"
    whole = file.read_bytes()
    for content in (b"", whole[:-30], whole + whole, identity.file.read_bytes()):
        write_private(file, content)
        with pytest.raises(IdentityError):
            folder.load_ed25519(NODE)
        with pytest.raises(IdentityError):
            folder.create_ed25519(NODE)
        assert file.read_bytes() == content


def test_a_key_of_another_kind_is_refused(identity: BridgeIdentity, path: Path) -> None:
    key = identity.file.read_bytes().partition(b"-----BEGIN CERTIFICATE")[0]
    write_private(path / f"node-{NODE}.pem", key)
    with pytest.raises(IdentityError, match="no Ed25519 key"):
        KeyFolder(path).load_ed25519(NODE)


def test_it_is_deleted_once_and_can_be_made_anew(identity: BridgeIdentity, path: Path) -> None:
    folder = KeyFolder(path)
    first = folder.create_ed25519(NODE)
    assert folder.delete(NODE)
    assert not folder.delete(NODE)
    assert raw(folder.create_ed25519(NODE)) != raw(first)


@pytest.mark.parametrize("name", ["", "abc", "A" * 8, "g" * 8, "a" * 65, "../../etc", "aaaaaaaa/", "aaaaaaaa\n"])
def test_a_name_that_could_leave_the_folder_is_refused(identity: BridgeIdentity, path: Path, name: str) -> None:
    folder = KeyFolder(path)
    for action in (folder.create_ed25519, folder.load_ed25519, folder.delete):
        with pytest.raises(ValueError, match="hexadecimal"):
            action(name)
