"""The copy of the database: whole while it is written to, refused when it is damaged."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from bridge.backup.database_copy import database_copy
from bridge.backup.errors import BackupError
from bridge.pairing.database import Database
from certs.private_files import PrivateFileError, write_private

LIMIT = 1 << 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "home folder #1?"  # what a URI would take for something else
    folder.mkdir(mode=0o700)
    path = folder / "bridge.sqlite3"
    with Database(path, "CREATE TABLE IF NOT EXISTS pairs (one INTEGER, other INTEGER) STRICT").opened() as opened:
        opened.executemany("INSERT INTO pairs VALUES (?, ?)", [(number, number) for number in range(1000)])
    return path


def pairs(tmp_path: Path, copy: bytes | None) -> list[tuple[int, int]]:
    assert copy is not None
    write_private(tmp_path / "copy", copy)
    with closing(sqlite3.connect(tmp_path / "copy")) as opened:
        return opened.execute("SELECT one, other FROM pairs").fetchall()


def test_it_holds_what_the_original_holds(tmp_path: Path, file: Path) -> None:
    assert pairs(tmp_path, database_copy(file, LIMIT)) == [(number, number) for number in range(1000)]
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_a_database_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert database_copy(tmp_path / "bridge.sqlite3", LIMIT) is None
    assert list(tmp_path.iterdir()) == []


def test_no_transaction_is_in_it_by_half(tmp_path: Path, file: Path) -> None:
    """Read as a plain file, a copy can hold one of the two columns; by sqlite's backup it never does."""
    done = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(file, timeout=20.0)) as database:
            while not done.is_set():
                with database:
                    database.execute("UPDATE pairs SET one = one + 1")
                    database.execute("UPDATE pairs SET other = other + 1")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(10):
            assert all(one == other for one, other in pairs(tmp_path, database_copy(file, LIMIT)))
    finally:
        done.set()
        writer.join()


def test_the_journal_of_a_killed_daemon_is_rolled_back(tmp_path: Path, file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("PRAGMA cache_size = 1")  # so that changed pages are on disk before the commit
        database.execute("BEGIN")
        database.execute("UPDATE pairs SET one = -1")
        hot, journal = file.read_bytes(), Path(f"{file}-journal").read_bytes()
        database.execute("ROLLBACK")
    file.write_bytes(hot)
    write_private(Path(f"{file}-journal"), journal)
    assert all(one == other for one, other in pairs(tmp_path, database_copy(file, LIMIT)))


def test_a_damaged_one_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for damaged in (b"no database " * 400, whole[:4096] + b"\xff" * 8192):
        file.write_bytes(damaged)
        with pytest.raises(BackupError, match="could not be copied"):
            database_copy(file, LIMIT)


def test_one_that_opens_and_contradicts_itself_is_refused(file: Path) -> None:
    """With `quick_check` taken out a database whose index and table differ goes into the backup: red."""
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE UNIQUE INDEX ones ON pairs (one)")
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ones'").fetchone()
        database.execute("PRAGMA writable_schema = ON")
        database.execute("UPDATE sqlite_master SET rootpage = 2 WHERE name = 'ones'")
        database.commit()
    assert page > 2
    with pytest.raises(BackupError, match="damaged"):
        database_copy(file, LIMIT)


def test_a_link_an_open_file_and_a_long_one_are_refused(tmp_path: Path, file: Path) -> None:
    with pytest.raises(PrivateFileError, match="longer"):
        database_copy(file, 4096)
    file.chmod(0o644)
    with pytest.raises(PrivateFileError, match="other users"):
        database_copy(file, LIMIT)
    link = file.with_name("link")
    link.symlink_to(file)
    with pytest.raises(PrivateFileError, match="symbolic link"):
        database_copy(link, LIMIT)
