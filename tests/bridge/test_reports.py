"""What a person is told about requests and nodes, from a bridge that really has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from acl.permissions import PROFILES
from bridge.control.not_granted import not_granted
from bridge.control.requests import RevokeBody
from bridge.operations import BridgeOperations
from bridge.pairing.desk import PairingRequest, Why
from bridge.pairing.records import Role, Security, Surface
from bridge.reports import pending_row
from tests.bridge.house import House
from tests.bridge.lan.phones import IPHONE, PHONE
from tests.bridge.pairing.samples import draft, record
from tests.support.waiting import eventually

WALL = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def test_a_native_node_that_offers_more_is_still_native_and_keeps_what_was_narrowed() -> None:
    known = record(security=Security.MTLS, permissions=("voice",))
    asked = PairingRequest("aaaa1111", draft(why=Why.WIDER, permissions=PROFILES["phone"]), "192.168.1.33", WALL, 0.0)
    row = pending_row(asked, known, "pin", 100.0, WALL)
    assert (row.kind, row.reason, row.permissions) == ("native", "wider", ["voice"])
    assert row.expires_at > WALL


def test_a_revoked_node_has_nothing_that_a_request_could_add_to() -> None:
    known = record(revoked_at=WALL, declared=Surface())
    asked = PairingRequest("aaaa1111", draft(why=Why.RETURN, revoked_at=WALL), "192.168.1.33", WALL, 0.0)
    assert pending_row(asked, known, "pin", 0.0, WALL).adds == []


@pytest.mark.parametrize("why", list(Why))
def test_every_reason_can_be_told(why: Why) -> None:
    asked = PairingRequest("aaaa1111", draft(why=why), "192.168.1.33", WALL, 0.0)
    assert pending_row(asked, None, "pin", 0.0, WALL).reason == why.value


async def test_a_paired_phone_that_offers_more_is_not_a_stranger(bridge: House, operations: BridgeOperations) -> None:
    record = await bridge.pair(IPHONE)
    fewer = tuple(name for name in record.declared.commands if name != "camera.snap")
    await bridge.store.put(
        record.model_copy(update={"declared": record.declared.model_copy(update={"commands": fewer})})
    )
    async with bridge.call(IPHONE) as caller:
        await caller.gets_in()
        request_id = await bridge.waiting()
        row = await operations.request(request_id)
        assert (row.reason, row.adds, row.permissions) == ("wider", ["camera.snap"], sorted(PHONE))
        assert "camera.snap" in row.not_granted["camera"]
        detail = await operations.node(IPHONE.node_id)
        assert (detail.wants, detail.request) == (["camera.snap"], request_id)
        await operations.deny(request_id)
        detail = await operations.node(IPHONE.node_id)
        assert (detail.wants, detail.request) == (["camera.snap"], None)


async def test_a_revoked_key_that_asks_again_is_known(bridge: House, operations: BridgeOperations) -> None:
    await bridge.pair(IPHONE, revoked_at=datetime.now(UTC) - timedelta(hours=1), revocation_told=tuple(Role))
    await operations.codes.open_window()
    async with bridge.call(IPHONE) as caller:
        await caller.connects()
        row = await operations.request(await bridge.waiting())
    assert (row.reason, row.previously_revoked, row.adds) == ("return", True, [])


async def test_what_was_not_granted_is_told_by_the_permission_it_needs(
    bridge: House, operations: BridgeOperations
) -> None:
    record = await bridge.pair(IPHONE, PROFILES["voice"])
    lacking = (await operations.node(IPHONE.node_id)).not_granted
    assert lacking == not_granted(record.declared.commands, ["voice"])
    assert lacking
    await operations.revoke(RevokeBody(all=True))
    assert (await operations.node(IPHONE.node_id)).not_granted == {}


async def test_a_key_for_the_gateway_that_is_gone_is_told_with_the_node(bridge: House) -> None:
    record = await bridge.pair(IPHONE)
    bridge.stage.keys.delete(record.upstream_key)
    async with bridge.call(IPHONE) as caller:
        await caller.gets_in()
        error = await eventually(lambda: bridge.stage.switchboard.link_error(IPHONE.node_id))
        assert "the key is missing" in error
        assert f"nodes revoke {IPHONE.node_id[:12]}" in error
        assert (await bridge.operations.node(IPHONE.node_id)).link_error == error
        assert (await bridge.operations.nodes())[0].state == "connected"
