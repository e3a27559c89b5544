"""What a backup takes from a home, also from one that is in use, and when it rather takes nothing."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bridge.backup.collect import MAX_READINGS, collect, still
from bridge.backup.contents import MAX_BYTES
from bridge.backup.errors import BackupError
from bridge.pairing.store import FILE_NAME, StoreError
from certs.errors import IdentityError
from certs.private_files import PrivateFileError, write_private
from certs.store import KeyFolder
from tests.bridge.backup.homes import UPSTREAM_KEY, content, make_home
from tests.bridge.pairing.samples import NOON, record
from tests.certs.keychains import MemoryKeychain


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_home(tmp_path / "home", record(1), record(2, revoked_at=NOON))
    return tmp_path / "home"


def test_everything_is_in_it_byte_for_byte(home: Path) -> None:
    write_private(home / "policy.toml", b"# none\n")
    write_private(home / "keys" / "what-comes-later.pem", b"a key of another version")
    held = collect(home)
    expected = content(home)
    assert expected.pop("keys/passphrase-place") == b"file\n"
    assert held.members.keys() == expected.keys()
    assert {f"keys/node-{UPSTREAM_KEY}.pem", "keys/bridge.pem", "keys/bridge.pin", "keys/passphrase", "names.json",
            "bridge.toml", "policy.toml", FILE_NAME, "keys/client-ca.pem", "keys/client-ca.pin",
            "keys/bridge-next.pem", "keys/what-comes-later.pem"} <= held.members.keys()  # fmt: skip
    del held.members["bridge.sqlite3"], expected["bridge.sqlite3"]
    assert held.members == expected
    assert held.identity.pin == KeyFolder(home / "keys").load().pin
    assert [one.revoked_at for one in held.nodes] == [None, NOON]
    assert held.notes == ()


def test_what_is_not_the_bridges_own_stays_out(home: Path) -> None:
    write_private(home / "keys" / ".bridge.pem.0011.new", b"being written")
    write_private(home / "keys" / "Old Key.pem", b"the user's own")
    write_private(home / "bridge.log", b"log")
    (home / "lock").touch()
    (home / "audit").mkdir()
    held = collect(home)
    assert set(content(home)) - set(held.members) == {
        "keys/.bridge.pem.0011.new", "keys/passphrase-place", "keys/Old Key.pem", "bridge.log"
    }  # fmt: skip
    assert [note for note in held.notes if "Old Key.pem" in note]


def test_a_passphrase_in_the_keychain_goes_in_and_the_note_of_its_place_does_not(tmp_path: Path) -> None:
    keychain = MemoryKeychain()
    identity = make_home(tmp_path / "home", keychain=keychain)
    assert not (tmp_path / "home" / "keys" / "passphrase").exists()
    held = collect(tmp_path / "home", keychain)
    assert held.members["keys/passphrase"] == identity.passphrase
    assert "keys/passphrase-place" not in held.members
    with pytest.raises(IdentityError, match="keychain"):
        collect(tmp_path / "home")  # the keychain of this test's machine answers nothing


def test_a_key_that_a_node_needs_and_that_is_missing_is_told(home: Path) -> None:
    (home / "keys" / f"node-{UPSTREAM_KEY}.pem").unlink()
    notes = collect(home).notes
    assert len(notes) == 1, "the revoked node does not need it"
    assert f"clawdis-bridge nodes revoke {record(1).node_id[:12]}" in notes[0]


def test_a_configuration_may_be_a_link_that_others_can_read(home: Path, tmp_path: Path) -> None:
    (tmp_path / "dotfiles.toml").write_text("[bridge]\n")
    (home / "bridge.toml").unlink()
    (home / "bridge.toml").symlink_to(tmp_path / "dotfiles.toml")
    assert collect(home).members["bridge.toml"] == b"[bridge]\n"


def test_a_bridge_that_nobody_paired_with_has_no_store(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    held = collect(tmp_path / "home")
    assert FILE_NAME not in held.members
    assert held.nodes == ()


def test_a_configuration_that_cannot_be_read_gives_no_backup(home: Path) -> None:
    (home / "bridge.toml").write_bytes(b"#" * (MAX_BYTES["bridge.toml"] + 1))
    with pytest.raises(BackupError, match="longer than"):
        collect(home)
    (home / "bridge.toml").unlink()
    (home / "bridge.toml").mkdir()
    with pytest.raises(BackupError, match="cannot be read"):
        collect(home)


def test_where_there_is_no_bridge_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="no bridge"):
        collect(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["keys/bridge.pem", "keys/bridge.pin", "keys/passphrase", FILE_NAME, "bridge.sqlite3"])
def test_a_damaged_home_gives_no_backup(home: Path, name: str) -> None:
    (home / name).write_bytes(b"\x00damaged")
    with pytest.raises((IdentityError, StoreError, BackupError)):
        collect(home)


@pytest.mark.parametrize("name", ["keys/bridge.pem", f"keys/node-{UPSTREAM_KEY}.pem", FILE_NAME, "names.json"])
@pytest.mark.parametrize("fault", ["open", "link", "second name"])
def test_a_file_that_others_may_have_planted_gives_no_backup(home: Path, tmp_path: Path, name: str, fault: str) -> None:
    path = home / name
    match fault:
        case "open":
            path.chmod(0o644)
        case "link":
            path.symlink_to(path.rename(tmp_path / "elsewhere"))
        case _:
            (tmp_path / "second").hardlink_to(path)
    with pytest.raises((IdentityError, StoreError, PrivateFileError)):
        collect(home)


def test_a_folder_that_others_can_write_in_gives_no_backup(home: Path) -> None:
    (home / "keys").chmod(0o777)
    with pytest.raises(IdentityError, match="other users can write"):
        collect(home)


@pytest.mark.parametrize("changes", [0, 1, MAX_READINGS - 2])
def test_files_are_read_until_two_readings_agree(home: Path, changes: int) -> None:
    """With the second reading taken out of `still` a backup of two different moments is made: red."""
    readings = iter([*({"name": str(number).encode()} for number in range(changes)), *[{"name": b"last"}] * 2])
    assert still(lambda: next(readings), home) == {"name": b"last"}


def test_files_that_do_not_stop_changing_give_no_backup(home: Path) -> None:
    readings = ({"name": str(number).encode()} for number in range(MAX_READINGS + 1))
    with pytest.raises(BackupError, match="do not stop changing"):
        still(lambda: next(readings), home)


def test_a_code_that_is_used_during_the_backup_is_used_or_unused_in_it(home: Path) -> None:
    with closing(sqlite3.connect(home / "bridge.sqlite3", isolation_level=None)) as database:
        database.execute("BEGIN")
        database.execute("INSERT INTO tombstones VALUES ('ab', 1.0)")
        held = collect(home)
        database.execute("COMMIT")
    (home / "bridge.sqlite3").write_bytes(held.members["bridge.sqlite3"])
    with closing(sqlite3.connect(home / "bridge.sqlite3")) as database:
        assert database.execute("SELECT count(*) FROM tombstones").fetchone() == (0,)


def test_the_store_in_it_is_the_file_and_no_other_form(home: Path) -> None:
    assert len(json.loads(collect(home).members[FILE_NAME])["nodes"]) == 2
