"""Attacks E5, E8 and J3, and phones that are asleep or away: every call has one outcome, and one key is one deed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import pytest_asyncio

from bridge.control.requests import RevokeBody
from bridge.upstream.idempotency import caller_owner, node_owner
from gateway_client.frames import JsonObject, Response, object_of
from tests.attacks.fortress import Fortress
from tests.attacks.workers import Worker, a_key, allow_commands, worker, written
from tests.support.operator import operator
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

BACKGROUND = "NODE_BACKGROUND_UNAVAILABLE"
AT_ONCE_S = 1.0
LOUD = frozenset({"node.invoke", "node.invoke.result", "node.list", "node.pair.list", "connect", "health"})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hand(castle: Fortress) -> Worker:
    """A node that does as it is asked."""
    allow_commands(castle)
    return await worker(castle)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def other(castle: Fortress, hand: Worker) -> Worker:
    """Another one."""
    return await worker(castle)


async def calls(node: Any, worker: Worker, key: str, **params: Any) -> Response:
    """The node calls itself, as a LAN caller with the permission `nodes` may."""
    asked: JsonObject = {"nodeId": worker.node_id, "command": "device.info", "idempotencyKey": key, "params": params}
    answer: Response = await node.request("node.invoke", asked)
    return answer


def code(answer: Response) -> str | None:
    return answer.error.code if answer.error is not None else None


class TestE8OneKeyIsOneDeed:
    """What the agent asks of a node.

    Guards: `NodeInvokes._asked_before` (without the ledger the second one is done again; without the open jobs fifty
    are), the fingerprint in `Ledger.look`, the owner in `memo_of`, `CallMemory.recall`.
    """

    async def test_twice(self, castle: Fortress, hand: Worker) -> None:
        key, before = a_key(), len(hand.ran)
        async with castle.unharmed(heard=LOUD), hand.here():
            first = await hand.invoked(key)
            assert await hand.invoked(key) == first == {"count": before + 1}
            assert len(hand.ran) == before + 1
            assert await hand.invoked(a_key()) == {"count": before + 2}  # another key is another deed

    async def test_fifty_in_parallel(self, castle: Fortress, hand: Worker) -> None:
        key, before = a_key(), len(hand.ran)
        hand.free.clear()
        async with castle.unharmed(heard=LOUD), hand.here():
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(hand.invoked(key)) for _ in range(50)]
                await eventually(lambda: len(castle.events("invoke-shared")) >= 49, what="49 that share")
                hand.free.set()
            assert [one.result() for one in asked] == [{"count": before + 1}] * 50
            assert len(hand.ran) == before + 1

    async def test_with_another_payload(self, castle: Fortress, hand: Worker) -> None:
        key, before = a_key(), len(hand.ran)
        async with castle.unharmed(heard=LOUD), hand.here():
            await hand.invoked(key, params={"a": 1, "b": 2})
            assert await hand.invoked(key, params={"a": 2, "b": 2}) == "CONFLICT"
            assert await hand.invoked(key, "screen.show", params={"a": 1, "b": 2}) == "CONFLICT"
            assert await hand.invoked(key, params={"b": 2, "a": 1}) == {"count": before + 1}
            assert len(hand.ran) == before + 1

    async def test_after_a_reconnect_and_while_it_is_away(self, castle: Fortress, hand: Worker) -> None:
        key, before = a_key(), len(hand.ran)
        async with hand.here():
            await hand.invoked(key)
        await castle.bridge.node_in(hand.node_id, "offline")
        assert await hand.invoked(key) == {"count": before + 1}
        async with hand.here():
            assert await hand.invoked(key) == {"count": before + 1}
            assert len(hand.ran) == before + 1

    async def test_the_key_of_another_node(self, castle: Fortress, hand: Worker, other: Worker) -> None:
        key, before = a_key(), (len(hand.ran), len(other.ran))
        async with castle.unharmed(heard=LOUD), hand.here(), other.here():
            await hand.invoked(key)
            assert await other.invoked(key) == {"count": before[1] + 1}
            assert (len(hand.ran), len(other.ran)) == (before[0] + 1, before[1] + 1)

    @pytest.mark.parametrize("how", ["stop", "kill"])
    async def test_after_a_restart_of_the_bridge(self, castle: Fortress, hand: Worker, how: str) -> None:
        """Red without `recall`: the key would be free after every restart."""
        mine, theirs, before = a_key(), a_key(), len(hand.ran)
        async with hand.here() as node:
            await hand.invoked(mine)
            assert (await calls(node, hand, theirs)).ok
            if how == "kill":
                await written(castle, (node_owner(hand.node_id), mine), (caller_owner(hand.node_id), theirs))
            await (castle.bridge.stop() if how == "stop" else castle.bridge.kill())
        await castle.bridge.start()
        await castle.bridge.connected()
        frames = len(hand.upstream())
        async with hand.here() as node:
            assert await hand.invoked(mine) == {"count": before + 1}
            assert (await calls(node, hand, theirs)).ok
            assert (len(hand.ran), len(hand.upstream())) == (before + 2, frames)
            assert await hand.invoked(a_key()) == {"count": before + 3}


class TestE8OneCallAtTheGateway:
    """What a phone with the permission `nodes` asks of a node. Guards: `LanInvokes._share`, `_made_before`, `_memo`."""

    async def test_twice_and_after_a_reconnect(self, castle: Fortress, hand: Worker) -> None:
        key, frames, before = a_key(), len(hand.upstream()), len(hand.ran)
        async with hand.here() as node:
            first = await calls(node, hand, key)
            second = await calls(node, hand, key)
            assert (first.ok, first.payload) == (second.ok, second.payload) == (True, first.payload)
        async with hand.here() as node:
            assert (await calls(node, hand, key)).payload == first.payload
            assert (len(hand.upstream()) - frames, len(hand.ran) - before) == (1, 1)
            await calls(node, hand, a_key())
            assert (len(hand.upstream()) - frames, len(hand.ran) - before) == (2, 2)

    async def test_in_parallel(self, castle: Fortress, hand: Worker) -> None:
        key, frames, before = a_key(), len(hand.upstream()), len(hand.ran)
        hand.free.clear()
        async with castle.unharmed(heard=LOUD), hand.here() as node:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(calls(node, hand, key)) for _ in range(30)]
                await eventually(lambda: len(hand.ran) > before, what="it works")
                hand.free.set()
            assert {str(one.result().payload) for one in asked} == {str(asked[0].result().payload)}
            assert all(one.result().ok for one in asked)
            assert (len(hand.upstream()) - frames, len(hand.ran) - before) == (1, 1)

    async def test_with_another_payload(self, castle: Fortress, hand: Worker) -> None:
        key, frames, before = a_key(), len(hand.upstream()), len(hand.ran)
        async with castle.unharmed(heard=LOUD), hand.here() as node:
            assert (await calls(node, hand, key, a=1)).ok
            assert code(await calls(node, hand, key, a=2)) == "CONFLICT"
            assert (len(hand.upstream()) - frames, len(hand.ran) - before) == (1, 1)

    async def test_the_key_of_another_caller(self, castle: Fortress, hand: Worker, other: Worker) -> None:
        key, before = a_key(), (len(hand.ran), len(other.ran))
        async with castle.unharmed(heard=LOUD), hand.here() as one, other.here() as two:
            assert (await calls(one, hand, key)).ok
            assert (await calls(two, other, key, a=2)).ok
            assert (len(hand.ran) - before[0], len(other.ran) - before[1]) == (1, 1)
        sent = [str(call["params"]["idempotencyKey"]) for call in castle.tap.sent_up("node.invoke")]
        assert key not in sent  # what travels is a hash of caller and key


class TestE5ResultsThatAreNotOnesOwn:
    """Guard: the table of open dispatches is the socket's own; with one for all, the first case reaches B's caller."""

    async def test_for_another_s_invoke_for_none_twice_and_too_late(
        self, castle: Fortress, hand: Worker, other: Worker
    ) -> None:
        before, log = len(other.ran), len(castle.bridge.log_lines())
        other.free.clear()
        async with castle.unharmed(heard=LOUD), hand.here() as liar, other.here() as victim:
            asked = asyncio.get_running_loop().create_task(other.invoked(a_key(), timeoutMs=20_000))
            await eventually(lambda: len(other.ran) > before, what="B works")
            issued = _dispatched(castle, other)
            for invoke_id in (issued, "of-nobody"):
                assert await _claims(liar, hand, invoke_id) == {"ok": True, "ignored": True}
                chunk: JsonObject = {"invokeId": invoke_id, "nodeId": hand.node_id, "seq": 0, "chunk": "planted"}
                assert (await liar.request("node.invoke.progress", chunk)).payload == {"ok": True, "ignored": True}
            other.free.set()
            assert await asked == {"count": before + 1}
            assert await _claims(victim, other, issued) == {"ok": True, "ignored": True}
            other.free.clear()
            assert await other.invoked(a_key(), timeoutMs=300) == "TIMEOUT"
            assert await _claims(victim, other, _dispatched(castle, other)) == {"ok": True, "ignored": True}
            other.free.set()
            await eventually(lambda: len(castle.events("late-result", log)) >= 4, what="counted")
            names = ("node.invoke.result", "node.invoke.progress")
            told = [one["params"] for name in names for one in castle.tap.sent_up(name)]
            assert not [params for params in told if "planted" in str(params)]


async def _claims(node: Any, worker: Worker, invoke_id: str) -> Any:
    """The node says that an invoke has ended."""
    result: JsonObject = {"id": invoke_id, "nodeId": worker.node_id, "ok": True, "payload": {"planted": True}}
    return (await node.request("node.invoke.result", result)).payload


def _dispatched(castle: Fortress, worker: Worker) -> str:
    """The gateway's id of the last invoke of a node."""
    down = [one.frame for one in castle.tap.seen if not one.up and one.frame.get("event") == "node.invoke.request"]
    return [str(frame["payload"]["id"]) for frame in down if frame["payload"]["nodeId"] == worker.gateway_id][-1]


class TestAsleep:
    """Guard: `Wakefulness.can_do`; without it the node is asked."""

    async def test_it_is_answered_for_in_its_own_words(self, castle: Fortress, hand: Worker) -> None:
        before = len(hand.ran)
        async with castle.unharmed(heard=LOUD), hand.here() as node:
            said = await node.event("node.state", {"state": "background", "retryAfterMs": 7_000})
            assert object_of(said.payload)["handled"] is True
            assert (await hand.state())[0] == "background"
            assert await hand.invoked(a_key(), "screen.show") == BACKGROUND
            asked: JsonObject = {"nodeId": hand.node_id, "command": "screen.show", "idempotencyKey": a_key()}
            error = (await node.request("node.invoke", asked)).error
            assert error is not None
            assert (error.code, error.retryable, error.retry_after_ms) == (BACKGROUND, True, 7_000)
            assert error.message.endswith("retry after 7 s")
            assert len(hand.ran) == before
            assert await hand.invoked(a_key()) == {"count": before + 1}  # what needs nobody to look works
            await node.event("node.state", {"state": "background", "screen": True})
            assert await hand.invoked(a_key(), "screen.show") == {}
            await node.event("node.state", {"state": "foreground"})
            assert (await hand.state())[0] == "connected"
            assert await hand.invoked(a_key(), "screen.show") == {}
            assert len(hand.ran) == before + 3


class TestAway:
    """Guards: `Switchboard.leave` (without `Lingering` the gateway is told at once), `Hub._on_record`."""

    async def test_it_is_answered_for_and_finds_its_link_when_it_is_back(self, castle: Fortress, hand: Worker) -> None:
        async with hand.here():
            pass
        await castle.bridge.node_in(hand.node_id, "offline")
        before, connects = len(hand.ran), len(castle.tap.sent_up("connect"))
        assert await hand.state() == ("offline", True)
        assert await hand.connected_at_gateway()
        assert await hand.invoked(a_key(), "screen.show") == BACKGROUND
        assert await hand.invoked(a_key()) == "NODE_DISCONNECTED"
        async with hand.here():
            assert await hand.state() == ("connected", False)
            assert await hand.invoked(a_key(), "screen.show") == {}
        assert (len(hand.ran), len(castle.tap.sent_up("connect"))) == (before + 1, connects)

    async def test_what_it_was_doing_when_it_went_has_one_end(self, castle: Fortress, hand: Worker) -> None:
        key, before = a_key(), len(hand.ran)
        hand.free.clear()
        async with hand.here():
            asked = asyncio.get_running_loop().create_task(hand.invoked(key))
            await eventually(lambda: len(hand.ran) > before, what="it works")
        hand.free.set()
        assert await asked == "NODE_DISCONNECTED"
        async with hand.here():
            assert await hand.invoked(key) == "CONFLICT"  # nobody knows whether it was done
            assert len(hand.ran) == before + 1

    async def test_other_permissions_end_it_at_once(self, castle: Fortress) -> None:
        away = await worker(castle)
        await castle.bridge.node_in(away.node_id, "offline")
        assert await away.connected_at_gateway()
        changed = ["device", "screen"]
        await castle.bridge.ask(lambda: castle.bridge.client.set_permissions(away.node_id, changed))
        await eventually(lambda: _gone(away), timeout_s=AT_ONCE_S, what="the link ends")

    async def test_a_revocation_ends_it_at_once(self, castle: Fortress) -> None:
        away = await worker(castle)
        await castle.bridge.node_in(away.node_id, "offline")
        assert await away.connected_at_gateway()
        await castle.bridge.ask(lambda: castle.bridge.client.revoke(RevokeBody(ids=[away.node_id])))
        await eventually(lambda: _gone(away), timeout_s=AT_ONCE_S, what="the link ends")
        assert await away.state() == ("revoked", False)


async def _gone(worker: Worker) -> bool:
    return not await worker.connected_at_gateway()


class TestJ3TheGatewayIsKilled:
    """Fifty calls of two phones are under way: each gets one error, and nothing is sent again by itself."""

    async def test_each_call_has_one_end(self, castle: Fortress, hand: Worker, other: Worker) -> None:
        before = len(hand.ran) + len(other.ran)
        hand.free.clear()
        other.free.clear()
        async with hand.here() as one, other.here() as two:
            async with asyncio.TaskGroup() as group:
                asked = [
                    group.create_task(calls(node, worker, a_key()))
                    for node, worker in ((one, hand), (two, other))
                    for _ in range(25)
                ]
                await eventually(lambda: len(hand.ran) + len(other.ran) == before + 16, what="both have all hands full")
                await castle.gateway.kill()
                async with asyncio.timeout(5 * AT_ONCE_S):
                    await asyncio.wait(asked)
            assert [code(one.result()) for one in asked] == ["UNAVAILABLE"] * 50
            await castle.gateway.start()
            await castle.bridge.connected()
            hand.free.set()
            other.free.set()
            await castle.bridge.settled(hand.node_id, "device.info")
            assert len(hand.ran) + len(other.ran) == before + 16
        async with operator(castle.gateway.url, castle.secrets[0]) as castle.operator, castle.unharmed(heard=LOUD):
            pass  # the former witness has gone with the gateway
