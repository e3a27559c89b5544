"""The foreground queue, two sockets of one node, the agent's own calls, an approval while connected."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.calls import COMMANDS, answering, invoke
from tests.conformance.target import Target, approve_surface
from tests.conformance.wire import Json, new_identity

pytestmark = pytest.mark.asyncio(loop_scope="session")


BACKGROUND = [
    ("screen.show", {"code": "NODE_BACKGROUND_UNAVAILABLE", "message": "bg"}),
    ("talk.ptt.start", {"code": "UNAVAILABLE", "message": "in BACKGROUND_UNAVAILABLE state"}),
]


@pytest.mark.parametrize(("command", "error"), BACKGROUND)
async def test_foreground_command_of_an_ios_node_is_queued(gateway: Target, command: str, error: Json) -> None:
    async with gateway.operator() as operator, gateway.approved_node(operator, commands=COMMANDS) as (node, node_id):
        call = {"nodeId": node_id, "command": command, "params": {"a": 1}}
        first, _ = await invoke(operator, node, call, answering(node, ok=False, error=error))
        again, _ = await invoke(operator, node, call, answering(node, ok=False, error=error))
        pulled = await node.ok("node.pending.pull", {})
        (action,) = pulled["actions"]
        acked = await node.ok("node.pending.ack", {"ids": [action["id"]]})
        left = await node.ok("node.pending.pull", {})
    assert first["error"]["code"] == "UNAVAILABLE"
    assert first["error"]["retryable"] is True
    details = first["error"]["details"]
    assert (details["code"], details["nodeError"], details["command"]) == ("QUEUED_UNTIL_FOREGROUND", error, command)
    assert details["wake"] == {"path": "no-registration", "available": False, "throttled": False}
    assert again["error"]["details"]["queuedActionId"] == details["queuedActionId"] == action["id"]
    assert (action["command"], action["paramsJSON"]) == (command, '{"a":1}')
    assert acked == {"nodeId": node_id, "ackedIds": [action["id"]], "remainingCount": 0}
    assert left["actions"] == []


async def test_foreground_command_of_an_android_node_is_not_queued(gateway: Target) -> None:
    about = {"id": "openclaw-android", "platform": "Android 15", "deviceFamily": "Android"}
    async with (
        gateway.operator() as operator,
        gateway.approved_node(operator, about=about, commands=COMMANDS) as (node, node_id),
    ):
        error = {"code": "NODE_BACKGROUND_UNAVAILABLE", "message": "bg"}
        call = {"nodeId": node_id, "command": "screen.show"}
        answer, _ = await invoke(operator, node, call, answering(node, ok=False, error=error))
    assert answer["error"]["details"] == {"nodeError": error, "nodeCommandDispatched": True}


async def test_second_socket_of_a_node_takes_over_and_the_first_stays_open(gateway: Target) -> None:
    identity = new_identity()
    async with gateway.operator() as operator, gateway.approved_node(operator, identity, commands=COMMANDS) as (old, _):
        async with gateway.node(identity, commands=COMMANDS) as (new, node_id):
            for method, params in (("node.event", {"event": "x"}), ("node.pending.pull", {}), ("health", {})):
                error = await old.error(method, params)
                assert (error["code"], error["retryable"]) == ("UNAVAILABLE", True)
                assert error["details"] == {"code": "PAIRING_CHANGED"}
            call = {"nodeId": node_id, "command": "device.info"}
            answer, seen = await invoke(operator, new, call, answering(new, ok=True))
        assert answer["ok"]
        assert len(seen) == 1
        assert old.socket.close_code is None
        assert not [frame for frame in old.kept if frame.get("event") == "node.invoke.request"]


async def test_agent_of_the_gateway_invokes_a_node(gateway: Target) -> None:
    async with gateway.operator() as operator, gateway.approved_node(operator, commands=COMMANDS) as (node, node_id):
        gateway.next_turn_invokes(node_id, "screen.navigate", {"url": "https://example.com/"})
        turn = {"message": "open example.com", "sessionKey": "main", "idempotencyKey": node_id}
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(operator.ask("agent", turn))
            request = (await node.event("node.invoke.request"))["payload"]
            await answering(node, ok=True, payload={"url": "https://example.com/"})(request)
    assert (request["command"], request["paramsJSON"]) == ("screen.navigate", '{"url":"https://example.com/"}')
    assert request["sessionKey"] == "agent:main:main"
    assert asking.result()["payload"]["status"] == "ok"


async def test_surface_approved_while_connected_is_effective_at_once(gateway: Target) -> None:
    async with gateway.operator() as operator, gateway.node(commands=COMMANDS) as (node, node_id):
        await approve_surface(operator, node_id)
        resolved = await node.event("node.pair.resolved")
        call = {"nodeId": node_id, "command": "device.info"}
        answer, _ = await invoke(operator, node, call, answering(node, ok=True))
    assert (resolved["payload"]["nodeId"], resolved["payload"]["decision"]) == (node_id, "approved")
    assert "seq" not in resolved
    assert answer["ok"]
