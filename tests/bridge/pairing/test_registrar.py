"""Pairings are written before anybody is told of them; what only takes away is in force whatever the disk says."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime

import pytest

from acl.permissions import PROFILES
from bridge.lan.events import Filed, Redeem
from bridge.log import silent_log
from bridge.pairing.desk import Draft, Why
from bridge.pairing.records import NodeRecord, Security
from bridge.pairing.registrar import Registrar
from bridge.pairing.store import NodeStore, StoreError
from bridge.pairing.tombstones import TombstoneStore
from certs.store import KeyFolder
from tests.bridge.pairing.desks import Front, Socket
from tests.bridge.pairing.native import NativePhone
from tests.bridge.pairing.samples import draft, identity

KEY = identity().device_id


def returning(front: Front) -> Draft:
    """What the revoked phone asks for, its prompt saying that it was revoked."""
    return draft(why=Why.RETURN, revoked_at=front.registrar.revoked_at(KEY))


async def test_a_native_node_is_written_with_its_request(front: Front) -> None:
    phone = NativePhone()
    made = await front.registrar.pair(phone.revealed(), PROFILES["voice"], None, request_id="c1")
    stored = NodeStore(front.home).nodes[phone.node_id]
    assert stored == made
    assert stored.security is Security.MTLS
    assert stored.enrolment is not None
    assert stored.enrolment.request_id == "c1"


async def test_as_many_as_come_at_once_are_paired(front: Front) -> None:
    drafts = [draft(number) for number in range(16)]
    records = await asyncio.gather(*(front.registrar.pair(one, PROFILES["voice"], None) for one in drafts))
    assert set(front.reception.store.nodes) == {identity(number).device_id for number in range(16)}
    assert len({record.upstream_key for record in records}) == 16


class TestRevoke:
    async def test_it_is_in_both_places(self, front: Front) -> None:
        await front.paired()
        await front.registrar.revoke(KEY)
        assert front.stored().revoked_at is not None
        assert KEY in front.tombstones.all()

    async def test_on_a_disk_that_refuses_it_is_in_force_at_once_and_written_later(self, front: Front) -> None:
        await front.paired()
        heard: list[NodeRecord] = []
        front.reception.store.on_change(heard.append)
        front.home.chmod(0o777)
        with pytest.raises(StoreError):
            await front.registrar.revoke(KEY)
        assert front.reception.store.nodes[KEY].revoked_at is not None
        assert [record.revoked_at is not None for record in heard] == [True], "sockets are closed by it"
        with pytest.raises(StoreError):
            await front.registrar.catch_up()
        front.home.chmod(0o700)
        assert front.stored().revoked_at is None
        await front.registrar.catch_up()
        assert front.stored().revoked_at is not None

    async def test_a_pairing_on_such_a_disk_is_not_in_force(self, front: Front) -> None:
        front.home.chmod(0o777)
        with pytest.raises(StoreError):
            await front.registrar.pair(draft(), PROFILES["voice"], None)
        front.home.chmod(0o700)
        assert dict(front.reception.store.nodes) == {}

    async def test_without_the_database_the_store_has_it_and_the_database_catches_up(self, front: Front) -> None:
        await front.paired()
        with closing(sqlite3.connect(front.home / "bridge.sqlite3")) as database, database:
            database.execute("ALTER TABLE tombstones RENAME TO gone")
        await front.registrar.revoke(KEY)
        assert front.stored().revoked_at is not None
        with pytest.raises(StoreError):
            await front.registrar.catch_up()
        with closing(sqlite3.connect(front.home / "bridge.sqlite3")) as database, database:
            database.execute("ALTER TABLE gone RENAME TO tombstones")
        await front.registrar.catch_up()
        assert KEY in front.tombstones.all()

    async def test_a_revocation_that_is_refused_while_the_database_catches_up_is_not_forgotten(
        self, front: Front
    ) -> None:
        """Red when the catching-up clears the mark at its end: the second tombstone is in the store alone."""
        for number in (0, 1):
            await front.paired(number)
        loop, second = asyncio.get_running_loop(), identity(1).device_id

        class Refusing(TombstoneStore):
            """Refuses single tombstones; another key is revoked when it is asked for all of them."""

            asked = False

            def bury(self, node_id: str, when: datetime) -> None:
                raise StoreError("the disk is full")

            def all(self) -> Mapping[str, datetime]:
                if self.asked:
                    asyncio.run_coroutine_threadsafe(registrar.revoke(second), loop).result(10)
                self.asked = not self.asked
                return super().all()

        database = front.home / "bridge.sqlite3"
        registrar = Registrar(
            front.reception.store, Refusing(database), KeyFolder(front.home / "keys"), silent_log(), front.trail
        )
        await registrar.revoke(KEY)
        await registrar.catch_up()
        assert front.tombstones.all().keys() == {KEY}
        await registrar.catch_up()
        assert front.tombstones.all().keys() == {KEY, second}

    async def test_nobody_can_be_revoked_who_is_not_there(self, front: Front) -> None:
        with pytest.raises(StoreError, match="no such node"):
            await front.registrar.revoke(KEY)
        assert front.tombstones.all() == {}


async def test_a_person_who_pairs_it_anew_lifts_the_tombstone(front: Front) -> None:
    await front.paired()
    await front.registrar.revoke(KEY)
    await front.registrar.pair(returning(front), PROFILES["voice"], None)
    assert KEY not in front.tombstones.all()
    assert front.stored().revoked_at is None


async def test_a_revocation_just_before_the_tombstone_is_lifted_leaves_one(front: Front) -> None:
    """Red when it is lifted whatever the store says: the store is then the only place that holds the revocation."""
    await front.paired()
    loop = asyncio.get_running_loop()

    class Late(TombstoneStore):
        """Lifts a tombstone after the key was revoked once more."""

        def lift(self, node_id: str) -> bool:
            asyncio.run_coroutine_threadsafe(registrar.revoke(node_id), loop).result(10)
            return super().lift(node_id)

    database = front.home / "bridge.sqlite3"
    registrar = Registrar(
        front.reception.store, Late(database), KeyFolder(front.home / "keys"), silent_log(), front.trail
    )
    await registrar.revoke(KEY)
    await registrar.pair(returning(front), PROFILES["voice"], None)
    assert front.stored().revoked_at is not None
    assert KEY in front.tombstones.all()


async def test_of_a_pairing_and_a_revocation_at_once_the_revocation_stays(front: Front) -> None:
    await front.paired()
    for _ in range(20):
        await asyncio.gather(
            front.registrar.pair(draft(why=Why.REPAIR), PROFILES["voice"], None),
            front.registrar.revoke(KEY),
            return_exceptions=True,
        )
        assert front.stored().revoked_at is not None
        assert KEY in front.tombstones.all()
        await front.registrar.pair(returning(front), PROFILES["voice"], None)


@pytest.mark.parametrize("why", [Why.NEW, Why.REPAIR, Why.WIDER, Why.CHANGED])
async def test_a_revoked_key_is_not_let_in_by_a_question_that_did_not_say_so(front: Front, why: Why) -> None:
    await front.paired()
    await front.registrar.revoke(KEY)
    with pytest.raises(StoreError, match="revoked"):
        await front.registrar.pair(draft(why=why), PROFILES["voice"], None)
    assert front.stored().revoked_at is not None
    assert KEY in front.tombstones.all()


class TestForgotten:
    """A store from before a key was paired, and a database that remembers how it was revoked."""

    async def forgotten(self, front: Front) -> None:
        before = (
            (front.home / "paired-nodes.json").read_bytes() if (front.home / "paired-nodes.json").exists() else None
        )
        await front.paired()
        await front.registrar.revoke(KEY)
        (front.home / "paired-nodes.json").unlink()
        if before is not None:
            (front.home / "paired-nodes.json").write_bytes(before)
        front.reception = front.started()
        assert dict(front.reception.store.nodes) == {}

    async def test_it_asks_as_one_that_was_revoked(self, front: Front) -> None:
        await self.forgotten(front)
        request = front.filed()
        assert request.draft.why is Why.RETURN
        assert request.draft.revoked_at is not None

    async def test_a_code_only_lets_it_ask(self, front: Front) -> None:
        await self.forgotten(front)
        socket = Socket()
        await front.admissions.redeem(socket, Redeem(draft(), front.code()))
        assert socket.only(Filed).request_id == front.reception.desk.pending()[0].id
        assert dict(front.reception.store.nodes) == {}

    async def test_a_person_who_lets_it_in_ends_that(self, front: Front) -> None:
        await self.forgotten(front)
        await front.reception.approve(front.filed(), None, None)
        assert front.registrar.revoked_at(KEY) is None
        assert KEY not in front.tombstones.all()
