"""A phone that behaves as the iOS app does, in front of the real gateway (mobile-clients §12, points 1 to 13)."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import Any

import pytest

from bridge.control.requests import RevokeBody
from tests.bridge.lan.pictures import png, snapshot
from tests.real.conftest import Estate, enter
from tests.support.iphone import PhoneError, PhoneSocket, Refused
from tests.support.model_server import Pieces
from tests.support.operator import Operator, OperatorError
from tests.support.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.real]

BACKGROUND = "NODE_BACKGROUND_UNAVAILABLE"
# What the app asks on its operator socket (mobile-clients §5.2), and what it lives without.
AFTER_CONNECTING: dict[str, dict[str, Any]] = {
    "config.get": {},
    "users.prefs.get": {"keys": ["ui.accent"]},
    "agents.list": {},
    "talk.config": {},
    "sessions.list": {"limit": 80},
    "gateway.identity.get": {},
    "voicewake.get": {},
    "models.list": {},
    "commands.list": {},
    "chat.history": {"sessionKey": "main", "limit": 20},
    "skills.status": {},
    "tasks.list": {},
    "progressCard.get": {"sessionKey": "main"},
    "sessions.branches.list": {"sessionKey": "main"},
    "sessions.groups.list": {},
    "health": {},
}
TRIED_AND_DENIED = (
    *("exec.approval.list", "plugin.approval.list", "openclaw.approval.list"),
    *("question.list", "talk.mode", "tts.speak"),
    *("sessions.create", "sessions.patch", "sessions.delete", "sessions.reset", "sessions.compact", "sessions.fork"),
    *("sessions.rewind", "sessions.branches.switch", "sessions.groups.put", "device.pair.setupCode"),
)


async def test_04_two_sockets_are_opened_at_once(estate: Estate) -> None:
    phone = estate.phone("Doubly dialling phone")
    async with await estate.invite(phone):
        pass
    node, chat = estate.socket(phone), estate.socket(phone, "operator", scopes=phone.scopes)
    async with asyncio.TaskGroup() as both:
        both.create_task(node.__aenter__())
        both.create_task(chat.__aenter__())
    assert abs(node.dialled_at - chat.dialled_at) < 0.1
    assert (node.hello["auth"]["role"], chat.hello["auth"]["role"]) == ("node", "operator")
    await node.close()
    await chat.close()


async def test_06_a_phone_is_let_in_on_the_very_socket_that_was_held(estate: Estate) -> None:
    phone = estate.phone("Unknown phone")
    approving = asyncio.get_running_loop().create_task(enter(estate.socket(phone)))
    (request,) = await estate.bridge.pending()
    await estate.bridge.ask(lambda: estate.bridge.client.approve(request.id, None, "Kitchen phone"))
    entered = await asyncio.wait_for(approving, 10)
    assert isinstance(entered, PhoneSocket)  # hello-ok came on the very socket that was held
    assert len(phone.tokens["node"]) == 43
    assert "operator" not in phone.tokens
    await entered.close()
    async with estate.socket(phone) as again:
        assert "deviceToken" not in again.hello["auth"]
    rows = await estate.bridge.ask(estate.bridge.client.nodes)
    assert [row.display_name for row in rows if row.node_id == phone.node_id] == ["Kitchen phone"]


async def test_07_a_setup_code_gives_both_tokens_to_one_key_only(estate: Estate) -> None:
    phone, thief = estate.phone("By code"), estate.phone("Thief")
    made = await estate.invite(phone)
    async with made as first:
        assert first.hello["auth"]["role"] == "node"
        (operator_token,) = first.hello["auth"]["deviceTokens"]
        assert operator_token["role"] == "operator"
        assert operator_token["scopes"] == ["operator.read", "operator.write"]
    code = made.auth
    with pytest.raises(Refused) as refused:
        await estate.socket(thief, auth=code).__aenter__()
    assert refused.value.details["code"] == "AUTH_BOOTSTRAP_TOKEN_INVALID"
    before = dict(phone.tokens)
    phone.tokens.clear()
    async with estate.socket(phone, auth=code) as again:  # as iOS does for half an hour
        assert again.hello["auth"]["role"] == "node"
        assert [entry["role"] for entry in again.hello["auth"]["deviceTokens"]] == ["operator"]
        assert phone.tokens.keys() == before.keys() == {"node", "operator"}
        assert not set(phone.tokens.values()) & set(before.values())
    for role in ("node", "operator"):
        async with estate.socket(phone, role, scopes=phone.scopes if role == "operator" else ()) as renewed:
            assert renewed.hello["auth"]["role"] == role
    with pytest.raises(Refused) as unknown:
        await estate.socket(thief, auth={"bootstrapToken": "A" * 43}).__aenter__()
    assert unknown.value.error["message"] == refused.value.error["message"]


async def test_08_the_operator_socket_does_what_the_app_asks(estate: Estate) -> None:
    phone = estate.phone("Chatting phone")
    async with await estate.invite(phone), estate.socket(phone, "operator", scopes=phone.scopes) as chat:
        assert chat.hello["auth"]["scopes"] == ["operator.read", "operator.write"]
        assert chat.hello["snapshot"]["sessionDefaults"]["mainSessionKey"]
        for method, params in AFTER_CONNECTING.items():
            answer = await chat.request(method, params)
            assert answer["ok"], (method, answer)
        for method in ("sessions.subscribe", "sessions.messages.subscribe", "sessions.messages.unsubscribe"):
            params = {"key": "agent:main:main"} if "messages" in method else {}
            assert (await chat.request(method, params))["payload"]["subscribed"] is not method.endswith("unsubscribe")
        secrets = json.dumps(await chat.request("config.get", {}))
        assert estate.gateway.token not in secrets
        health = await chat.request("health")
        assert health["payload"]["ok"] is True
        for method in (*TRIED_AND_DENIED, "device.pair.list", "config.set", "no.such.method"):
            denied = await chat.request(method, {})
            assert denied["error"]["code"] == "FORBIDDEN"
            assert denied["error"]["details"]["code"] == "MISSING_SCOPE"
            assert denied["error"]["details"]["requiredScopes"] == [denied["error"]["details"]["missingScope"]]
        assert chat.closed is None
    asked = {frame["method"] for frame in estate.tap.sent_up()}
    assert not asked & {*TRIED_AND_DENIED, "config.set", "sessions.delete", "no.such.method"}
    assert not [method for method in asked if "subscribe" in method], "one phone's would be every phone's"


async def test_09_chat_streams_whole_runs_without_gaps(estate: Estate) -> None:
    phone = estate.phone("Reading phone")
    estate.model.script = lambda _: Pieces(tuple(f"word{n} " for n in range(8)), 0.25)
    async with await estate.invite(phone) as node, estate.socket(phone, "operator", scopes=phone.scopes) as chat:
        params = {"sessionKey": "main", "message": "Good morning", "idempotencyKey": "chat-1"}
        run = (await chat.request("chat.send", params))["payload"]["runId"]
        await chat.event("chat", lambda payload: payload.get("state") == "delta", timeout_s=60)
        async with estate.socket(phone, "operator", scopes=phone.scopes) as late:  # in the middle of the run
            await late.request("chat.history", {"sessionKey": "main", "limit": 20})
            for one in (chat, late):
                await one.event("chat", lambda payload: payload.get("state") == "final", timeout_s=60)
        deltas = _deltas(chat, run)
        assert len(deltas) >= 3
        for seen in (deltas, _deltas(late, run)):
            assert all("message" in one or one.get("replace") for one in seen[:1]), seen[0]
        for socket in (chat, late):  # a run from its first word, or none of its words
            for data in _words(socket, run)[:1]:
                assert data["text"] == data["delta"]
        assert all("seq" not in frame for one in (chat, late, node) for frame in one.frames if frame["type"] == "event")
        history = await chat.request("chat.history", {"sessionKey": "main", "limit": 20})
        assert "Good morning" in json.dumps(history["payload"])
        tools = await chat.request("tools.effective", {"sessionKey": "main"})  # the gateway knows the session by now
        assert tools["payload"]["groups"], tools
        wanted = {"sessionKey": "main", "artifactId": "artifact_none"}
        lost = (await chat.request("artifacts.download", wanted))["error"]  # in the gateway's own words
        assert (lost["message"], lost["details"]["artifactId"]) == ("artifact not found", "artifact_none")


def _deltas(chat: PhoneSocket, run: str) -> list[dict[str, Any]]:
    seen = [frame["payload"] for frame in chat.frames if frame.get("event") == "chat"]
    return [payload for payload in seen if payload.get("runId") == run and payload["state"] == "delta"]


def _words(chat: PhoneSocket, run: str) -> list[dict[str, Any]]:
    seen = [frame["payload"] for frame in chat.frames if frame.get("event") == "agent"]
    return [one["data"] for one in seen if one["runId"] == run and one["stream"] == "assistant"]


async def test_10_invokes_pass_unchanged_both_ways(estate: Estate) -> None:
    phone = estate.phone("Working phone")
    async with await estate.invite(phone) as node, estate.operator() as agent:
        node_id = await estate.gateway_id(phone, "screen.navigate", "screen.snapshot", "device.info")
        odd = '{"text":"\\u00e4 \\ud83d\\ude00 \\u2028 / \\\\ \\"quoted\\"","n":1.50,"deep":[[{}]]}'
        node.handlers["device.info"] = lambda _: odd
        answer = await agent.request("node.invoke", _invoke(node_id, "device.info", {"odd": True}))
        assert answer["payloadJSON"] == odd
        big = snapshot(png(390, 844, padding=7 * 1024 * 1024), "png", 390, 844)
        node.handlers["screen.snapshot"] = lambda _: big
        answer = await agent.request("node.invoke", _invoke(node_id, "screen.snapshot", {}), timeout_s=30)
        assert answer["payload"] == big
        node.handlers["device.status"] = lambda _: PhoneError("UNAVAILABLE", "CAMERA_DISABLED: no")
        refused = await _error(agent, _invoke(node_id, "device.status", {}))
        assert refused["details"]["nodeError"] == {"code": "UNAVAILABLE", "message": "CAMERA_DISABLED: no"}
        node.handlers["screen.show"] = lambda _: PhoneError(BACKGROUND, f"{BACKGROUND}: foreground only")
        queued = await _error(agent, _invoke(node_id, "screen.show", {}))
        assert queued["details"]["code"] == "QUEUED_UNTIL_FOREGROUND"
        assert queued["details"]["nodeError"]["message"] == f"{BACKGROUND}: foreground only"
        pulled = await node.request("node.pending.pull", {})
        (action,) = pulled["payload"]["actions"]
        assert action["command"] == "screen.show"
        assert pulled["payload"]["nodeId"] == phone.node_id
        acked = await node.request("node.pending.ack", {"ids": [action["id"]]})
        assert acked["payload"]["ackedIds"] == [action["id"]]


async def test_10_a_forbidden_command_never_reaches_the_phone(estate: Estate) -> None:
    phone = estate.phone("Private phone")
    async with await estate.invite(phone, "screen") as node, estate.operator() as agent:
        node_id = await estate.gateway_id(phone, "screen.show")
        node.handlers["location.get"] = lambda _: {"lat": 1}
        refused = await _error(agent, _invoke(node_id, "location.get", {}))
        assert refused["details"]["reason"] == "command not declared by node"
        assert not [frame for frame in node.frames if frame.get("event") == "node.invoke.request"]


async def test_10_a_phone_in_the_background_is_answered_for_at_once(estate: Estate) -> None:
    phone = estate.phone("Pocket phone")
    async with await estate.invite(phone) as node, estate.operator() as agent:
        node_id = await estate.gateway_id(phone, "screen.show", "device.info")
        payload = json.dumps({"trigger": "background", "sentAtMs": 1})
        gone = await node.request("node.event", {"event": "node.presence.alive", "payloadJSON": payload})
        assert gone["payload"]["handled"] is True
        row = await estate.bridge.node_in(phone.node_id, "background")
        assert row.state == "background"
        started = time.monotonic()
        refused = await _error(agent, _invoke(node_id, "screen.show", {}))
        assert time.monotonic() - started < 5
        assert refused["details"]["nodeError"]["code"] == BACKGROUND
        node.handlers["device.info"] = lambda _: {"name": "Pocket phone"}
        assert (await agent.request("node.invoke", _invoke(node_id, "device.info", {})))["ok"]
        assert (await node.request("node.pending.pull", {}))["ok"]
        node.handlers["screen.show"] = lambda _: {}
        assert (await agent.request("node.invoke", _invoke(node_id, "screen.show", {})))["ok"]


@pytest.mark.parametrize("kind", ["iphone", "android"])
async def test_10_a_phone_that_is_away_is_answered_for_and_one_key_is_done_once(estate: Estate, kind: str) -> None:
    phone = estate.phone("Phone in a drawer") if kind == "iphone" else estate.android("Pixel in a drawer")
    async with estate.operator() as agent:
        async with await estate.invite(phone) as node:
            node_id = await estate.gateway_id(phone, "screen.show", "device.info")
            node.handlers["device.info"] = lambda _: {"name": kind}
            before = _invoke(node_id, "device.info", {})
            done = [await agent.request("node.invoke", before) for _ in range(2)]
            assert done[0]["payload"] == done[1]["payload"] == {"name": kind}
            assert len([frame for frame in node.frames if frame.get("event") == "node.invoke.request"]) == 1
        row = await estate.bridge.node_in(phone.node_id, "offline")
        assert row.at_gateway
        assert (await agent.request("node.invoke", before))["payload"] == {"name": kind}
        away = await _error(agent, _invoke(node_id, "device.info", {}))
        assert away["details"]["nodeError"]["code"] == "NODE_DISCONNECTED"
        refused = await _error(agent, _invoke(node_id, "screen.show", {"from": "afar"}))
        assert refused["details"]["nodeError"]["code"] == BACKGROUND
        assert (refused["details"].get("code") == "QUEUED_UNTIL_FOREGROUND") is (kind == "iphone")
        links = len(estate.tap.sent_up("connect"))
        async with estate.socket(phone) as node:
            actions = (await node.request("node.pending.pull", {}))["payload"]["actions"]
            assert [action["command"] for action in actions] == (["screen.show"] if kind == "iphone" else [])
            node.handlers["screen.show"] = lambda _: {}
            assert (await agent.request("node.invoke", _invoke(node_id, "screen.show", {})))["ok"]
        assert len(estate.tap.sent_up("connect")) == links


async def test_10_a_cancel_reaches_the_phone_under_its_own_id(estate: Estate) -> None:
    phone = estate.phone("Cancelled phone")
    async with await estate.invite(phone) as node, estate.operator() as agent:
        node_id = await estate.gateway_id(phone, "device.info")
        node.silent.add("device.info")
        asking = asyncio.get_running_loop().create_task(_error(agent, _invoke(node_id, "device.info", {})))
        invoke = (await node.event("node.invoke.request"))["payload"]
        (link,) = {one.connection for one in estate.tap.seen if not one.up and invoke["id"] in str(one.frame)}
        # The gateway cancels only what its own parts stream; the recorder says it in its place.
        for invoke_id in ("of-no-invoke", invoke["id"]):
            payload = {"invokeId": invoke_id, "nodeId": node_id}
            cancel = {"type": "event", "event": "node.invoke.cancel", "payload": payload}
            assert await estate.tap.inject(cancel, link) == 1
        cancel = await node.event("node.invoke.cancel")
        assert cancel["payload"] == {"invokeId": invoke["id"], "nodeId": phone.node_id}
        error = {"code": "UNAVAILABLE", "message": "node invoke cancelled"}
        result = {"id": invoke["id"], "nodeId": phone.node_id, "ok": False, "error": error}
        assert (await node.request("node.invoke.result", result))["payload"] == {"ok": True}
        assert (await asking)["details"]["nodeError"] == error


async def test_12_a_revoked_phone_is_out_within_a_second(estate: Estate) -> None:
    phone = estate.phone("Lost phone")
    async with await estate.invite(phone) as node, estate.socket(phone, "operator", scopes=phone.scopes) as chat:
        gateway_id = await estate.gateway_id(phone, "screen.show")
        started = time.monotonic()
        await estate.bridge.ask(lambda: estate.bridge.client.revoke(RevokeBody(ids=[phone.node_id])))
        assert await node.wait_closed(5) == (4001, "device removed")
        assert await chat.wait_closed(5) == (4001, "device removed")
        assert time.monotonic() - started < 1
    for role in ("node", "operator"):
        with pytest.raises(Refused) as told:
            await estate.socket(phone, role).__aenter__()
        assert told.value.details["code"] == "AUTH_DEVICE_TOKEN_MISMATCH"
    with pytest.raises(Refused) as denied:
        await estate.socket(phone, auth={}).__aenter__()
    assert denied.value.details["pauseReconnect"] is True
    assert await estate.bridge.ask(estate.bridge.client.pending) == []
    async with estate.operator() as agent:

        async def forgotten() -> bool:
            rows = (await agent.request("node.list"))["nodes"]
            return all(row["nodeId"] != gateway_id for row in rows)

        await eventually(forgotten, timeout_s=10, what="removed at the gateway")


async def test_13_the_bridge_is_the_same_after_a_restart(estate: Estate) -> None:
    phone = estate.phone("Faithful phone")
    async with await estate.invite(phone) as node:
        pin, port = estate.bridge.pin, estate.bridge.app_port
        await estate.bridge.stop()
        assert (await node.wait_closed())[0] == 1012
        assert [f["event"] for f in node.frames if f["type"] == "event"][-1] == "shutdown"
        await estate.bridge.start()
        assert (estate.bridge.pin, estate.bridge.app_port) == (pin, port)
    await estate.bridge.connected()
    async with estate.socket(phone):
        assert await estate.gateway_id(phone, "screen.show")
    assert await estate.bridge.ask(estate.bridge.client.pending) == []


def _invoke(node_id: str, command: str, params: object) -> dict[str, object]:
    key = f"{command}-{time.monotonic_ns()}"
    return {"nodeId": node_id, "command": command, "params": params, "idempotencyKey": key, "timeoutMs": 20_000}


async def _error(agent: Operator, params: dict[str, object]) -> dict[str, Any]:
    with pytest.raises(OperatorError) as refused:
        await agent.request("node.invoke", params)
    return refused.value.error


async def test_10_a_result_may_be_as_large_as_the_gateway_takes(estate: Estate) -> None:
    phone = estate.phone("Large phone")
    async with await estate.invite(phone) as node, estate.operator() as agent:
        node_id = await estate.gateway_id(phone, "device.info")
        node.silent.add("device.info")
        asking = asyncio.get_running_loop().create_task(_quietly(agent, _invoke(node_id, "device.info", {})))
        asked = (await node.event("node.invoke.request"))["payload"]
        most = node.hello["policy"]["maxPayload"] - 1024
        result = {"id": asked["id"], "nodeId": phone.node_id, "ok": True, "payloadJSON": '"' + "x" * (most - 2) + '"'}
        taken = await node.request("node.invoke.result", result, timeout_s=30)
        assert taken["payload"] == {"ok": True}
        asking.cancel()
        assert (await node.request("health"))["ok"]


async def _quietly(agent: Operator, params: dict[str, object]) -> None:
    # The answer repeats the payload and is longer than this caller takes: only the phone's side is looked at here.
    with suppress(OperatorError, ConnectionError, TimeoutError):
        await agent.request("node.invoke", params)
