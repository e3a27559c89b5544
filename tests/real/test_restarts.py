"""The gateway and the bridge are killed in the middle of traffic: each call has one outcome, everything comes back."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import Any

import pytest

from bridge.upstream.dispatches import RUNNING
from tests.real.conftest import Estate
from tests.support.iphone import IPhone, PhoneSocket, Refused
from tests.support.model_server import say
from tests.support.operator import Operator, OperatorError
from tests.support.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.real]

BACK_S = 15.0  # seconds within which nodes work again
LONG_S = 90  # seconds that an invoke may take: longer than it takes to be back
KILL_S = 1.0  # seconds that killing a process and noticing it may take on a busy machine


async def _invoke(agent: Operator, node_id: str, key: str, timeout_s: int = 8) -> dict[str, Any]:
    params: dict[str, Any] = {"nodeId": node_id, "command": "device.info", "params": {}, "idempotencyKey": key}
    params["timeoutMs"] = timeout_s * 1000
    answer: dict[str, Any] = await agent.request("node.invoke", params, timeout_s=timeout_s + 12)
    return answer


async def _outcome(agent: Operator, node_id: str, key: str, timeout_s: int = 8) -> str:
    try:
        return "ok" if (await _invoke(agent, node_id, key, timeout_s))["ok"] else "failed"
    except OperatorError as exc:
        return exc.code
    except (ConnectionError, TimeoutError) as exc:
        return type(exc).__name__


async def _works(estate: Estate, node_id: str) -> bool:
    try:
        async with estate.operator() as agent:
            return await _outcome(agent, node_id, f"again-{time.monotonic_ns()}") == "ok"
    except OperatorError:  # the gateway is still starting
        return False


async def test_the_gateway_is_killed_in_mid_traffic(estate: Estate) -> None:
    phone = estate.phone("Steady phone")
    async with await estate.invite(phone, "voice", "chat", "device", "nodes") as node:
        node_id = await estate.gateway_id(phone, "device.info")
        node.silent.add("device.info")
        async with estate.operator() as agent:
            loop = asyncio.get_running_loop()
            invokes = [loop.create_task(_outcome(agent, node_id, f"g-{n}", LONG_S)) for n in range(10)]
            await eventually(lambda: len(_asked(node)) >= RUNNING, what="the phone has its hands full")
            calls = await _calls_in_flight(estate, node)
            await estate.gateway.kill()
            killed = time.monotonic()
            await eventually(lambda: all(_answers(node, one)[-1:] for one in calls), timeout_s=5, what="all answered")
            assert time.monotonic() - killed < 1 + KILL_S
            outcomes = await asyncio.gather(*invokes)
            _one_answer_each(agent.frames)
        assert set(outcomes) == {"CLOSED"}
        for request_id in calls[:-1]:
            (answer,) = _answers(node, request_id)
            assert (answer["error"]["code"], answer["error"]["retryable"]) == ("UNAVAILABLE", True), answer
        accepted, final = _answers(node, calls[-1])  # an agent's turn has two answers
        assert (accepted["payload"]["status"], final["ok"], final["error"]["code"]) == (
            "accepted",
            False,
            "UNAVAILABLE",
        )
        await _calls_fail_fast(estate, node)
        old = [frame["payload"]["id"] for frame in _asked(node)]
        assert len(old) == RUNNING  # what waited for its turn never reaches the phone
        started = await _start_gateway(estate)
        node.silent.clear()
        node.handlers["device.info"] = lambda _: {"name": "Steady phone"}
        await eventually(lambda: _works(estate, node_id), timeout_s=BACK_S * 5, step_s=0.2, what="works again")
        assert time.monotonic() - started < BACK_S
        assert node.closed is None
        assert await estate.bridge.ask(estate.bridge.client.pending) == []
        await _late_results_are_dropped(estate, node, old)
        assert [len(_answers(node, one)) for one in calls] == [1] * (len(calls) - 1) + [2]


async def _calls_in_flight(estate: Estate, node: PhoneSocket) -> list[str]:
    """Leaves calls of the phone unanswered at the gateway, the last of them an agent's turn; returns their ids."""
    estate.model.may_answer.clear()
    wait = [await node.send("agent.wait", {"runId": f"no-run-{n}", "timeoutMs": 25_000}) for n in range(5)]
    turn = await node.send("agent", {"message": "Think for long", "sessionKey": "main", "idempotencyKey": "g-turn"})
    await eventually(lambda: len(estate.tap.sent_up("agent.wait")) >= 5, what="calls at the gateway")
    await eventually(lambda: _answers(node, turn), timeout_s=30, what="the turn is accepted")
    assert not any(_answers(node, one) for one in wait)
    return [*wait, turn]


def _answers(node: PhoneSocket, request_id: str) -> list[dict[str, Any]]:
    return [frame for frame in node.frames if frame["type"] == "res" and frame["id"] == request_id]


def _one_answer_each(frames: list[dict[str, Any]]) -> None:
    counts = Counter(frame["id"] for frame in frames if frame["type"] == "res")
    assert {request_id: count for request_id, count in counts.items() if count > 1} == {}


async def _calls_fail_fast(estate: Estate, node: PhoneSocket) -> None:
    """What a phone gets while the gateway is away."""
    started = time.monotonic()
    answer = await node.request("node.list", {})
    assert time.monotonic() - started < 1
    assert (answer["error"]["code"], answer["error"]["retryable"]) == ("UNAVAILABLE", True)
    assert (await node.request("health"))["payload"]["ok"] is True
    assert node.closed is None
    status = await estate.bridge.ask(estate.bridge.client.status)
    assert status.gateway.state in {"down", "connecting"}


async def _start_gateway(estate: Estate) -> float:
    """Starts the gateway again; returns when it first took a connection, before it is ready itself."""
    estate.model.may_answer.set()
    await estate.gateway.start(ready=False)

    async def takes_connections() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", estate.gateway.port)
        except OSError:
            return False
        writer.close()
        return True

    await eventually(takes_connections, timeout_s=60, step_s=0.05, what="the gateway's port")
    return time.monotonic()


async def _late_results_are_dropped(estate: Estate, node: PhoneSocket, old: list[str]) -> None:
    """The gateway ended these invokes when it went, or the bridge did: their results have no one to go to."""
    for invoke_id in old:
        late = {"id": invoke_id, "nodeId": node.phone.node_id, "ok": True, "payloadJSON": "{}"}
        assert (await node.request("node.invoke.result", late))["payload"] == {"ok": True, "ignored": True}
    await node.request("voicewake.get", {})
    results = Counter(frame["params"]["id"] for frame in estate.tap.sent_up("node.invoke.result"))
    assert not results.keys() & set(old)
    assert max(results.values(), default=1) == 1


def _asked(node: PhoneSocket) -> list[dict[str, Any]]:
    return [frame for frame in node.frames if frame.get("event") == "node.invoke.request"]


async def test_a_chat_subscription_outlives_the_gateway_s_restart(estate: Estate) -> None:
    phone = estate.phone("Listening phone")
    estate.model.script = say("Still here.")
    async with await estate.invite(phone, "chat", "device") as node:
        await estate.gateway_id(phone, "device.info")
        subscribed = {"event": "chat.subscribe", "payloadJSON": json.dumps({"sessionKey": "main"})}
        assert (await node.request("node.event", subscribed))["ok"]
        before = len(_subscribing(estate))
        await estate.gateway.restart()
        await eventually(lambda: len(_subscribing(estate)) > before, timeout_s=60, what="subscribed again")
        assert node.closed is None
        async with estate.operator() as client:
            await client.request(
                "agent",
                {"message": "Are you there?", "sessionKey": "main", "idempotencyKey": "again-1"},
                final=True,
                timeout_s=60,
            )
            final = await node.event("chat", lambda payload: payload.get("state") == "final", timeout_s=30)
        assert "Still here." in json.dumps(final)


def _subscribing(estate: Estate) -> list[dict[str, Any]]:
    events = [frame["params"] for frame in estate.tap.sent_up("node.event")]
    return [params for params in events if params["event"] == "chat.subscribe"]


async def test_the_bridge_is_killed_in_mid_traffic(estate: Estate) -> None:
    phone = estate.phone("Patient phone")
    async with await estate.invite(phone, "device", "voice", "chat") as node:
        node_id = await estate.gateway_id(phone, "device.info")
        node.silent.add("device.info")
        async with estate.operator() as agent:
            loop = asyncio.get_running_loop()
            calls = [loop.create_task(_outcome(agent, node_id, f"b-{n}", LONG_S)) for n in range(10)]
            await eventually(lambda: len(_asked(node)) >= RUNNING, what="the phone has its hands full")
            before = len(estate.tap.sent_up("agent.wait"))
            waiting = [loop.create_task(_own_call(node, f"no-run-{n}")) for n in range(5)]
            await eventually(lambda: len(estate.tap.sent_up("agent.wait")) == before + 5, what="calls at the gateway")
            await estate.bridge.kill()
            outcomes = await asyncio.gather(*calls)
            assert outcomes == ["UNAVAILABLE"] * 10
            assert await asyncio.gather(*waiting) == ["ConnectionError"] * 5
            _one_answer_each(agent.frames)
        old = [frame["payload"]["id"] for frame in _asked(node)]
        assert len(old) == RUNNING  # what waited for its turn never reaches the phone
    started = time.monotonic()
    await estate.bridge.start()
    again = await _reconnect(estate, phone)
    try:
        again.handlers["device.info"] = lambda _: {"name": "Patient phone"}
        await eventually(lambda: _works(estate, node_id), timeout_s=BACK_S * 5, step_s=0.2, what="works again")
        assert time.monotonic() - started < BACK_S
        await _late_results_are_dropped(estate, again, old)
    finally:
        await again.close()
    assert await estate.bridge.ask(estate.bridge.client.pending) == []


async def _own_call(node: PhoneSocket, run_id: str) -> str:
    try:
        return str(await node.request("agent.wait", {"runId": run_id, "timeoutMs": 20_000}, timeout_s=25))
    except (ConnectionError, TimeoutError) as exc:
        return type(exc).__name__


async def _reconnect(estate: Estate, phone: IPhone) -> PhoneSocket:
    async def attempt() -> PhoneSocket | None:
        try:
            return await estate.socket(phone).__aenter__()
        except (OSError, Refused):
            return None

    return await eventually(attempt, timeout_s=20, step_s=0.2, what="the phone is back")


async def test_a_second_node_socket_takes_over_and_operators_live_side_by_side(estate: Estate) -> None:
    phone = estate.phone("Double phone")
    async with await estate.invite(phone, "device", "chat") as first:
        node_id = await estate.gateway_id(phone, "device.info")
        async with estate.socket(phone) as second:
            assert (await first.wait_closed())[1] == "replaced by a newer connection"
            second.handlers["device.info"] = lambda _: {"socket": 2}
            async with estate.operator() as agent:
                await eventually(lambda: _works(estate, node_id), timeout_s=15, what="the second socket serves")
                assert (await _invoke(agent, node_id, "double"))["payload"] == {"socket": 2}
            one = estate.socket(phone, "operator", scopes=phone.scopes)
            async with one, estate.socket(phone, "operator", scopes=phone.scopes) as two:
                assert (await one.request("health"))["ok"]
                assert (await two.request("health"))["ok"]
                assert one.closed is None


async def test_what_the_gateway_withholds_is_said_with_the_line_that_allows_it(estate: Estate) -> None:
    phone = estate.phone("Camera phone")
    async with await estate.invite(phone, "camera", "screen"):
        detail = await estate.bridge.settled(phone.node_id, "screen.show")
        assert detail.withheld == ["camera.snap"]
        assert detail.allow_line is not None
        assert detail.allow_line.startswith("openclaw config set gateway.nodes.commands.allow ")
        assert '"screen.navigate"' in detail.allow_line
        assert '"camera.snap"' in detail.allow_line
        shown = await estate.bridge.cli("nodes", "show", phone.node_id)
        assert "camera.snap" in shown.stdout
        assert "openclaw config set" in shown.stdout


async def test_narrowed_permissions_reach_the_gateway(estate: Estate) -> None:
    phone = estate.phone("Narrowed phone")
    async with await estate.invite(phone, "device", "screen") as node:
        await estate.bridge.settled(phone.node_id, "screen.show", "device.info")
        done = await estate.bridge.cli("nodes", "permissions", phone.node_id, "device", "--json")
        assert done.returncode == 0, done.stderr
        assert (await node.wait_closed())[0] == 1012
    async with estate.socket(phone):
        detail = await estate.bridge.settled(phone.node_id, "device.info")
        assert not [name for name in detail.effective_commands if name.startswith("screen.")]
        async with estate.operator() as agent:
            rows = (await agent.request("node.list"))["nodes"]
        (row,) = [row for row in rows if row["nodeId"] == detail.gateway_node_id]
        assert not [name for name in row["commands"] if name.startswith("screen.")]


async def test_what_the_owner_allows_later_is_linked_anew(estate: Estate) -> None:
    phone = estate.phone("Later phone")
    estate.gateway.configure(reload=True)
    await estate.gateway.restart()
    await estate.bridge.connected()
    async with await estate.invite(phone, "camera"):
        await estate.gateway_id(phone)
        await eventually(lambda: _withheld(estate, phone.node_id, ["camera.snap"]), timeout_s=30, what="withheld")
        estate.gateway.configure(nodes_commands_allow=("camera.snap",))
        await estate.bridge.settled(phone.node_id, "camera.snap", timeout_s=150)


async def _withheld(estate: Estate, node_id: str, names: list[str]) -> bool:
    detail = await estate.bridge.ask(lambda: estate.bridge.client.node(node_id))
    return detail.withheld == names
