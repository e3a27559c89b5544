"""What a home remembers, and that a restored database has it afterwards."""

from __future__ import annotations

import shlex
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.backup.errors import BackupError
from bridge.backup.graves import Memory, latest, remembered, unite
from bridge.pairing.store import FILE_NAME, StoreError
from bridge.pairing.tombstones import TombstoneStore
from certs.private_files import write_private
from tests.bridge.backup.homes import count_ceremonies, make_home, put, rows
from tests.bridge.pairing.samples import NOON, identity, record

LATER = NOON + timedelta(hours=1)
KEYS = [identity(number).device_id for number in range(5)]
CODE = "INSERT INTO codes (hash, id, permissions, expires_at, created_at, bound_to) VALUES (?, ?, 'voice', 9e9, 1, ?)"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_home(tmp_path / "home", record(1), record(2, revoked_at=NOON))
    TombstoneStore(tmp_path / "home" / "bridge.sqlite3").bury_all({KEYS[2]: LATER, KEYS[3]: NOON})
    return tmp_path / "home"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    make_home(tmp_path / "other")
    return tmp_path / "other"


class TestRemembered:
    def test_the_later_of_store_and_database(self, home: Path) -> None:
        memory = remembered(home)
        assert memory.revoked == {KEYS[2]: LATER, KEYS[3]: NOON}
        assert (memory.ceremonies, memory.unread) == (None, ())

    def test_an_empty_home_remembers_nothing(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o700)
        assert remembered(tmp_path) == Memory({}, None)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("damaged", [FILE_NAME, "bridge.sqlite3"])
    def test_either_of_the_two_is_enough(self, home: Path, damaged: str) -> None:
        write_private(home / damaged, b"damaged " * 1000)
        memory = remembered(home)
        assert KEYS[2] in memory.revoked
        assert len(memory.unread) == 1
        assert damaged in memory.unread[0]

    @pytest.mark.parametrize("beside", ["damaged", "gone", "of an older version"])
    def test_without_either_nobody_knows_who_was_revoked(self, home: Path, beside: str) -> None:
        """With the refusal taken out, revoked keys come back with the backup: red."""
        write_private(home / FILE_NAME, b"damaged")
        match beside:
            case "damaged":
                write_private(home / "bridge.sqlite3", b"damaged " * 1000)
            case "gone":
                (home / "bridge.sqlite3").unlink()
            case _:
                rows(home, "DROP TABLE tombstones")
        with pytest.raises(BackupError, match="not known which nodes were revoked") as refused:
            remembered(home)
        assert refused.value.fix is not None
        assert refused.value.fix.endswith(f": mv {home / FILE_NAME} {home / FILE_NAME}.bad")

    def test_the_way_out_can_be_pasted_into_a_shell(self, tmp_path: Path) -> None:
        make_home(home := tmp_path / "Anna's disk" / "home")
        write_private(home / FILE_NAME, b"damaged")
        (home / "bridge.sqlite3").unlink()
        with pytest.raises(BackupError) as refused:
            remembered(home)
        assert refused.value.fix is not None
        words = shlex.split(refused.value.fix.partition(": ")[2])
        assert words == ["mv", str(home / FILE_NAME), f"{home / FILE_NAME}.bad"]

    @pytest.mark.parametrize("when", ["soon", "nan", 1e300])
    def test_a_tombstone_without_a_moment_is_damage(self, home: Path, when: object) -> None:
        rows_of_any_kind(home, when)
        memory = remembered(home)
        assert memory.revoked == {KEYS[2]: NOON}, "the store's"
        assert len(memory.unread) == 1
        assert "bridge.sqlite3" in memory.unread[0]

    def test_an_older_homes_store_has_them_all(self, home: Path) -> None:
        rows(home, "DROP TABLE tombstones")
        assert remembered(home).revoked == {KEYS[2]: NOON}

    def test_ceremonies_come_with_the_statement_that_made_their_table(self, home: Path) -> None:
        count_ceremonies(home, [("a", 5.0, 0)])
        ceremonies = remembered(home).ceremonies
        assert ceremonies is not None
        assert ceremonies.rows == [("a", 5.0, 0)]
        assert ceremonies.made_by.startswith("CREATE TABLE")


def test_of_two_moments_the_later_one_counts() -> None:
    assert latest({"a": NOON, "b": LATER}, {"a": LATER, "b": NOON, "c": NOON}) == {"a": LATER, "b": LATER, "c": NOON}
    assert latest({}, {}) == {}


class TestUnite:
    @pytest.mark.parametrize("has_table", [True, False])
    def test_all_ceremonies_of_both_count(self, home: Path, other: Path, has_table: bool) -> None:
        count_ceremonies(home, [("a", 5.0, 0), ("b", 6.0, 0)])
        if has_table:
            count_ceremonies(other, [("b", 6.0, 0), ("c", 7.0, 0)])
        unite(other / "bridge.sqlite3", remembered(home))
        assert {row[0] for row in rows(other, "SELECT id FROM ceremonies")} == (
            {"a", "b", "c"} if has_table else {"a", "b"}
        )

    @pytest.mark.parametrize("closed", ["home", "other"])
    def test_what_either_closed_stays_closed(self, home: Path, other: Path, closed: str) -> None:
        count_ceremonies(home, [("a", 5.0, closed == "home")])
        count_ceremonies(other, [("a", 5.0, closed == "other"), ("b", 6.0, closed == "other")])
        unite(other / "bridge.sqlite3", remembered(home))
        assert rows(other, "SELECT DISTINCT closes FROM ceremonies") == [(1,)]

    def test_a_backup_that_counted_more_keeps_its_count(self, home: Path, other: Path) -> None:
        count_ceremonies(other, [("c", 7.0, 0)])
        unite(other / "bridge.sqlite3", remembered(home))
        assert rows(other, "SELECT * FROM ceremonies") == [("c", 7.0, 0)]

    def test_codes_that_may_have_been_used_since_end(self, home: Path, other: Path) -> None:
        """B12 over a restore. With the first UPDATE taken out a used code is good once more: red."""
        for code, bound_to in (("unused", None), ("of a node", KEYS[1]), ("of a revoked one", KEYS[2])):
            write_codes(other, (code, code, bound_to))
        unite(other / "bridge.sqlite3", remembered(home))
        state = rows(other, "SELECT hash, revoked FROM codes ORDER BY hash")
        assert state == [("of a node", 0), ("of a revoked one", 1), ("unused", 1)]

    def test_a_database_that_cannot_be_written_is_an_error(self, home: Path, other: Path) -> None:
        (other / "bridge.sqlite3").write_bytes(b"damaged " * 1000)
        with pytest.raises(StoreError, match="cannot be written"):
            unite(other / "bridge.sqlite3", remembered(home))


def rows_of_any_kind(home: Path, when: object) -> None:
    """Put a table of tombstones that no version of ours makes into the database of a home."""
    with closing(sqlite3.connect(home / "bridge.sqlite3")) as database, database:
        database.execute("DROP TABLE tombstones")
        database.execute("CREATE TABLE tombstones (node_id TEXT PRIMARY KEY, revoked_at)")
        database.execute("INSERT INTO tombstones VALUES ('ab', ?)", (when,))


def write_codes(home: Path, *codes: tuple[str, str, str | None]) -> None:
    with closing(sqlite3.connect(home / "bridge.sqlite3")) as database, database:
        database.executemany(CODE, codes)


def test_a_moment_of_the_database_is_utc(home: Path) -> None:
    put(home)
    assert remembered(home).revoked[KEYS[3]] == datetime(2026, 11, 21, 12, tzinfo=UTC)
