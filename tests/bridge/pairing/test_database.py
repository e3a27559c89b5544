"""The sqlite file: private, durable, and a StoreError for whatever is wrong with it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bridge.pairing.database import Database, keep_newest
from bridge.pairing.store import StoreError
from tests.support.files import follow

SCHEMA = "CREATE TABLE IF NOT EXISTS words (word TEXT PRIMARY KEY) STRICT"


def words(database: Database) -> list[str]:
    with database.opened() as opened:
        return [word for (word,) in opened.execute("SELECT word FROM words")]


def test_what_is_committed_is_there_for_the_next_one(tmp_path: Path) -> None:
    file = tmp_path / "bridge.sqlite3"
    with Database(file, SCHEMA).opened() as opened:
        opened.execute("INSERT INTO words VALUES ('one')")
    assert words(Database(file, SCHEMA)) == ["one"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_block_that_fails_changes_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "bridge.sqlite3", SCHEMA)
    with pytest.raises(StoreError), database.opened() as opened:
        opened.executemany("INSERT INTO words VALUES (?)", [("one",), ("one",)])
    assert words(database) == []


def test_a_damaged_file_is_an_error_that_says_how_to_mend_it(tmp_path: Path) -> None:
    file = tmp_path / "bridge.sqlite3"
    file.write_bytes(b"no database " * 100)
    with pytest.raises(StoreError, match=r"mv \S*bridge\.sqlite3 "):
        Database(file, SCHEMA)


def test_a_place_where_no_file_can_be_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be used"):
        Database(tmp_path / "file" / "bridge.sqlite3", SCHEMA)


def test_the_line_that_mends_it_can_be_followed_whatever_the_folder_is_called(tmp_path: Path) -> None:
    file = tmp_path / "Anna's Mac" / "bridge.sqlite3"
    file.parent.mkdir()
    file.write_bytes(b"no database " * 100)
    with pytest.raises(StoreError) as refused:
        Database(file, SCHEMA)
    follow(str(refused.value))
    assert words(Database(file, SCHEMA)) == []
    assert file.with_name("bridge.sqlite3.bad").exists()


def test_of_many_rows_those_stay_that_were_written_last(tmp_path: Path) -> None:
    database = Database(tmp_path / "bridge.sqlite3", SCHEMA)
    with database.opened() as opened:
        opened.executemany("INSERT INTO words VALUES (?)", [("z",), ("y",), ("x",)])
        keep_newest(opened, "words", 2)
    assert sorted(words(database)) == ["x", "y"]
