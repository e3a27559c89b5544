"""Frames of the real gateway that are hard to read cost one call at most, never the link that all phones share."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from tests.real.conftest import Estate
from tests.support.iphone import PhoneSocket
from tests.support.model_server import Pieces
from tests.support.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.real]

DEEP = "[" * 100 + "]" * 100


def _links(estate: Estate) -> int:
    """How often the bridge has connected as an operator for its phones."""
    scopes = ["operator.read", "operator.write"]
    connects = [frame["params"] for frame in estate.tap.sent_up("connect")]
    return sum(params["role"] == "operator" and params["scopes"] == scopes for params in connects)


async def _invoke_own(node: PhoneSocket, command: str = "device.info") -> dict[str, Any]:
    key = f"own-{len(node.frames)}"
    params = {"nodeId": node.phone.node_id, "command": command, "params": {}, "idempotencyKey": key}
    return await node.request("node.invoke", params, timeout_s=30)


@pytest.mark.parametrize(
    "result, outcome",
    [
        ('{"a":"\\ud800"}', "\ufffd"),
        (f'{{"a":{DEEP}}}', "UNAVAILABLE"),
        (f'{{"a":"{"x" * 14_000_000}"}}', "PAYLOAD_TOO_LARGE"),
        (f'{{"a":[{"1," * 250_000}1]}}', "UNAVAILABLE"),
    ],
    ids=["half a surrogate pair", "deep", "long", "wide"],
)
async def test_a_phone_that_answers_itself_costs_the_others_nothing(estate: Estate, result: str, outcome: str) -> None:
    sly, other = estate.phone("Sly phone"), estate.phone("Other phone")
    async with (
        await estate.invite(sly, "nodes", "device") as node,
        await estate.invite(other, "chat", "device") as waiting,
    ):
        for phone in (sly, other):  # while the gateway takes a new surface, it fails invokes of others too
            await estate.gateway_id(phone, "device.info")
        before = _links(estate)
        pending = asyncio.get_running_loop().create_task(
            waiting.request("agent.wait", {"runId": "no-such-run", "timeoutMs": 4_000}, timeout_s=20)
        )
        await eventually(lambda: estate.tap.sent_up("agent.wait"), what="the other phone's call at the gateway")
        node.handlers["device.info"] = lambda _: result
        answer = await _invoke_own(node)
        if answer["ok"]:
            assert answer["payload"]["payload"] == {"a": outcome}
            assert answer["payload"]["payloadJSON"] == result
        else:
            assert answer["error"]["code"] == outcome, answer
        answered = await pending
        assert answered["ok"], (answered, estate.bridge.log_lines()[-12:])
        node.handlers["device.info"] = lambda _: {"name": "Sly phone"}
        assert (await _invoke_own(node))["payload"]["payload"] == {"name": "Sly phone"}
        assert _links(estate) == before
        assert (node.closed, waiting.closed) == (None, None)


async def test_an_emoji_in_two_pieces_reaches_the_phone(estate: Estate) -> None:
    phone = estate.phone("Smiling phone")
    estate.model.script = lambda _: Pieces(("Well done ", "\ud83d", "\ude00", " indeed."), 0.4)
    async with (
        await estate.invite(phone, "chat") as node,
        estate.socket(phone, "operator", scopes=phone.scopes) as chat,
    ):
        await estate.gateway_id(phone)
        before = _links(estate)
        subscribed = {"event": "chat.subscribe", "payloadJSON": json.dumps({"sessionKey": "main"})}
        assert (await node.request("node.event", subscribed))["ok"]
        params = {"sessionKey": "main", "message": "How was I?", "idempotencyKey": "smile-1"}
        assert (await chat.request("chat.send", params))["ok"]
        for socket in (chat, node):
            final = await socket.event("chat", lambda payload: payload.get("state") == "final", timeout_s=60)
            assert "Well done" in json.dumps(final)
        assert _links(estate) == before
        assert (node.closed, chat.closed) == (None, None)
    texts = [json.dumps(one.frame) for one in estate.tap.seen if not one.up]
    assert any(re.search(r"\\ud83d(?!\\ude00)", text) for text in texts), "the gateway did pass a half on"
