"""What happens to open sockets when records change, sockets come and go, and the gateway speaks."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from acl.permissions import PROFILES
from bridge import clock
from bridge.hub import MAX_PENALTIES
from bridge.lan.events import Penalise
from bridge.lan.relay import BUFFER_BYTES, IOS_FRAME_BYTES
from bridge.pairing.desk import Why
from bridge.pairing.records import Role, UpstreamIdentity
from bridge.upstream.idempotency import caller_owner, memo_of, node_owner
from gateway_client.frames import JsonObject
from tests.bridge.house import House, house
from tests.bridge.lan.phones import ANDROID, IPHONE, NODE_TOKEN, PHONE
from tests.bridge.lan.rooms import Caller
from tests.bridge.upstream.stage import embedded
from tests.support.waiting import eventually

RUN: JsonObject = {"runId": "k", "sessionKey": "agent:main:main", "seq": 1}
SOON_S = 1.0  # design §6: a revocation closes live sockets within


@pytest_asyncio.fixture
async def linked(tmp_path: Path) -> AsyncIterator[House]:
    async with embedded() as gateway, house(tmp_path / "home", gateway.url) as built:
        await eventually(lambda: built.stage.operator.is_open)
        yield built


async def sockets(stack: AsyncExitStack, bridge: House, *roles: str) -> list[Caller]:
    """Opens sockets of the iPhone, in this order."""
    callers = []
    for role in roles:
        caller = await stack.enter_async_context(bridge.call(IPHONE))
        await caller.gets_in(role)
        callers.append(caller)
    return callers


# Records that change.


@pytest.mark.parametrize("roles", [["node"], ["operator"], ["node", "operator", "operator"]], ids=str)
async def test_a_revocation_closes_every_socket_of_the_key_at_once(bridge: House, roles: list[str]) -> None:
    await bridge.pair(IPHONE)
    await bridge.pair(ANDROID)
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(bridge.call(ANDROID))
        await other.gets_in()
        callers = await sockets(stack, bridge, *roles)
        started = time.monotonic()
        await bridge.reception.revoke(IPHONE.node_id)
        for caller in callers:
            assert await caller.ended() == (4001, "device removed")
        assert time.monotonic() - started < SOON_S
        await eventually(lambda: bridge.hub.roster.all_of(IPHONE.node_id) == [])
        assert bridge.stage.switchboard.link(IPHONE.node_id) is None
        await other.asks("health")
        assert (await other.read())["ok"] is True


async def test_a_revocation_forgets_what_the_key_has_done_and_asked_for(bridge: House) -> None:
    await bridge.pair(IPHONE)
    now = clock.now().mono
    for owner in (node_owner, caller_owner):
        for node_id in (IPHONE.node_id, ANDROID.node_id):
            memo = memo_of(owner(node_id), "k", "device.info", None)
            bridge.hub.remember(bridge.hub.ledger.done(memo, {"ok": True}, now))
    await bridge.reception.revoke(IPHONE.node_id)
    assert len(bridge.hub.ledger) == 2
    await bridge.hub.calls.flush()
    with sqlite3.connect(bridge.home / "bridge.sqlite3") as database:
        assert {row[0].partition(":")[2] for row in database.execute("SELECT owner FROM calls")} == {ANDROID.node_id}


async def test_a_revocation_turns_down_what_the_key_is_asking_for(bridge: House) -> None:
    await bridge.pair(IPHONE)
    async with bridge.call(IPHONE) as caller:
        await caller.connects()
        await eventually(bridge.reception.desk.pending)
        await bridge.reception.revoke(IPHONE.node_id)
        assert (await caller.read())["error"]["details"]["pauseReconnect"] is True
    assert bridge.reception.desk.pending() == []


async def test_changed_permissions_make_a_node_come_again(bridge: House) -> None:
    record = await bridge.pair(IPHONE)
    async with AsyncExitStack() as stack:
        node, operator = await sockets(stack, bridge, "node", "operator")
        await bridge.store.put(record.model_copy(update={"permissions": tuple(sorted(PROFILES["voice"]))}))
        assert await node.ended() == (1012, "permissions changed")
        assert await operator.ended() == (1012, "permissions changed")
        (again,) = await sockets(stack, bridge, "node")
        await again.asks("node.event", {"event": "chat.subscribe", "payloadJSON": "{}"})
        assert (await again.read())["payload"]["reason"] == "not_permitted"


async def test_another_name_or_another_wish_disturbs_nobody(bridge: House) -> None:
    record = await bridge.pair(IPHONE)
    async with AsyncExitStack() as stack:
        (node,) = await sockets(stack, bridge, "node")
        labels = record.labels.model_copy(update={"display_name": "Kitchen"})
        await bridge.store.put(record.model_copy(update={"labels": labels, "wants": ("camera.clip",)}))
        await node.asks("health")
        assert (await node.read())["ok"] is True


# Sockets.


async def test_a_second_node_socket_replaces_the_first(bridge: House) -> None:
    await bridge.pair(IPHONE)
    async with AsyncExitStack() as stack:
        first, second = await sockets(stack, bridge, "node", "node")
        assert await first.ended() == (1000, "replaced by a newer connection")
        await second.asks("health")
        assert (await second.read())["ok"] is True
        assert bridge.hub.roster.connected() == 1


async def test_the_fifth_operator_socket_displaces_the_oldest(bridge: House) -> None:
    await bridge.pair(IPHONE)
    async with AsyncExitStack() as stack:
        callers = await sockets(stack, bridge, "node", *["operator"] * 5)
        assert await callers[1].ended() == (1000, "replaced by a newer connection")
        for caller in (callers[0], *callers[2:]):
            await caller.asks("health")
            assert (await caller.read())["ok"] is True


async def test_only_an_iphone_has_the_limit_of_an_iphone(bridge: House) -> None:
    await bridge.pair(IPHONE)
    await bridge.pair(ANDROID)
    for phone, limit in ((IPHONE, IOS_FRAME_BYTES), (ANDROID, BUFFER_BYTES)):
        async with bridge.call(phone) as caller:
            await caller.gets_in()
            relay = bridge.hub.roster.node(phone.node_id)
            assert relay is not None
            assert relay.frame_limit == limit


async def test_it_is_remembered_when_a_node_was_here(bridge: House) -> None:
    await bridge.pair(IPHONE)
    before = datetime.now(UTC)
    async with bridge.call(IPHONE) as caller:
        await caller.gets_in()
        await eventually(lambda: bridge.store.nodes[IPHONE.node_id].last_seen_at)
    seen = bridge.store.nodes[IPHONE.node_id].last_seen_at
    assert seen is not None
    assert before <= seen
    assert bridge.hub.connected_at[IPHONE.node_id] >= before


async def test_a_node_that_offers_more_asks_once_and_keeps_what_it_had(bridge: House) -> None:
    await bridge.pair(IPHONE)
    wider = replace(IPHONE, commands=(*IPHONE.commands, "contacts.search", "x.unheard"))
    for _ in range(2):
        async with bridge.call(wider) as caller:
            await caller.gets_in()
            await eventually(bridge.reception.desk.pending)
            assert bridge.store.nodes[IPHONE.node_id].wants == ("contacts.search",)
    (request,) = bridge.reception.desk.pending()
    assert request.draft.why is Why.WIDER
    assert request.draft.permissions == PHONE
    assert set(request.draft.declared.commands) == {*IPHONE.commands, "contacts.search", "x.unheard"}
    async with bridge.call(IPHONE) as caller:
        await caller.gets_in()
        await eventually(lambda: bridge.store.nodes[IPHONE.node_id].wants == ())
        await eventually(lambda: not bridge.reception.desk.pending(), what="what it wants no more is off the desk")


# Penalties.


async def test_a_key_that_was_closed_for_its_refusals_stays_out_for_a_minute(bridge: House) -> None:
    await bridge.pair(IPHONE)
    async with bridge.call(IPHONE) as caller:
        await caller.gets_in()
        for number in range(11):
            await caller.asks("no.such", request_id=f"x{number}")
        assert await caller.ended() == (1008, "repeated refused calls")
    async with bridge.call(IPHONE) as caller:
        await caller.connects({"token": NODE_TOKEN})
        error = (await caller.read())["error"]
        assert (error["code"], error["details"]) == ("UNAVAILABLE", {"reason": "busy"})
        assert 50_000 < error["retryAfterMs"] <= 60_000
    now = clock.now().mono
    assert bridge.hub.penalty_left(IPHONE.node_id, now + 61) == 0
    assert bridge.hub.penalty_left(ANDROID.node_id, now) == 0


async def test_a_flood_of_penalties_is_bounded_and_the_oldest_is_forgiven_first(bridge: House) -> None:
    for number in range(MAX_PENALTIES + 10):
        bridge.hub.penalise(Penalise(f"key-{number}"))
    now = clock.now().mono
    out = [number for number in range(MAX_PENALTIES + 10) if bridge.hub.penalty_left(f"key-{number}", now) > 0]
    assert out == list(range(10, MAX_PENALTIES + 10))


async def test_a_key_has_one_allowance_over_all_of_its_sockets(bridge: House) -> None:
    """Red when `Hub.allowance` makes one for each socket."""
    first = bridge.hub.allowance("first")
    bridge.hub.allowance("second").refusals.refuse(0.0)
    assert bridge.hub.allowance("first") is first
    assert bridge.hub.allowance("second") is not first


# The end of everything.


async def test_a_bridge_that_stops_says_so_to_everyone(bridge: House) -> None:
    await bridge.pair(IPHONE)
    async with AsyncExitStack() as stack:
        callers = await sockets(stack, bridge, "node", "operator")
        assert not bridge.hub.empty.is_set()
        bridge.hub.end_all("bridge stopping")
        for caller in callers:
            assert (await caller.read())["event"] == "shutdown"
            assert await caller.ended() == (1012, "bridge stopping")
    await eventually(bridge.hub.empty.is_set)


# What sessions look up.


async def test_a_revoked_node_is_no_name_any_more(bridge: House) -> None:
    record = await bridge.pair(IPHONE)
    assert bridge.hub.lan_ids() == {record.gateway_node_id: IPHONE.node_id}
    await bridge.reception.revoke(IPHONE.node_id)
    assert bridge.hub.lan_ids() == {}
    assert bridge.hub.record(IPHONE.node_id) is not None
    assert bridge.hub.record("nobody") is None


async def test_a_revoked_key_is_told_once_and_then_turned_away(bridge: House) -> None:
    await bridge.pair(IPHONE)
    await bridge.reception.revoke(IPHONE.node_id)
    async with bridge.call(IPHONE) as caller:
        await caller.connects({"token": NODE_TOKEN})
        assert (await caller.read())["error"]["details"]["code"] == "AUTH_DEVICE_TOKEN_MISMATCH"
    await eventually(lambda: bridge.store.nodes[IPHONE.node_id].revocation_told == (Role.NODE,))
    async with bridge.call(IPHONE) as caller:
        await caller.connects()
        assert (await caller.read())["error"]["details"]["pauseReconnect"] is True
    bridge.reception.open_window()
    async with bridge.call(IPHONE) as caller:
        await caller.connects()
        (request,) = await eventually(bridge.reception.desk.pending)
        assert request.draft.why is Why.RETURN


# With a gateway.


async def test_calls_and_events_pass_between_a_phone_and_the_gateway(linked: House) -> None:
    await linked.pair(IPHONE)
    async with AsyncExitStack() as stack:
        node, operator = await sockets(stack, linked, "node", "operator")
        await operator.asks("agents.list", {})
        assert (await operator.read())["ok"] is True
        await eventually(lambda: linked.stage.switchboard.link(IPHONE.node_id))
        await node.asks("node.list", {})
        while (frame := await node.read()).get("id") != "r1":
            assert frame["event"].startswith("voicewake.")
        assert [row["nodeId"] for row in frame["payload"]["nodes"]] in ([], [IPHONE.node_id])
        assert linked.hub.gateway_hello["type"] == "hello-ok"


async def test_the_runs_of_an_operator_reach_it_and_a_lost_gateway_leaves_a_gap(tmp_path: Path) -> None:
    async with embedded() as gateway, house(tmp_path / "home", gateway.url) as bridge:
        await eventually(lambda: bridge.stage.operator.is_open)
        await bridge.pair(IPHONE)
        async with AsyncExitStack() as stack:
            (operator,) = await sockets(stack, bridge, "operator")
            await operator.asks("chat.send", {"sessionKey": "main", "message": "hi", "idempotencyKey": "k"})
            frames = [await operator.read(), await operator.read()]
            (event,) = [frame for frame in frames if frame["type"] == "event"]
            assert (event["event"], event["payload"]["runId"], event.get("seq")) == ("agent", "k", None)
            gateway.core.broadcast("chat", {**RUN, "state": "delta", "deltaText": "He", "message": {}})
            assert (await operator.read())["payload"]["deltaText"] == "He"
            await gateway.kill()
            await eventually(lambda: not bridge.stage.operator.is_open)
            await gateway.start()
            await eventually(lambda: bridge.stage.operator.is_open, timeout_s=20.0)
            gateway.core.broadcast("chat", {**RUN, "state": "delta", "deltaText": "llo"})
            gateway.core.broadcast("chat", {**RUN, "state": "final", "message": {}})
            assert (await operator.read())["payload"]["state"] == "final"


async def test_an_event_that_cannot_be_read_leaves_a_gap_and_ends_nothing(tmp_path: Path) -> None:
    async with embedded() as gateway, house(tmp_path / "home", gateway.url) as bridge:
        await eventually(lambda: bridge.stage.operator.is_open)
        await bridge.pair(IPHONE)
        async with AsyncExitStack() as stack:
            (operator,) = await sockets(stack, bridge, "operator")
            await operator.asks("chat.history", {"sessionKey": "main"})
            assert (await operator.read())["ok"]
            gateway.core.broadcast("chat", {**RUN, "state": "delta", "deltaText": "He", "message": {}})
            assert (await operator.read())["payload"]["deltaText"] == "He"
            gateway.core.broadcast("chat", {**RUN, "state": "delta", "deltaText": "l", "message": [[]] * 200_001})
            gateway.core.broadcast("chat", {**RUN, "state": "delta", "deltaText": "lo"})
            gateway.core.broadcast("chat", {**RUN, "state": "final", "message": {}})
            assert (await operator.read())["payload"]["state"] == "final"
            assert bridge.stage.operator.is_open
            assert len(bridge.stage.events("gateway-connected")) == 1


async def test_what_a_changed_phone_left_behind_is_removed(linked: House) -> None:
    record = await linked.pair(IPHONE)
    stale = tuple(UpstreamIdentity(key_name=name * 8, gateway_node_id=name * 32) for name in ("ab", "cd"))
    await linked.store.put(record.model_copy(update={"stale_upstream": stale}))
    await eventually(lambda: linked.store.nodes[IPHONE.node_id].stale_upstream == ())


async def test_what_stood_for_a_revoked_key_is_removed_at_the_gateway(linked: House) -> None:
    record = await linked.pair(IPHONE)
    async with AsyncExitStack() as stack:
        await sockets(stack, linked, "node")
        await eventually(lambda: (link := linked.stage.switchboard.link(IPHONE.node_id)) and link.surface)
        await linked.reception.revoke(IPHONE.node_id)
        assert linked.store.nodes[IPHONE.node_id].stale_upstream in ((), (record.upstream,))
        await eventually(lambda: linked.store.nodes[IPHONE.node_id].stale_upstream == ())
    answer = await linked.stage.operator.request("node.list", {})
    assert record.gateway_node_id not in str(answer.payload)


async def test_what_was_revoked_while_the_gateway_was_away_is_removed_when_it_is_back(tmp_path: Path) -> None:
    async with embedded() as gateway, house(tmp_path / "home", gateway.url) as bridge:
        await eventually(lambda: bridge.stage.operator.is_open)
        await bridge.pair(IPHONE)
        await gateway.stop()
        await eventually(lambda: not bridge.stage.operator.is_open)
        await bridge.reception.revoke(IPHONE.node_id)
        await gateway.start()
        await eventually(lambda: bridge.store.nodes[IPHONE.node_id].stale_upstream == (), timeout_s=20.0)
