"""Tombstones: a revoked key stays out, whatever became of the store meanwhile (H8)."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.pairing.grant import tombstone
from bridge.pairing.records import NodeRecord, Role
from bridge.pairing.store import FILE_NAME, NodeStore, StoreError
from bridge.pairing.tokens import issue, mint
from bridge.pairing.tombstones import MAX_TOMBSTONES, TombstoneStore, bury_returned, reconcile
from tests.bridge.pairing.samples import NOON, identity, record

HOUR = timedelta(hours=1)
KEY = identity(1).device_id
OTHER = identity(2).device_id


@pytest.fixture
def file(home: Path) -> Path:
    return home / "bridge.sqlite3"


def in_use(number: int = 1, **members: object) -> NodeRecord:
    """A record with everything that a revocation ends."""
    rich = issue(record(number), Role.NODE, mint(b"\x07" * 32, NOON))
    rich = issue(rich, Role.OPERATOR, mint(b"\x08" * 32, NOON))
    return rich.model_copy(update={"token_due": True, "wants": ("camera.snap",), **members})


class TestStore:
    def test_a_tombstone_is_there_after_a_restart_until_it_is_lifted(self, file: Path) -> None:
        store = TombstoneStore(file)
        store.bury(KEY, NOON)
        again = TombstoneStore(file)
        assert again.all() == {KEY: NOON}
        assert again.lift(KEY)
        assert not again.lift(KEY)
        assert store.all() == {}

    @pytest.mark.parametrize("second, kept", [(NOON - HOUR, NOON), (NOON, NOON), (NOON + HOUR, NOON + HOUR)])
    def test_of_two_for_one_key_the_later_one_stays(self, file: Path, second: datetime, kept: datetime) -> None:
        store = TombstoneStore(file)
        store.bury(KEY, NOON)
        store.bury(KEY, second)
        assert store.all() == {KEY: kept}
        store.bury_all({KEY: second, OTHER: second})
        assert store.all() == {KEY: kept, OTHER: second}

    def test_a_flood_is_held_at_the_bound_and_what_was_written_first_goes(self, file: Path) -> None:
        store = TombstoneStore(file)
        flood = {f"{number:064x}": NOON + timedelta(seconds=number) for number in range(MAX_TOMBSTONES + 100)}
        store.bury_all(flood)
        kept = store.all()
        assert len(kept) == MAX_TOMBSTONES
        assert min(kept.values()) == NOON + timedelta(seconds=100)

    def test_a_new_one_is_kept_even_when_the_clock_has_gone_back(self, file: Path) -> None:
        store = TombstoneStore(file)
        store.bury_all({f"{number:064x}": NOON for number in range(MAX_TOMBSTONES)})
        store.bury(KEY, NOON - HOUR)
        assert store.all()[KEY] == NOON - HOUR
        assert len(store.all()) == MAX_TOMBSTONES

    def test_several_are_written_all_or_none(self, file: Path) -> None:
        store = TombstoneStore(file)
        with closing(sqlite3.connect(file)) as other:
            other.execute("CREATE TRIGGER no BEFORE INSERT ON tombstones WHEN new.node_id = 'b' BEGIN SELECT nope; END")
        with pytest.raises(StoreError):
            store.bury_all({"a": NOON, "b": NOON})
        assert store.all() == {}

    def test_a_damaged_file_is_an_error(self, file: Path) -> None:
        file.write_bytes(b"no database " * 100)
        with pytest.raises(StoreError, match="cannot be used"):
            TombstoneStore(file)

    @given(st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
    def test_a_moment_survives_to_the_microsecond(self, moment: datetime) -> None:
        assert datetime.fromtimestamp(moment.timestamp(), UTC) == moment


class TestEntombed:
    def test_tokens_end_and_the_upstream_identity_is_to_be_removed(self) -> None:
        dead = tombstone(in_use(), NOON)
        assert dead.revoked_at == NOON
        assert (dead.node_tokens, dead.operator_tokens, dead.token_due, dead.wants) == ((), (), False, ())
        assert dead.stale_upstream == (in_use().upstream,)
        assert dead.labels == in_use().labels

    def test_a_second_revocation_changes_nothing(self) -> None:
        dead = tombstone(in_use(), NOON)
        assert tombstone(dead, NOON + HOUR) == dead


class TestBuryReturned:
    @pytest.mark.parametrize(
        "created, buried",
        [
            (NOON - HOUR, True),
            (NOON, True),
            (NOON + HOUR, False),
            (NOON.replace(tzinfo=None) - timedelta(days=2), True),
        ],
    )
    def test_only_what_was_made_before_the_revocation_is_buried(self, created: datetime, buried: bool) -> None:
        """Without the comparison (`and _made_before` taken out) a key paired anew would be thrown out: red."""
        records, returned = bury_returned([in_use(1, created_at=created), in_use(2)], {KEY: NOON})
        assert records[1] == in_use(2)
        assert [one.node_id for one in returned] == ([KEY] if buried else [])
        assert records[0].revoked_at == (NOON if buried else None)
        assert (records[0].node_tokens == ()) is buried

    def test_tombstones_of_the_store_and_of_unknown_keys_are_left_alone(self) -> None:
        old = tombstone(in_use(1), NOON - HOUR)
        assert bury_returned([old], {KEY: NOON, OTHER: NOON}) == ((old,), ())

    def test_nothing_is_lost_or_moved(self) -> None:
        given_records = [in_use(number) for number in range(20)]
        dead = {identity(number).device_id: NOON + HOUR for number in range(0, 20, 3)}
        records, returned = bury_returned(given_records, dead)
        assert [one.node_id for one in records] == [one.node_id for one in given_records]
        assert {one.node_id for one in returned} == set(dead)


class TestReconcile:
    async def test_yesterdays_store_does_not_bring_back_what_was_revoked_today(self, home: Path, file: Path) -> None:
        """H8. Without `bury_returned` in `reconcile` the key is in force again: red."""
        store = NodeStore(home)
        for number in (1, 2):
            await store.put(in_use(number))
        shutil.copy2(home / FILE_NAME, home / "yesterday")
        TombstoneStore(file).bury(KEY, NOON + HOUR)
        await store.put(tombstone(in_use(1), NOON + HOUR))

        (home / "yesterday").replace(home / FILE_NAME)
        back = NodeStore(home)
        assert [one.node_id for one in await reconcile(back, TombstoneStore(file))] == [KEY]
        for read in (back, NodeStore(home)):
            assert read.nodes[KEY].revoked_at == NOON + HOUR
            assert read.nodes[KEY].node_tokens == ()
            assert read.nodes[OTHER] == in_use(2)
        assert await reconcile(back, TombstoneStore(file)) == ()

    async def test_a_tombstone_of_the_store_alone_is_written_beside_it(self, home: Path, file: Path) -> None:
        store = NodeStore(home)
        await store.put(tombstone(in_use(1), NOON))
        assert await reconcile(store, TombstoneStore(file)) == ()
        assert TombstoneStore(file).all() == {KEY: NOON}

    async def test_a_key_that_a_person_paired_anew_stays_in(self, home: Path, file: Path) -> None:
        store, tombstones = NodeStore(home), TombstoneStore(file)
        tombstones.bury(KEY, NOON + HOUR)
        await store.put(in_use(1, created_at=NOON))  # the clock went back between the two
        tombstones.lift(KEY)
        assert await reconcile(store, tombstones) == ()
        assert store.nodes[KEY].revoked_at is None

    async def test_a_crash_after_the_first_of_the_two_writes_leaves_the_key_out(self, home: Path, file: Path) -> None:
        store, tombstones = NodeStore(home), TombstoneStore(file)
        await store.put(in_use(1))
        tombstones.bury(KEY, NOON + HOUR)
        await reconcile(store, tombstones)
        assert NodeStore(home).nodes[KEY].revoked_at == NOON + HOUR
