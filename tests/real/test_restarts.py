"""The gateway and the bridge are killed in the middle of traffic: each call has one outcome, everything comes back."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from tests.real.conftest import Estate
from tests.support.iphone import IPhone, PhoneSocket, Refused
from tests.support.model_server import say
from tests.support.operator import Operator, OperatorError
from tests.support.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.real]

BACK_S = 15.0  # seconds within which nodes work again


async def _invoke(agent: Operator, node_id: str, key: str) -> dict[str, Any]:
    params = {"nodeId": node_id, "command": "device.info", "params": {}, "idempotencyKey": key, "timeoutMs": 8_000}
    answer: dict[str, Any] = await agent.request("node.invoke", params, timeout_s=20)
    return answer


async def _outcome(agent: Operator, node_id: str, key: str) -> str:
    try:
        return "ok" if (await _invoke(agent, node_id, key))["ok"] else "failed"
    except OperatorError as exc:
        return exc.code
    except (ConnectionError, TimeoutError) as exc:
        return type(exc).__name__


async def _works(estate: Estate, node_id: str) -> bool:
    async with estate.operator() as agent:
        return await _outcome(agent, node_id, f"again-{time.monotonic_ns()}") == "ok"


async def test_the_gateway_is_killed_in_mid_traffic(estate: Estate) -> None:
    phone = estate.phone("Steady phone")
    async with await estate.invite(phone, "voice", "device", "nodes") as node:
        node_id = await estate.gateway_id(phone, "device.info")
        node.silent.add("device.info")
        async with estate.operator() as agent:
            loop = asyncio.get_running_loop()
            calls = [loop.create_task(_outcome(agent, node_id, f"g-{n}")) for n in range(10)]
            await eventually(lambda: _asked(node) >= 10, what="ten invokes at the phone")
            await estate.gateway.kill()
            outcomes = await asyncio.gather(*calls)
        assert all(outcome != "ok" for outcome in outcomes)
        started = time.monotonic()
        answer = await node.request("node.list", {})
        assert time.monotonic() - started < 1
        assert (answer["error"]["code"], answer["error"]["retryable"]) == ("UNAVAILABLE", True)
        assert (await node.request("health"))["payload"]["ok"] is True
        assert node.closed is None
        status = await estate.bridge.ask(estate.bridge.client.status)
        assert status.gateway.state in {"down", "connecting"}
        await estate.gateway.start()
        ready = time.monotonic()
        node.silent.clear()
        node.handlers["device.info"] = lambda _: {"name": "Steady phone"}
        await eventually(lambda: _works(estate, node_id), timeout_s=BACK_S * 5, step_s=0.2, what="works again")
        assert time.monotonic() - ready < BACK_S
        assert node.closed is None
        assert await estate.bridge.ask(estate.bridge.client.pending) == []
        late = {"id": "an-invoke-of-the-old-gateway", "nodeId": phone.node_id, "ok": True}
        assert (await node.request("node.invoke.result", late))["payload"] == {"ok": True, "ignored": True}


def _asked(node: PhoneSocket) -> int:
    return sum(frame.get("event") == "node.invoke.request" for frame in node.frames)


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
    async with await estate.invite(phone, "device") as node:
        node_id = await estate.gateway_id(phone, "device.info")
        node.silent.add("device.info")
        async with estate.operator() as agent:
            loop = asyncio.get_running_loop()
            calls = [loop.create_task(_outcome(agent, node_id, f"b-{n}")) for n in range(10)]
            await eventually(lambda: _asked(node) >= 10, what="ten invokes at the phone")
            await estate.bridge.kill()
            outcomes = await asyncio.gather(*calls)
            assert outcomes == ["UNAVAILABLE"] * 10
    started = time.monotonic()
    await estate.bridge.start()
    again = await _reconnect(estate, phone)
    try:
        again.handlers["device.info"] = lambda _: {"name": "Patient phone"}
        await eventually(lambda: _works(estate, node_id), timeout_s=BACK_S * 5, step_s=0.2, what="works again")
        assert time.monotonic() - started < BACK_S
    finally:
        await again.close()
    assert await estate.bridge.ask(estate.bridge.client.pending) == []


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
        await estate.bridge.settled(phone.node_id, "camera.snap", timeout_s=60)


async def _withheld(estate: Estate, node_id: str, names: list[str]) -> bool:
    detail = await estate.bridge.ask(lambda: estate.bridge.client.node(node_id))
    return detail.withheld == names
