"""The operator's side: scopes, refusals, the agent and the conversation, tick, shutdown."""

from __future__ import annotations

import asyncio
import json
import uuid

import aiohttp
import pytest

from tests.conformance.target import REPLY, Target
from tests.conformance.wire import Json, wire
from tests.support.schema import validate_frame

pytestmark = pytest.mark.asyncio(loop_scope="session")

READ, WRITE, PAIRING, ADMIN = "operator.read", "operator.write", "operator.pairing", "operator.admin"

# method -> the scope that it needs.
SCOPES = {
    "node.list": READ,
    "node.describe": READ,
    "chat.history": READ,
    "sessions.list": READ,
    "agents.list": READ,
    "config.get": READ,
    "voicewake.get": READ,
    "voicewake.routing.get": READ,
    "gateway.identity.get": READ,
    "models.list": READ,
    "talk.config": READ,
    "users.prefs.get": READ,
    "node.invoke": WRITE,
    "agent": WRITE,
    "agent.wait": WRITE,
    "chat.send": WRITE,
    "chat.abort": WRITE,
    "voicewake.set": WRITE,
    "node.pair.list": PAIRING,
    "node.pair.approve": PAIRING,
    "node.pair.reject": PAIRING,
    "node.pair.remove": PAIRING,
    "node.rename": PAIRING,
    "device.pair.list": PAIRING,
    "device.pair.approve": PAIRING,
    "device.pair.reject": PAIRING,
    "device.pair.remove": PAIRING,
    "exec.approval.list": "operator.approvals",
    "system-event": ADMIN,
    "config.set": ADMIN,
    "device.pair.setupCode": ADMIN,
    "no.such.method": ADMIN,
}


@pytest.mark.parametrize("method", SCOPES)
async def test_missing_scope_has_one_shape(gateway: Target, method: str) -> None:
    scope = SCOPES[method]
    others = [item for item in (READ, WRITE, PAIRING) if item != scope and not (scope == READ and item == WRITE)]
    async with gateway.operator(others) as operator:
        error = await operator.error(method, {})
    details = {"code": "MISSING_SCOPE", "missingScope": scope, "requiredScopes": [scope]}
    assert error == {"code": "FORBIDDEN", "message": f"missing scope: {scope}", "details": details}


@pytest.mark.parametrize("scope", [READ, WRITE])
async def test_write_includes_read(gateway: Target, scope: str) -> None:
    async with gateway.operator([scope]) as operator:
        assert "nodes" in await operator.ok("node.list", {})
        assert "triggers" in await operator.ok("voicewake.get", {})


async def test_unknown_method_is_named_to_an_admin(gateway: Target) -> None:
    async with gateway.operator() as operator:
        error = await operator.error("no.such.method", {})
    assert error == {"code": "INVALID_REQUEST", "message": "unknown method: no.such.method"}


@pytest.mark.parametrize("method", ["node.event", "node.invoke.result", "node.pending.pull", "skills.bins"])
async def test_node_method_is_not_for_operators(gateway: Target, method: str) -> None:
    async with gateway.operator() as operator:
        error = await operator.error(method, {})
    assert error == {"code": "INVALID_REQUEST", "message": "unauthorized role: operator"}


MALFORMED: list[tuple[str, Json]] = [
    ("node.list", {"x": 1}),
    ("node.describe", {}),
    ("node.describe", {"nodeId": "unknown"}),
    ("node.pair.list", {"x": 1}),
    ("node.pair.approve", {}),
    ("node.pair.approve", {"requestId": "unknown"}),
    ("node.pair.reject", {"requestId": "unknown"}),
    ("node.pair.remove", {"nodeId": "unknown"}),
    ("node.rename", {"nodeId": "unknown"}),
    ("node.rename", {"nodeId": "unknown", "displayName": ""}),
    ("node.rename", {"nodeId": "unknown", "displayName": " "}),
    ("node.rename", {"nodeId": "unknown", "displayName": "x"}),
    ("device.pair.list", {"x": 1}),
    ("device.pair.approve", {"requestId": "unknown"}),
    ("device.pair.reject", {"requestId": "unknown"}),
    ("device.pair.remove", {"deviceId": "unknown"}),
    ("agent", {"message": "hi"}),
    ("agent", {"message": "", "idempotencyKey": "k"}),
    ("agent", {"message": "hi", "idempotencyKey": "k", "bogus": 1}),
    ("agent.wait", {}),
    ("chat.send", {"sessionKey": "main"}),
    ("chat.send", {"sessionKey": "main", "message": "x"}),
    ("chat.history", {}),
    ("chat.history", {"sessionKey": "main", "limit": 1001}),
    ("chat.abort", {}),
    ("sessions.list", {"bogus": 1}),
    ("agents.list", {"x": 1}),
    ("config.get", {"x": 1}),
    ("voicewake.set", {}),
    ("voicewake.set", {"triggers": "x"}),
    ("agent", {"message": "hi", "idempotencyKey": "k", "agentId": "nobody"}),
    ("agent", {"message": "hi", "idempotencyKey": "k", "sessionKey": "agent:nobody:main"}),
    ("chat.send", {"sessionKey": "main", "message": "", "idempotencyKey": "k"}),
    ("chat.send", {"sessionKey": "main", "message": " ", "idempotencyKey": "k", "attachments": []}),
    ("chat.send", {"sessionKey": "main", "message": "x", "idempotencyKey": "k", "attachments": [1]}),
    ("chat.send", {"sessionKey": "s" * 513, "message": "x", "idempotencyKey": "k"}),
    ("chat.send", {"sessionKey": "agent:nobody:main", "message": "x", "idempotencyKey": "k"}),
    ("chat.send", {"sessionKey": "main", "message": "x", "idempotencyKey": "k", "agentId": "nobody"}),
    ("models.list", {"x": 1}),
    ("models.list", {"view": "x"}),
    ("models.list", {"agentId": "nobody"}),
    ("models.list", {"refresh": True, "preparedOnly": True}),
    ("talk.config", {"x": 1}),
    ("talk.config", {"includeSecrets": 1}),
    ("users.prefs.get", {"x": 1}),
    ("users.prefs.get", {"keys": "x"}),
    ("users.prefs.get", {"keys": [1]}),
    ("node.invoke", {"nodeId": "n", "command": "c", "idempotencyKey": "k", "turnSourceThreadId": [1]}),
    ("node.invoke", {"nodeId": "n", "command": "c", "idempotencyKey": "k", "turnSourceThreadId": True}),
]
SKILL = {"name": "good-name", "description": "d", "content": "c"}
TOOL = {"pluginId": "p", "name": "good_name", "description": "d"}
MALFORMED_OF_NODES: list[tuple[str, Json]] = [
    ("skills.bins", {"x": 1}),
    ("node.pending.pull", {"x": 1}),
    ("node.pluginTools.update", {"tools": [1]}),
    ("node.pluginTools.update", {"tools": [{**TOOL, "name": "../x"}]}),
    ("node.pluginTools.update", {"tools": [{**TOOL, "bogus": 1}]}),
    ("node.skills.update", {"skills": [{**SKILL, "name": "../x"}]}),
    ("node.skills.update", {"skills": [{**SKILL, "name": "a--b"}]}),
    ("node.skills.update", {"skills": [{**SKILL, "name": "Upper"}]}),
]
TAKEN: list[tuple[str, Json]] = [
    ("models.list", {"view": "all"}),
    ("talk.config", {"includeSecrets": False}),
    ("users.prefs.get", {"keys": ["ui.accent"]}),
    ("chat.history", {"sessionKey": "agent:nobody:main"}),
    ("voicewake.get", {"x": 1}),
]


@pytest.mark.parametrize(("method", "params"), MALFORMED, ids=[f"{m} {json.dumps(p)}" for m, p in MALFORMED])
async def test_malformed_request_is_refused(gateway: Target, method: str, params: Json) -> None:
    async with gateway.operator() as operator:
        assert (await operator.error(method, params))["code"] == "INVALID_REQUEST"


@pytest.mark.parametrize(
    ("method", "params"), MALFORMED_OF_NODES, ids=[f"{m} {json.dumps(p)}" for m, p in MALFORMED_OF_NODES]
)
async def test_malformed_request_of_a_node_is_refused(gateway: Target, method: str, params: Json) -> None:
    async with gateway.operator() as operator, gateway.approved_node(operator) as (node, _):
        assert (await node.error(method, params))["code"] == "INVALID_REQUEST"


@pytest.mark.parametrize(("method", "params"), TAKEN, ids=[f"{m} {json.dumps(p)}" for m, p in TAKEN])
async def test_what_only_looks_odd_is_taken(gateway: Target, method: str, params: Json) -> None:
    async with gateway.operator() as operator:
        await operator.ok(method, params)


async def test_what_a_node_publishes_is_taken(gateway: Target) -> None:
    async with gateway.operator() as operator, gateway.approved_node(operator) as (node, _):
        await node.ok("node.skills.update", {"skills": [SKILL]})
        await node.ok("node.pluginTools.update", {"tools": [TOOL]})


async def test_of_two_members_of_one_name_the_last_counts(gateway: Target) -> None:
    async with gateway.operator() as operator:
        await operator.send('{"type":"req","id":"1","method":"no.such.method","id":"2","method":"node.list"}')
        assert (await operator.answer("2"))["ok"] is True


async def test_words_of_nothing_but_blanks_are_no_turn(gateway: Target) -> None:
    async with gateway.operator() as operator:
        error = await operator.error("agent", {"message": " ", "idempotencyKey": str(uuid.uuid4())})
    assert (error["code"], error["message"]) == ("UNAVAILABLE", "Message (--message) is required")


async def test_answers_have_what_the_bridge_reads(gateway: Target) -> None:
    async with gateway.operator() as operator:
        health = await operator.ask("health")
        validate_frame(health, method="health")
        assert health["payload"]["ok"] is True
        assert (await operator.ok("agents.list", {}))["defaultId"] == "main"
        assert isinstance((await operator.ok("sessions.list", {"limit": 1}))["sessions"], list)
        assert (await operator.ok("config.get", {}))["exists"] is True
        identity = await operator.ok("gateway.identity.get", {})
        assert (len(identity["deviceId"]), len(identity["publicKey"])) == (64, 43)
        assert set(await operator.ok("voicewake.routing.get", {})) == {"config"}


async def test_agent_is_answered_twice(gateway: Target) -> None:
    run_id = str(uuid.uuid4())
    async with gateway.operator((READ, WRITE)) as operator:
        turn = {"message": "hello", "sessionKey": "main", "idempotencyKey": run_id}
        await operator.send({"type": "req", "id": "a", "method": "agent", "params": turn})
        first = await operator.answer("a", first=True)
        final = await operator.answer("a")
        waited = await operator.ok("agent.wait", {"runId": run_id, "timeoutMs": 5_000})
        history = await operator.ok("chat.history", {"sessionKey": "main"})
    accepted = first["payload"]
    assert (first["ok"], accepted["status"], accepted["runId"]) == (True, "accepted", run_id)
    assert (accepted["sessionKey"], accepted["agentId"]) == ("agent:main:main", "main")
    assert (final["ok"], final["payload"]["status"], final["payload"]["runId"]) == (True, "ok", run_id)
    assert final["payload"]["result"]["payloads"][0]["text"] == REPLY
    assert (waited["runId"], waited["status"]) == (run_id, "ok")
    assert history["sessionKey"] == "main"
    assert [message["role"] for message in history["messages"]][-2:] == ["user", "assistant"]


async def test_unknown_run_times_out(gateway: Target) -> None:
    async with gateway.operator() as operator:
        waited = await operator.ok("agent.wait", {"runId": "no-such-run", "timeoutMs": 20})
    assert waited == {"runId": "no-such-run", "status": "timeout"}


async def test_chat_is_sent_and_its_end_announced(gateway: Target) -> None:
    run_id = str(uuid.uuid4())
    async with gateway.operator((READ, WRITE)) as operator:
        message = {"sessionKey": "main", "message": "hello", "idempotencyKey": run_id}
        started = await operator.ok("chat.send", message)
        final = await operator.event("chat", lambda body: body["runId"] == run_id and body["state"] == "final")
        nothing = await operator.ok("chat.abort", {"sessionKey": "main"})
    assert started == {"runId": run_id, "status": "started"}
    assert final["seq"] > 0
    assert final["payload"]["sessionKey"] == "agent:main:main"
    assert final["payload"]["message"]["role"] == "assistant"
    assert nothing == {"ok": True, "aborted": False, "runIds": []}


async def test_proxied_upgrade_is_refused(gateway: Target) -> None:
    url = gateway.url.replace("ws://", "http://")
    headers = {"X-Forwarded-For": "203.0.113.9"}
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as failure:
            await session.ws_connect(url, headers=headers)
        async with session.get(f"{url}/healthz") as answer:
            assert await answer.json() == {"ok": True, "status": "live"}
    assert failure.value.status == 403


@pytest.mark.slow
async def test_tick_and_handshake_limit(gateway: Target) -> None:
    slack_s = 5.0
    loop = asyncio.get_running_loop()

    async def silent() -> float:
        async with wire(gateway.url) as client:
            start = loop.time()
            assert await client.closed(gateway.handshake_s + slack_s) == (1000, "")
            return loop.time() - start

    async def ticking() -> Json:
        async with gateway.operator() as operator, asyncio.timeout(gateway.tick_ms / 1000 + slack_s):
            while True:
                frame = await operator.frame(gateway.tick_ms / 1000 + slack_s)
                if frame.get("event") == "tick":
                    return frame

    async with asyncio.TaskGroup() as tasks:
        closing, tick = tasks.create_task(silent()), tasks.create_task(ticking())
    assert closing.result() >= gateway.handshake_s - 1
    validate_frame(tick.result())
    assert tick.result()["seq"] > 0
