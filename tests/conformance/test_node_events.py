"""`node.event` and the other methods of the role node: the answer to each, and what it sets off."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conformance.target import REPLY, Target
from tests.conformance.wire import ABSENT, Json, Wire, new_identity

pytestmark = pytest.mark.asyncio(loop_scope="session")


@contextlib.asynccontextmanager
async def approved(gateway: Target) -> AsyncIterator[tuple[Wire, str]]:
    async with gateway.operator() as operator, gateway.approved_node(operator) as found:
        yield found


OK: Json = {"ok": True}


def handled(reason: str, *, yes: bool) -> Json:
    return {"ok": True, "handled": yes, "reason": reason}


STATS = {"cpuCount": 6, "memoryTotalBytes": 8_000, "memoryFreeBytes": 2_000}
# event -> its parameters beside the name, and the answer (without the event's name).
EVENTS: dict[str, tuple[str, Json, Json]] = {
    "an unknown event": ("bogus", {}, handled("unsupported_event", yes=False)),
    "voice.wake is unknown": ("voice.wake", {"payload": {}}, handled("unsupported_event", yes=False)),
    "the bridge's own event is unknown": ("node.state", {"payload": {}}, handled("unsupported_event", yes=False)),
    "presence": ("node.presence.alive", {"payload": {"trigger": "background"}}, handled("persisted", yes=True)),
    "presence without a payload": ("node.presence.alive", {}, handled("invalid_payload", yes=False)),
    "presence with bad JSON": ("node.presence.alive", {"payloadJSON": "x"}, handled("invalid_payload", yes=False)),
    "activity of a phone": (
        "node.presence.activity", {"payload": {"idleSeconds": 1}}, handled("permission_required", yes=False),
    ),
    "host stats": ("node.host.stats", {"payload": STATS}, handled("updated", yes=True)),
    "empty host stats": ("node.host.stats", {"payload": {}}, handled("invalid_payload", yes=False)),
    "exec nobody asked for": (
        "exec.finished", {"payload": {"sessionKey": "main", "runId": "r"}}, handled("unmatched_exec_event", yes=False),
    ),
    "exec without a payload": ("exec.finished", {}, OK),
    "a blank transcript": ("voice.transcript", {"payload": {"text": " "}}, OK),
    "a transcript that is too long": ("voice.transcript", {"payload": {"text": "x" * 20_001}}, OK),
    "an empty request": ("agent.request", {"payload": {"message": ""}}, OK),
    "a notification": ("notifications.changed", {"payload": {"change": "posted"}}, OK),
    "a push registration": ("push.apns.register", {"payload": {}}, OK),
    "chat.subscribe": ("chat.subscribe", {"payload": {"sessionKey": "main"}}, OK),
    "chat.unsubscribe": ("chat.unsubscribe", {"payload": {"sessionKey": "main"}}, OK),
}  # fmt: skip


@pytest.mark.parametrize("name", EVENTS)
async def test_event_is_answered(gateway: Target, name: str) -> None:
    event, params, answer = EVENTS[name]
    async with approved(gateway) as (node, _):
        got = await node.ok("node.event", {"event": event, **params})
    assert got == (answer if answer == OK else {**answer, "event": event})


async def test_presence_is_written_once_a_minute(gateway: Target) -> None:
    async with approved(gateway) as (node, _):
        params = {"event": "node.presence.alive", "payloadJSON": json.dumps({"trigger": "background"})}
        reasons = [(await node.ok("node.event", params))["reason"] for _ in range(2)]
    assert reasons == ["persisted", "throttled"]


BAD_EVENTS: dict[str, Any] = {
    "no event": {},
    "an empty name": {"event": ""},
    "an unknown member": {"event": "bogus", "z": 1},
    "payloadJSON null": {"event": "bogus", "payloadJSON": None},
    "payloadJSON an object": {"event": "bogus", "payloadJSON": {}},
    "a list": [],
}


@pytest.mark.parametrize("name", BAD_EVENTS)
async def test_malformed_event_is_refused(gateway: Target, name: str) -> None:
    async with approved(gateway) as (node, _):
        error = await node.error("node.event", BAD_EVENTS[name])
    assert error["code"] == "INVALID_REQUEST"
    assert error["message"].startswith("invalid node.event params: ")


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("node.event", {"event": "bogus"}),
        ("node.event", {"event": "voice.transcript", "payload": {"text": "x"}}),
        ("node.pending.pull", {}),
        ("node.pending.ack", {"ids": ["x"]}),
        ("node.pending.drain", {}),
    ],
)
async def test_nothing_is_taken_before_the_surface_is_approved(gateway: Target, method: str, params: Json) -> None:
    async with gateway.node() as (node, _):
        error = await node.error(method, params)
    assert (error["code"], error["retryable"]) == ("UNAVAILABLE", True)
    assert error["details"] == {"code": "PAIRING_CHANGED"}


async def test_what_a_node_may_publish_before_approval(gateway: Target) -> None:
    async with gateway.node() as (node, node_id):
        assert await node.ok("node.skills.update", {"skills": []}) == {"nodeId": node_id, "skills": []}
        assert await node.ok("node.pluginTools.update", {"tools": []}) == {"nodeId": node_id, "tools": []}
        assert "bins" in await node.ok("skills.bins", {})
        assert (await node.ok("health"))["ok"] is True
        inventory = {"protocolFeatures": ["node-worker-supervisor-v6"], "workerHost": {"enabled": False}}
        error = await node.error("node.runnerInventory.update", inventory)
        assert (error["code"], error["message"]) == ("INVALID_REQUEST", "unknown nodeId")
        surface = await node.error("node.pluginSurface.refresh", {"surface": "canvas"})
        assert (surface["code"], surface["message"]) == ("UNAVAILABLE", "canvas plugin surface unavailable")


async def test_pending_methods_of_an_approved_node(gateway: Target) -> None:
    async with approved(gateway) as (node, node_id):
        assert await node.ok("node.pending.pull") == {"nodeId": node_id, "actions": []}
        acked = await node.ok("node.pending.ack", {"ids": ["x", "x"]})
        assert acked == {"nodeId": node_id, "ackedIds": ["x"], "remainingCount": 0}
        drained = await node.ok("node.pending.drain", {})
        assert [item["type"] for item in drained["items"]] == ["status.request"]
        for method, params in (
            ("node.pending.pull", {"x": 1}),
            ("node.pending.ack", {"ids": []}),
            ("node.pending.ack", {"ids": [""]}),
            ("node.pending.drain", {"maxItems": 0}),
            ("node.pending.drain", {"maxItems": 11}),
            ("node.skills.update", {"skills": [{"name": "x"}]}),
            ("node.skills.update", {}),
        ):
            assert (await node.error(method, params))["code"] == "INVALID_REQUEST"


OPERATOR_METHODS = ["status", "node.list", "node.invoke", "config.get", "chat.send", "agent", "no.such.method"]


@pytest.mark.parametrize("method", OPERATOR_METHODS)
async def test_operator_method_is_not_for_nodes(gateway: Target, method: str) -> None:
    async with gateway.node() as (node, _):
        error = await node.error(method, {})
    assert error == {"code": "INVALID_REQUEST", "message": "unauthorized role: node"}


async def test_eleven_unauthorized_calls_in_a_row_close_the_socket(gateway: Target) -> None:
    async with gateway.node() as (node, _):
        for _ in range(10):
            await node.error("status", {})
        await node.ok("health")
        for _ in range(11):
            await node.error("status", {})
        assert await node.closed() == (1008, "repeated unauthorized calls")


async def test_bad_frames_after_hello_are_answered_and_noise_is_ignored(gateway: Target) -> None:
    frames: list[tuple[Any, str]] = [
        ({"type": "req", "id": "q"}, "q"),
        ({"type": "req", "id": "q2", "method": "health", "z": 1}, "q2"),
        ({"type": "res", "id": "q3", "ok": True}, "q3"),
        ([], "invalid"),
        ({"type": "event", "event": "x"}, "invalid"),
    ]
    async with gateway.node() as (node, _):
        for noise in ("garbage", b"\xff\xfe", ""):
            await node.send(noise)
        for frame, identifier in frames:
            await node.send(frame)
            answer = await node.answer(identifier)
            assert answer["error"]["code"] == "INVALID_REQUEST"
            assert answer["error"]["message"].startswith("invalid request frame: ")
        assert (await node.ok("health"))["ok"] is True


async def test_binary_requests_are_answered_in_text(gateway: Target) -> None:
    async with approved(gateway) as (node, _):
        await node.send(json.dumps({"type": "req", "id": "b", "method": "health"}), binary=True)
        assert (await node.answer("b"))["ok"] is True
        await node.send({"type": "req", "id": "t", "method": "health"})
        assert isinstance(await node.socket.recv(), str)


async def test_large_result_is_taken_and_an_oversized_frame_closes(gateway: Target) -> None:
    async with approved(gateway) as (node, node_id):
        big = {"id": "late", "nodeId": node_id, "ok": True, "payloadJSON": json.dumps("x" * 10_000_000)}
        assert await node.ok("node.invoke.result", big) == {"ok": True, "ignored": True}
        await node.send("x" * 26_214_401)
        assert (await node.closed())[0] == 1009


async def test_voice_wake_words_come_after_hello_and_on_change(gateway: Target) -> None:
    async with gateway.operator() as operator, gateway.node() as (node, _):
        first = await node.event("voicewake.changed")
        routing = await node.event("voicewake.routing.changed")
        changed = await operator.ok("voicewake.set", {"triggers": ["hey bridge", " "]})
        again = await node.event("voicewake.changed")
        back = await operator.ok("voicewake.set", {"triggers": []})
        assert await operator.ok("voicewake.get", {}) == back
    assert "seq" not in first
    assert first["payload"]["triggers"]
    assert set(routing["payload"]) == {"config"}
    assert changed == again["payload"] == {"triggers": ["hey bridge"]}
    assert back["triggers"] == first["payload"]["triggers"]


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("voice.transcript", {"text": "what time is it", "sessionKey": "main", "eventId": "v1"}),
        ("agent.request", {"message": "what time is it", "sessionKey": "main"}),
    ],
)
async def test_speech_starts_an_agent_turn(gateway: Target, event: str, payload: Json) -> None:
    async with gateway.operator() as operator, gateway.approved_node(operator) as (node, _):
        assert await node.ok("node.event", {"event": event, "payload": payload}) == OK
        final = await operator.event("chat", lambda body: body.get("state") == "final")
    assert final["payload"]["sessionKey"] == "agent:main:main"
    assert REPLY in json.dumps(final["payload"]["message"])


async def test_node_that_subscribed_sees_the_conversation(gateway: Target) -> None:
    identity = new_identity()
    async with gateway.operator() as operator, gateway.approved_node(operator, identity) as (node, node_id):
        await node.ok("node.event", {"event": "chat.subscribe", "payload": {"sessionKey": "main"}})
        turn = {"message": "hello", "sessionKey": "main", "idempotencyKey": node_id}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(operator.ask("agent", turn))
            final = await node.event("chat", lambda body: body.get("state") == "final")
    assert (final["payload"]["runId"], final["payload"]["sessionKey"]) == (node_id, "agent:main:main")
    assert "seq" not in final
    assert ABSENT not in final.values()
