"""A phone that behaves as the iOS app does, in front of the real gateway (mobile-clients §12, points 1 to 13)."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from contextlib import suppress
from typing import Any

import pytest

from tests.real.conftest import Estate
from tests.support.iphone import IPhone, PhoneError, PhoneSocket, Refused, pinned_context
from tests.support.operator import Operator, OperatorError
from tests.support.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.real]

BACKGROUND = "NODE_BACKGROUND_UNAVAILABLE"


async def _get(estate: Estate, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", estate.bridge.app_port, ssl=pinned_context())
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer


async def test_01_to_03_first_contact_is_no_attack(estate: Estate) -> None:
    before = len(estate.bridge.log_lines())
    for _ in range(10):
        await asyncio.to_thread(socket.create_connection(("127.0.0.1", estate.bridge.app_port)).close)
    aborting = ssl.create_default_context()  # trusts no self-signed certificate: it aborts as the probe does
    aborting.set_alpn_protocols(["h2", "http/1.1"])
    for _ in range(5):
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", estate.bridge.app_port, ssl=aborting)
    started = time.monotonic()
    for method in (b"GET / HTTP/1.1", b"GET /healthz HTTP/1.1", b"HEAD / HTTP/1.1"):
        answer = await _get(estate, method + b"\r\nHost: clawdis.local\r\nConnection: keep-alive\r\n\r\n")
        head = answer.lower()
        assert head.startswith(b"http/1.1 404 ")
        assert b"www-authenticate" not in head
        assert b"location:" not in head
        assert head.endswith(b"\r\n\r\n")
    assert time.monotonic() - started < 5
    lines = estate.bridge.log_lines()[before:]
    assert [line for line in lines if line["level"] != "debug"] == []


async def test_04_to_06_an_unknown_phone_is_held_then_told_to_wait(estate: Estate) -> None:
    phone = estate.phone("Unknown phone")
    ids = set()
    for _ in range(3):  # the app tries again every 6 s; its request keeps its id
        entering = asyncio.get_running_loop().create_task(_enter(estate, phone))
        (request,) = await estate.bridge.pending()
        ids.add(request.id)
        newer = estate.socket(phone)
        taking_over = asyncio.get_running_loop().create_task(_enter_socket(newer))
        refused = await asyncio.wait_for(entering, 10)  # the newer connect takes the hold over at once
        assert isinstance(refused, Refused)
        assert refused.error["code"] == "NOT_PAIRED"
        assert refused.details["requestId"] == request.id
        assert refused.details["recommendedNextStep"] == "wait_then_retry"
        assert refused.details["pauseReconnect"] is False
        newer.drop()
        await asyncio.wait({taking_over})
    assert len(ids) == 1
    approving = asyncio.get_running_loop().create_task(_enter(estate, phone))
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


async def _enter(estate: Estate, phone: IPhone) -> PhoneSocket | Refused | Exception:
    return await _enter_socket(estate.socket(phone))


async def _enter_socket(made: PhoneSocket) -> PhoneSocket | Refused | Exception:
    try:
        return await made.__aenter__()
    except (Refused, ConnectionError, OSError) as exc:
        return exc


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
    async with estate.socket(phone, auth=code):
        assert phone.tokens.keys() == before.keys()
        assert phone.tokens["node"] != before["node"]
    with pytest.raises(Refused) as unknown:
        await estate.socket(thief, auth={"bootstrapToken": "A" * 43}).__aenter__()
    assert unknown.value.error["message"] == refused.value.error["message"]


async def test_08_the_operator_socket_does_what_the_app_asks(estate: Estate) -> None:
    phone = estate.phone("Chatting phone")
    async with await estate.invite(phone), estate.socket(phone, "operator", scopes=phone.scopes) as chat:
        assert chat.hello["auth"]["scopes"] == ["operator.read", "operator.write"]
        assert chat.hello["snapshot"]["sessionDefaults"]["mainSessionKey"]
        for method in ("config.get", "agents.list", "sessions.list", "voicewake.get", "models.list"):
            answer = await chat.request(method, {})
            assert answer["ok"], (method, answer)
        for method in ("sessions.subscribe", "sessions.messages.subscribe", "sessions.messages.unsubscribe"):
            params = {"key": "agent:main:main"} if "messages" in method else {}
            assert (await chat.request(method, params))["payload"]["subscribed"] is not method.endswith("unsubscribe")
        secrets = json.dumps(await chat.request("config.get", {}))
        assert estate.gateway.token not in secrets
        health = await chat.request("health")
        assert health["payload"]["ok"] is True
        for method in ("exec.approval.list", "device.pair.list", "config.set", "sessions.delete", "no.such.method"):
            denied = await chat.request(method, {})
            assert denied["error"]["code"] == "FORBIDDEN"
            assert denied["error"]["details"]["code"] == "MISSING_SCOPE"
            assert denied["error"]["details"]["requiredScopes"] == [denied["error"]["details"]["missingScope"]]
    asked = {frame["method"] for frame in estate.tap.sent_up()}
    assert not asked & {"exec.approval.list", "config.set", "sessions.delete", "no.such.method"}
    assert not [method for method in asked if "subscribe" in method], "one phone's would be every phone's"


async def test_09_and_11_chat_streams_whole_runs_without_gaps(estate: Estate) -> None:
    phone = estate.phone("Reading phone")
    async with await estate.invite(phone) as node, estate.socket(phone, "operator", scopes=phone.scopes) as chat:
        params = {"sessionKey": "main", "message": "Good morning", "idempotencyKey": "chat-1"}
        assert (await chat.request("chat.send", params))["ok"]
        final = await chat.event("chat", lambda payload: payload.get("state") == "final", timeout_s=60)
        run = final["payload"]["runId"]
        deltas = [f for f in chat.frames if f.get("event") == "chat" and f["payload"].get("runId") == run]
        assert all("seq" not in frame for frame in chat.frames if frame["type"] == "event")
        first_delta = next((f["payload"] for f in deltas if f["payload"]["state"] == "delta"), None)
        assert first_delta is None or "message" in first_delta
        history = await chat.request("chat.history", {"sessionKey": "main", "limit": 20})
        assert "Good morning" in json.dumps(history["payload"])
        for made in (node, chat):
            assert made.hello["policy"]["tickIntervalMs"] == 30_000


async def test_10_invokes_pass_unchanged_both_ways(estate: Estate) -> None:
    phone = estate.phone("Working phone")
    async with await estate.invite(phone) as node, estate.operator() as agent:
        node_id = await estate.gateway_id(phone, "screen.navigate", "screen.snapshot")
        odd = '{"text":"\\u00e4 \\ud83d\\ude00 \\u2028 / \\\\ \\"quoted\\"","n":1.50,"deep":[[{}]]}'
        node.handlers["screen.eval"] = lambda _: odd
        answer = await agent.request("node.invoke", _invoke(node_id, "screen.eval", {"javaScript": "1"}))
        assert answer["payloadJSON"] == odd
        big = "x" * (10 * 1024 * 1024)
        node.handlers["screen.snapshot"] = lambda _: {"format": "png", "base64": big}
        answer = await agent.request("node.invoke", _invoke(node_id, "screen.snapshot", {}), timeout_s=30)
        assert answer["payload"]["base64"] == big
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


async def test_12_a_revoked_phone_is_out_within_a_second(estate: Estate) -> None:
    phone = estate.phone("Lost phone")
    async with await estate.invite(phone) as node, estate.socket(phone, "operator", scopes=phone.scopes) as chat:
        gateway_id = await estate.gateway_id(phone, "screen.show")
        started = time.monotonic()
        done = await estate.bridge.cli("nodes", "revoke", phone.node_id, "--yes", "--json")
        assert done.returncode == 0, done.stderr
        assert await node.wait_closed(5) == (4001, "device removed")
        assert await chat.wait_closed(5) == (4001, "device removed")
        assert time.monotonic() - started < 5  # the command line's start included
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
        node_id = await estate.gateway_id(phone, "screen.snapshot")
        node.silent.add("screen.snapshot")
        asking = asyncio.get_running_loop().create_task(_quietly(agent, _invoke(node_id, "screen.snapshot", {})))
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
