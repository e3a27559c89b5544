"""The reception of keys that it has known: who they are at the gateway, and whether they may ask."""

from __future__ import annotations

import pytest

from bridge.lan.events import Filed, FilingFailed, NotFiled
from bridge.log import silent_log
from bridge.pairing.desk import Why
from bridge.pairing.reception import Asked, DeskChange, Reception, WindowOpened
from tests.bridge.pairing.desks import Front, Socket
from tests.bridge.pairing.samples import draft, labels


class TestPairedAgain:
    async def test_after_a_revocation_it_is_someone_else_at_the_gateway(self, front: Front) -> None:
        before = await front.paired()
        await front.reception.revoke(before.node_id)
        front.reception.file(Socket(), draft(why=Why.RETURN, revoked_at=front.stored().revoked_at))
        record = await front.reception.approve(front.reception.desk.pending()[0], None, None)
        assert record.revoked_at is None
        assert record.gateway_node_id != before.gateway_node_id
        assert record.upstream_key != before.upstream_key
        assert record.stale_upstream == (before.upstream,)
        assert record.created_at > before.created_at
        again = await front.reception.revoke(record.node_id)
        assert again.stale_upstream == (before.upstream, record.upstream)

    @pytest.mark.parametrize("other", [labels(platform="android 15", family="Android"), labels(family="iPad")])
    async def test_as_another_kind_of_device_it_is_someone_else_at_the_gateway(
        self, front: Front, other: object
    ) -> None:
        before = await front.paired()
        front.reception.file(Socket(), draft(why=Why.CHANGED, of=type(before.labels).model_validate(other)))
        record = await front.reception.approve(front.reception.desk.pending()[0], None, None)
        assert record.gateway_node_id != before.gateway_node_id
        assert record.stale_upstream == (before.upstream,)

    async def test_with_a_newer_system_it_stays_who_it_is(self, front: Front) -> None:
        before = await front.paired()
        front.reception.file(Socket(), draft(why=Why.REPAIR, of=labels("Renamed", platform="ios 27.0")))
        record = await front.reception.approve(front.reception.desk.pending()[0], None, None)
        assert (record.upstream_key, record.gateway_node_id) == (before.upstream_key, before.gateway_node_id)
        assert record.stale_upstream == ()
        assert record.labels.platform == "ios 27.0"

    async def test_two_nodes_of_one_name_stay_two(self, front: Front) -> None:
        one, other = await front.paired(1), await front.paired(2)
        assert one.labels.display_name == other.labels.display_name
        assert {one.node_id, other.node_id} == set(front.reception.store.nodes)
        assert one.gateway_node_id != other.gateway_node_id


class TestWindow:
    @pytest.mark.parametrize("why", [Why.NEW, Why.RETURN])
    async def test_while_it_is_closed_keys_that_are_not_in_force_may_not_ask(self, front: Front, why: Why) -> None:
        reception = Reception(front.registrar, silent_log(), always_open=False)
        socket = Socket()
        reception.file(socket, draft(why=why))
        assert socket.only(FilingFailed).why is NotFiled.CLOSED
        reception.open_window()
        reception.file(socket, draft(why=why))
        assert isinstance(socket.told[-1], Filed)

    async def test_a_paired_key_that_lost_its_token_may(self, front: Front) -> None:
        reception, socket = Reception(front.registrar, silent_log(), always_open=False), Socket()
        reception.file(socket, draft(why=Why.REPAIR))
        assert isinstance(socket.told[-1], Filed)

    async def test_a_retry_asks_nobody_again_unless_a_person_has_invited_devices(self, front: Front) -> None:
        told: list[DeskChange] = []
        front.reception.on_change(told.append)
        for _ in range(3):
            front.reception.file(Socket(), draft())
        (asked,) = told
        assert isinstance(asked, Asked)
        front.reception.open_window()
        front.reception.file(Socket(), draft())
        assert [type(change) for change in told[1:]] == [WindowOpened, Asked]
