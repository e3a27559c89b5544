"""A restore brings back nobody who was revoked, no closed enrolment and no used code (H8 over a backup)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from bridge.backup.collect import collect
from bridge.backup.errors import BackupError
from bridge.backup.restore import restore
from bridge.pairing.ceremony_ledger import CeremonyLedger
from bridge.pairing.codes import CodeStore
from bridge.pairing.grant import tombstone
from bridge.pairing.setup_code import SetupCode, code_hash
from bridge.pairing.store import FILE_NAME
from bridge.pairing.tombstones import TombstoneStore
from certs.private_files import write_private
from tests.bridge.backup.homes import archive_of, beside, content, count_ceremonies, make_home, nodes, put, rows
from tests.bridge.pairing.samples import NOON, VOICE_SCREEN, identity, record

KEY, OTHER = identity(1).device_id, identity(2).device_id
LATER = NOON + timedelta(hours=1)


@pytest.mark.parametrize("where", ["store", "database", "both"])
def test_what_was_revoked_since_stays_out(home: Path, members: dict[str, bytes], where: str) -> None:
    """With `bury_returned` taken out of `_bury` the key is in force again: red."""
    restore(home, archive_of(members), replace=False, now=NOON)
    if where != "store":
        TombstoneStore(home / "bridge.sqlite3").bury(KEY, LATER)
    if where != "database":
        put(home, tombstone(record(1), LATER))
    done = restore(home, archive_of(members), replace=True, now=NOON)
    assert [one.node_id for one in done.staged.returned] == [KEY]
    assert nodes(home)[KEY] == tombstone(record(1), LATER)
    assert nodes(home)[OTHER] == record(2)
    assert TombstoneStore(home / "bridge.sqlite3").all() == {KEY: LATER}


def test_what_was_revoked_before_the_backup_stays_out(home: Path, tmp_path: Path) -> None:
    make_home(tmp_path / "old", record(1), tombstone(record(2), LATER))
    TombstoneStore(tmp_path / "old" / "bridge.sqlite3").bury(identity(3).device_id, NOON)
    done = restore(home, archive_of(collect(tmp_path / "old").members), replace=False, now=NOON)
    assert done.staged.returned == ()
    assert nodes(home)[OTHER].revoked_at == LATER
    assert TombstoneStore(home / "bridge.sqlite3").all() == {OTHER: LATER, identity(3).device_id: NOON}


def test_a_backup_whose_own_database_is_newer_than_its_store(home: Path, members: dict[str, bytes]) -> None:
    make_home(home)
    TombstoneStore(home / "bridge.sqlite3").bury(OTHER, LATER)
    members["bridge.sqlite3"] = (home / "bridge.sqlite3").read_bytes()
    (fresh := home.parent / "fresh").mkdir(mode=0o700)
    done = restore(fresh / "home", archive_of(members), replace=False, now=NOON)
    assert [one.node_id for one in done.staged.returned] == [OTHER]


def test_a_key_that_a_person_paired_again_stays_in(home: Path, tmp_path: Path) -> None:
    make_home(home, tombstone(record(1), NOON))
    make_home(tmp_path / "old", record(1, created_at=LATER))
    restore(home, archive_of(collect(tmp_path / "old").members), replace=True, now=NOON)
    assert nodes(home)[KEY].revoked_at is None


def test_counts_of_both_count(home: Path, members: dict[str, bytes]) -> None:
    make_home(home)
    count_ceremonies(home, [("a", 5.0, 1)])
    restore(home, archive_of(members), replace=True, now=NOON)
    assert rows(home, "SELECT * FROM ceremonies") == [("a", 5.0, 1)]


def test_enrolment_that_was_closed_is_closed_after_a_restore(home: Path, members: dict[str, bytes]) -> None:
    """B4 over a restore. With `unite` taken out of `_bury` an older backup gives ten new guesses: red."""
    make_home(home)
    ledger = CeremonyLedger(home / "bridge.sqlite3", 2, 0.0, NOON)
    assert [ledger.begin(name, 0.0, NOON) for name in "abc"] == [True, True, False]
    restore(home, archive_of(members), replace=True, now=NOON)
    assert CeremonyLedger(home / "bridge.sqlite3", 2, 0.0, LATER).closed(0.0)


def test_a_code_that_was_used_since_the_backup_is_not_good_again(home: Path, tmp_path: Path) -> None:
    """B12 over a restore."""
    make_home(tmp_path / "old")
    url, pin, expires = "wss://clawdis-bridge.local:18794", "0" * 64, NOON + timedelta(days=1)
    code = SetupCode("0123", "t" * 32, url, pin, VOICE_SCREEN, expires)
    CodeStore(tmp_path / "old" / "bridge.sqlite3").add(code, NOON)
    members = collect(tmp_path / "old").members
    assert CodeStore(tmp_path / "old" / "bridge.sqlite3").bind(code_hash(code.token), KEY, NOON) == VOICE_SCREEN
    restore(home, archive_of(members), replace=False, now=NOON)
    assert CodeStore(home / "bridge.sqlite3").bind(code_hash(code.token), OTHER, NOON) is None


DROP = "DROP TABLE tombstones"
FORGETTING = "CREATE TRIGGER forget AFTER INSERT ON tombstones BEGIN DELETE FROM tombstones; END"
HOSTILE = {
    "a trigger that digs up": [FORGETTING],
    "a view for a table": [DROP, "CREATE VIEW tombstones AS SELECT 'ab' AS node_id, 1.0 AS revoked_at"],
    "no moment": [DROP, "CREATE TABLE tombstones (node_id, revoked_at)",
                  "INSERT INTO tombstones VALUES ('ab', 'soon')"],
    "a moment that no clock shows": ["INSERT INTO tombstones VALUES ('ab', 1e300)"],
    "other columns": [DROP, "CREATE TABLE tombstones (node_id)", "INSERT INTO tombstones VALUES (1)"],
}  # fmt: skip


@pytest.mark.parametrize("statements", HOSTILE.values(), ids=HOSTILE)
def test_a_database_that_would_not_keep_tombstones_is_not_restored(
    home: Path, tmp_path: Path, statements: list[str]
) -> None:
    """With `own.unread` overlooked, or the look for triggers taken out, a home comes into force that forgets: red."""
    make_home(tmp_path / "old", record(1))
    with closing(sqlite3.connect(tmp_path / "old" / "bridge.sqlite3")) as database, database:
        for statement in statements:
            database.execute(statement)
    make_home(home, tombstone(record(2), LATER))
    before = content(home)
    held = archive_of(collect(tmp_path / "old").members)
    with pytest.raises(BackupError, match="does not load"):
        restore(home, held, replace=True, now=NOON)
    assert content(home) == before
    assert beside(home) == ["home"]


def test_a_home_that_cannot_say_who_was_revoked_is_not_replaced(home: Path, members: dict[str, bytes]) -> None:
    make_home(home, tombstone(record(1), LATER))
    write_private(home / FILE_NAME, b"damaged")
    (home / "bridge.sqlite3").unlink()
    with pytest.raises(BackupError, match="not known which nodes were revoked"):
        restore(home, archive_of(members), replace=True, now=NOON)
    assert beside(home) == ["home"]
