"""The client's PEM file: private, encrypted, for one key, and replaced whole."""

import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certs.client_files import ClientFiles, write_client_file
from certs.context import SpkiPin, node_client_context
from certs.issue import build_bridge_certificate, new_bridge_key
from certs.keys import node_id_of, require_node_key
from certs.private_files import PrivateFileError, private_folder

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
KEY = new_bridge_key()
CERTIFICATE = build_bridge_certificate(KEY, "node.local", now=NOW)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    private_folder(tmp_path / "node")
    return tmp_path / "node" / "node.pem"


def test_it_holds_the_encrypted_key_and_the_certificate(file: Path) -> None:
    files = write_client_file(file, KEY, CERTIFICATE)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes().count(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") == 1
    assert file.read_bytes().count(b"-----BEGIN CERTIFICATE-----") == 1
    loaded = load_pem_private_key(file.read_bytes(), files.passphrase)
    assert node_id_of(require_node_key(loaded.public_key())) == node_id_of(KEY.public_key())
    node_client_context(SpkiPin(), files)


def test_the_passphrase_is_fresh_or_the_given_one_and_never_printed(file: Path) -> None:
    one, other = write_client_file(file, KEY, CERTIFICATE), write_client_file(file, KEY, CERTIFICATE)
    assert one.passphrase != other.passphrase
    assert len(one.passphrase) == 43
    assert one.passphrase.decode() not in repr(one)
    assert write_client_file(file, KEY, CERTIFICATE, b"kept elsewhere").passphrase == b"kept elsewhere"


def test_a_certificate_of_another_key_is_refused(file: Path) -> None:
    with pytest.raises(ValueError, match="another key"):
        write_client_file(file, new_bridge_key(), CERTIFICATE)
    assert not file.exists()


def test_a_file_that_cannot_be_written_leaves_the_old_one(file: Path) -> None:
    files = write_client_file(file, KEY, CERTIFICATE)
    file.parent.chmod(0o777)
    with pytest.raises(PrivateFileError, match="chmod 700"):
        write_client_file(file, KEY, CERTIFICATE)
    file.parent.chmod(0o700)
    node_client_context(SpkiPin(), files)


def test_another_passphrase_does_not_ask_on_the_terminal(file: Path) -> None:
    write_client_file(file, KEY, CERTIFICATE)
    with pytest.raises(ssl.SSLError):
        node_client_context(SpkiPin(), ClientFiles(file, b"another"))
