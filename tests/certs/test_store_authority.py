"""The client authority in the keys folder: made once, beside an identity, and refused when in doubt."""

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.errors import IdentityError
from certs.keys import node_id_of, spki_der
from certs.leaf import LeafPermit, issue_leaf
from certs.pins import certificate_pin, spki_hash
from certs.private_files import locked_folder, write_private
from certs.store import BridgeIdentity, KeyFolder

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
LATER = NOW + timedelta(days=3000)
HOST = "clawdis-bridge-0a1b2c3d.local"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def identity(path: Path) -> BridgeIdentity:
    return KeyFolder(path).load_or_create(HOST, now=NOW)


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_it_is_made_once_and_says_so(identity: BridgeIdentity, path: Path) -> None:
    made = KeyFolder(path).client_authority(NOW)
    assert made.created
    assert spki_hash(made.certificate.public_key()) == spki_hash(made.key.public_key()) != identity.spki
    again = KeyFolder(path).client_authority(LATER)
    assert not again.created
    assert again.der == made.der == KeyFolder(path).load_client_authority().der
    assert (path / "client-ca.pin").read_text() == f"{certificate_pin(made.certificate)}\n"
    assert KeyFolder(path).load().pin == identity.pin


def test_its_files_are_private_and_its_key_is_encrypted(identity: BridgeIdentity, path: Path) -> None:
    before = os.umask(0)
    try:
        KeyFolder(path).client_authority(NOW)
    finally:
        os.umask(before)
    for name in ("client-ca.pem", "client-ca.pin"):
        assert stat.S_IMODE((path / name).stat().st_mode) == 0o600
    assert (path / "client-ca.pem").read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")


def test_what_it_issues_verifies(identity: BridgeIdentity, path: Path) -> None:
    authority = KeyFolder(path).client_authority(NOW)
    key = identity.key.public_key()
    leaf = issue_leaf(LeafPermit(node_id_of(key), spki_der(key)), authority.key, authority.certificate, now=NOW)
    leaf.verify_directly_issued_by(authority.certificate)


def test_it_survives_renewal_and_rotation(identity: BridgeIdentity, path: Path) -> None:
    folder = KeyFolder(path)
    made = folder.client_authority(NOW)
    folder.renew_certificate(HOST, now=LATER)
    folder.prepare_next(HOST, now=LATER)
    folder.rotate(now=LATER)
    assert KeyFolder(path).load_client_authority().der == made.der


def test_without_an_identity_none_is_made(path: Path) -> None:
    with pytest.raises(IdentityError, match="missing"):
        KeyFolder(path).client_authority(NOW)
    assert contents(path) == {}


def test_loading_does_not_make_one(identity: BridgeIdentity, path: Path) -> None:
    before = contents(path)
    with pytest.raises(IdentityError, match="the key of the client authority is missing"):
        KeyFolder(path).load_client_authority()
    assert contents(path) == before


@pytest.mark.parametrize("gone", ["client-ca.pem", "passphrase"])
def test_one_that_is_gone_is_never_made_again(identity: BridgeIdentity, path: Path, gone: str) -> None:
    """Positive control: with `was_made` looking at the PEM file only, the first of these makes another authority."""
    KeyFolder(path).client_authority(NOW)
    (path / gone).unlink()
    before = contents(path)
    with pytest.raises(IdentityError, match="missing") as caught:
        KeyFolder(path).client_authority(NOW)
    assert contents(path) == before
    if gone == "client-ca.pem":
        assert f"rm -f {path}/client-ca.pem {path}/client-ca.pin" in caught.value.mend
        assert "nodes revoke" not in caught.value.mend  # the daemon, which does that, does not start


def test_the_advice_for_one_that_is_lost_works(identity: BridgeIdentity, path: Path) -> None:
    folder = KeyFolder(path)
    first = folder.client_authority(NOW)
    for name in ("client-ca.pem", "client-ca.pin"):
        (path / name).unlink()
    second = KeyFolder(path).client_authority(NOW)
    assert second.created
    assert second.der != first.der
    assert KeyFolder(path).load().pin == identity.pin


def test_a_crash_before_it_was_noted_is_made_good(identity: BridgeIdentity, path: Path) -> None:
    made = KeyFolder(path).client_authority(NOW)
    (path / "client-ca.pin").unlink()
    assert KeyFolder(path).client_authority(LATER).der == made.der
    assert (path / "client-ca.pin").read_text() == f"{certificate_pin(made.certificate)}\n"


@pytest.mark.parametrize("content", [b"", b"\0", b"x" * 20_000])
@pytest.mark.parametrize("name", ["client-ca.pem", "client-ca.pin"])
def test_a_file_of_rubbish(identity: BridgeIdentity, path: Path, name: str, content: bytes) -> None:
    KeyFolder(path).client_authority(NOW)
    write_private(path / name, content)
    before = contents(path)
    with pytest.raises(IdentityError):
        KeyFolder(path).client_authority(NOW)
    assert contents(path) == before
    assert KeyFolder(path).load().pin == identity.pin


def test_the_bridge_s_own_pair_is_no_authority(identity: BridgeIdentity, path: Path) -> None:
    KeyFolder(path).client_authority(NOW)
    write_private(path / "client-ca.pem", identity.file.read_bytes())
    with pytest.raises(IdentityError, match="would not fit"):
        KeyFolder(path).client_authority(NOW)


def test_the_certificate_of_another_authority(identity: BridgeIdentity, path: Path, tmp_path: Path) -> None:
    KeyFolder(path).client_authority(NOW)
    other = KeyFolder(tmp_path / "other")
    other.load_or_create(HOST, now=NOW)
    stranger = other.client_authority(NOW).certificate.public_bytes(Encoding.PEM)
    key = (path / "client-ca.pem").read_bytes().partition(b"-----BEGIN CERTIFICATE")[0]
    write_private(path / "client-ca.pem", key + stranger)
    with pytest.raises(IdentityError, match="not for its key"):
        KeyFolder(path).client_authority(NOW)


def test_another_process_making_keys_is_not_raced(identity: BridgeIdentity, path: Path) -> None:
    folder = KeyFolder(path)
    with locked_folder(path), pytest.raises(IdentityError, match="another process"):
        folder.client_authority(NOW)


def test_a_time_that_is_not_utc_leaves_no_trace(identity: BridgeIdentity, path: Path) -> None:
    before = contents(path)
    with pytest.raises(ValueError, match="UTC"):
        KeyFolder(path).client_authority(NOW.replace(tzinfo=None))
    assert contents(path) == before
