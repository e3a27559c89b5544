"""Sockets that are ended here: from that moment on somebody else answers for the phone, however long it holds on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.lan.events import Ended, FromGateway
from bridge.lan.relay import CLOSE_S
from gateway_client.frames import Event, object_of
from tests.bridge.house import House, house
from tests.bridge.lan.phones import IPHONE
from tests.bridge.upstream.stage import TOKEN, embedded
from tests.support.operator import Operator, OperatorError, operator
from tests.support.waiting import eventually


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[tuple[House, Operator]]:
    async with embedded() as gateway, house(tmp_path / "home", gateway.url, linger_s=60.0) as built:
        await eventually(lambda: built.stage.operator.is_open)
        async with operator(gateway.url, TOKEN) as client:
            yield built, client


async def invoked(client: Operator, node_id: str) -> str:
    """Have the phone asked; return what the caller is told."""
    asked = {"nodeId": node_id, "command": "device.info", "idempotencyKey": "k", "timeoutMs": 30_000}
    with pytest.raises(OperatorError) as failed:
        await client.request("node.invoke", asked)
    return str(object_of(failed.value.details.get("nodeError")).get("code"))


async def test_what_is_asked_of_a_phone_that_holds_on_to_an_ended_socket_has_its_outcome_at_once(
    agent: tuple[House, Operator],
) -> None:
    """Red without `Hub.ending`: the ended session would swallow the command, and its caller wait for 30 s."""
    bridge, client = agent
    record = await bridge.pair(IPHONE)
    async with bridge.call(IPHONE) as phone:
        await phone.gets_in()
        await bridge.stage.settled(record)
        relay = bridge.hub.roster.node(IPHONE.node_id)
        assert relay is not None
        for _ in range(20):  # more than the network holds: the phone reads none of it, so the close waits behind it
            relay.post(FromGateway(Event("voicewake.changed", {"triggers": ["x" * 1_000_000]})))
        relay.post(Ended(1008, "out"))
        async with asyncio.timeout(CLOSE_S / 2):
            assert await invoked(client, record.gateway_node_id) == "NODE_DISCONNECTED"
        assert bridge.hub.roster.node(IPHONE.node_id) is relay  # its socket is still there
        assert bridge.stage.switchboard.lingers(IPHONE.node_id)


async def test_what_is_asked_of_a_phone_that_is_away_is_in_the_metrics(agent: tuple[House, Operator]) -> None:
    """Being away is a phone's normal state; red when who stands in for it tells only the log."""
    bridge, client = agent
    record = await bridge.pair(IPHONE)
    async with bridge.call(IPHONE) as phone:
        await phone.gets_in()
        await bridge.stage.settled(record)
    await eventually(lambda: bridge.stage.switchboard.lingers(IPHONE.node_id))
    assert await invoked(client, record.gateway_node_id) == "NODE_DISCONNECTED"
    counted = 'clawdis_bridge_invokes_total{family="device",outcome="NODE_DISCONNECTED"} 1.0'
    assert counted in bridge.stage.flow.metrics.text()


async def test_a_socket_that_takes_the_place_of_another_finds_its_link(tmp_path: Path) -> None:
    """Red when `Hub.ending` does not ask who is in: the link would end with the former socket, and be made anew."""
    async with embedded() as gateway, house(tmp_path / "home", gateway.url) as bridge:
        await eventually(lambda: bridge.stage.operator.is_open)
        record = await bridge.pair(IPHONE)
        async with bridge.call(IPHONE) as former, bridge.call(IPHONE) as newer:
            await former.gets_in()
            await bridge.stage.settled(record)
            link = bridge.stage.switchboard.link(IPHONE.node_id)
            await newer.gets_in()
            assert (await former.ended())[0] == 1000
            assert bridge.stage.switchboard.link(IPHONE.node_id) is link
