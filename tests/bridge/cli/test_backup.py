"""`backup` and `restore` as a person and a script meet them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from bridge.pairing.tombstones import TombstoneStore
from tests.bridge.backup.homes import PHRASE, content, make_home, nodes
from tests.bridge.cli.program import Program, in_pipe, on_terminal
from tests.bridge.pairing.samples import NOON, identity, labels, record

KEY = identity(1).device_id


@pytest.fixture
def phrase(tmp_path: Path) -> Path:
    path = tmp_path / "phrase"
    path.touch(mode=0o600)
    path.write_text(f"{PHRASE}\n")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mac.backup"


@pytest.fixture
def made(program: Program, file: Path, phrase: Path) -> Path:
    """A backup of the program's home, with one node."""
    make_home(program.home, record(1))
    assert program("backup", str(file), "--passphrase-file", str(phrase)).status == 0
    return file


def test_a_backup_says_what_it_holds_and_what_it_is_worth(program: Program, file: Path, phrase: Path) -> None:
    pin = make_home(program.home, record(1), record(2, revoked_at=NOON)).pin
    result = program("backup", str(file), "--passphrase-file", str(phrase))
    assert (result.status, result.err) == (0, "")
    for words in (str(file), "1 paired, 1 revoked", pin, "is this bridge for every paired phone", "Keep the two apart"):
        assert words in result.out
    assert f"clawdis-bridge --home {program.home} restore {file}" in result.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert PHRASE.encode() not in file.read_bytes()


def test_a_backup_as_a_document(program: Program, file: Path, phrase: Path) -> None:
    made = make_home(program.home, record(1))
    answer = json.loads(program("backup", str(file), "--passphrase-file", str(phrase), "--json").out)
    assert answer.pop("createdAt").endswith("Z")
    assert answer == {
        "file": str(file),
        "bytes": file.stat().st_size,
        "pin": made.pin,
        "spki": made.spki,
        "nodes": {"paired": 1, "revoked": 0},
        "notes": [],
    }


def test_a_restore_says_what_it_did(program: Program, made: Path, phrase: Path) -> None:
    TombstoneStore(program.home / "bridge.sqlite3").bury(KEY, NOON)
    before = content(program.home)
    result = program("restore", str(made), "--replace", "--passphrase-file", str(phrase))
    assert (result.status, result.err) == (0, "")
    aside = next(program.home.parent.glob(f"{program.home.name}.replaced-*"))
    assert content(aside) == before
    for words in (str(aside), "0 paired, 1 revoked", f"Revoked since, and still out: {KEY}", "no other machine"):
        assert words in result.out
    answer = json.loads(program("restore", str(made), "--replace", "--passphrase-file", str(phrase), "--json").out)
    assert answer["revokedSince"] == [KEY]
    assert answer["home"] == str(program.home)
    assert answer["keptAside"].startswith(f"{program.home}.replaced-")


def test_a_bridge_that_is_there_is_told_before_a_passphrase_is_asked(program: Program, made: Path) -> None:
    before = content(program.home)
    result = program("restore", str(made), "--json")
    assert (result.status, result.out) == (1, "")
    error = json.loads(result.err)["error"]
    assert error["code"] == "BACKUP_REFUSED"
    assert "--replace" in error["fix"]
    assert content(program.home) == before


def test_a_wrong_passphrase_and_a_damaged_file_are_two_things(program: Program, made: Path, phrase: Path) -> None:
    phrase.write_text("wrong " + PHRASE)
    result = program("restore", str(made), "--replace", "--passphrase-file", str(phrase))
    assert result.status == 1
    assert "the passphrase is another one" in result.err
    made.write_bytes(made.read_bytes()[:-1])
    result = program("restore", str(made), "--replace", "--passphrase-file", str(phrase))
    assert result.status == 1
    assert "damaged or shortened" in result.err
    assert set(nodes(program.home)) == {KEY}


def test_a_backup_never_overwrites(program: Program, made: Path, phrase: Path) -> None:
    before = made.read_bytes()
    result = program("backup", str(made), "--passphrase-file", str(phrase))
    assert (result.status, made.read_bytes()) == (1, before)
    assert "exists already" in result.err


def test_where_there_is_no_bridge_there_is_nothing_to_back_up(program: Program, file: Path, phrase: Path) -> None:
    result = program("backup", str(file), "--passphrase-file", str(phrase))
    assert result.status == 1
    assert "no bridge" in result.err
    assert not file.exists()


def test_a_script_gives_the_passphrase_on_standard_input(program: Program, file: Path, tmp_path: Path) -> None:
    make_home(program.home, record(1))
    done = in_pipe("--home", str(program.home), "backup", str(file), text=f"{PHRASE}\n")
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b"", "progress is for terminals"
    done = in_pipe("--home", str(tmp_path / "new"), "restore", str(file), text=f"{PHRASE}\n")
    assert done.returncode == 0, done.stderr.decode()
    assert set(nodes(tmp_path / "new")) == {KEY}
    done = in_pipe("--home", str(program.home), "backup", f"{file}2")
    assert done.returncode == 2
    assert b"--passphrase-file" in done.stderr


def test_a_person_types_it_unseen_and_sees_the_steps(program: Program, file: Path, tmp_path: Path) -> None:
    make_home(program.home, record(1))
    twice = [("more): ", f"{PHRASE}\n"), ("Once more: ", f"{PHRASE}\n")]
    status, shown = on_terminal(["--home", str(program.home), "backup", str(file)], secrets=twice)
    assert status == 0, shown
    assert PHRASE not in shown
    for words in ("Passphrase for the backup", "Once more", "Encrypting ...", "Written"):
        assert words in shown
    new = str(tmp_path / "new")
    once = [("Passphrase of the backup: ", f"{PHRASE}\n")]
    status, shown = on_terminal(["--home", new, "restore", str(file)], secrets=once)
    assert status == 0, shown
    assert "Decrypting ..." in shown
    assert set(nodes(tmp_path / "new")) == {KEY}


def test_names_that_others_chose_cannot_act_on_the_terminal(program: Program, file: Path, phrase: Path) -> None:
    name = labels().model_copy(update={"display_name": "\x1b[2JAnna\u202e"})
    make_home(program.home, record(1, labels=name, upstream_key="00000000"))
    result = program("backup", str(file), "--passphrase-file", str(phrase))
    assert "\\x1b[2JAnna\\u202e" in result.out
    assert "\x1b" not in result.out
