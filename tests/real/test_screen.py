"""A phone's screen through the real gateway: what its agent gets when all is well, and when a page leads elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.bridge.lan.pictures import jpeg, png, snapshot
from tests.real.conftest import Estate
from tests.support.model_server import invoke_then_say
from tests.support.operator import Operator, OperatorError

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.real]

URL, ELSEWHERE = "https://example.org/", "https://192.168.0.1/admin?token=s3cret"


class Agent:
    """Whoever calls `node.invoke` at the gateway."""

    def __init__(self, operator: Operator, node_id: str) -> None:
        self.operator, self.node_id, self._count = operator, node_id, 0

    async def asks(self, command: str, **params: Any) -> Any:
        """The payload, or the error, of a command."""
        self._count += 1
        call = {"nodeId": self.node_id, "command": command, "params": params}
        try:
            answer = await self.operator.request("node.invoke", {**call, "idempotencyKey": f"{command}-{self._count}"})
        except OperatorError as exc:
            return exc.error
        return answer["payload"]


async def test_a_screen_is_sent_somewhere_read_and_seen(estate: Estate) -> None:
    phone = estate.phone("Kiosk phone")
    async with await estate.invite(phone) as node, estate.operator() as client:
        agent = Agent(client, await estate.gateway_id(phone, "screen.navigate", "screen.eval", "screen.snapshot"))
        told: list[Any] = []

        def navigate(params: Any) -> Any:
            told.append(params)
            return {"url": params["url"], "title": "Example", "cookies": "x"}

        def see(params: Any) -> Any:
            told.append(params)
            return snapshot(png(320, 200), "png", 320, 200)

        node.handlers |= {"screen.navigate": navigate, "screen.snapshot": see}
        node.handlers["screen.eval"] = lambda _: {"result": [1, 2.5, {"a": None}], "x": 1}
        assert await agent.asks("screen.navigate", url="HTTPS://Example.ORG", approved=True) == {
            "url": URL,
            "title": "Example",
        }
        assert await agent.asks("screen.eval", javaScript="f()") == {"result": [1, 2.5, {"a": None}]}
        assert await agent.asks("screen.snapshot", maxWidth=320, format="png") == see(None)
        assert told[:2] == [{"url": URL}, {"maxWidth": 320, "format": "png"}]


async def test_what_is_refused_never_reaches_the_phone_and_says_why(estate: Estate) -> None:
    phone = estate.phone("Guarded phone")
    async with await estate.invite(phone) as node, estate.operator() as client:
        agent = Agent(client, await estate.gateway_id(phone, "screen.navigate", "screen.snapshot"))
        bad: Any
        for bad, words in (("javascript:alert(1)", "FORBIDDEN"), (ELSEWHERE, "allow_private"), (7, "INVALID_REQUEST")):
            error = await agent.asks("screen.navigate", url=bad)
            assert error["code"] == "UNAVAILABLE"
            assert words in error["message"]
            assert error["details"]["nodeError"].keys() == {"code", "message"}
        assert "node.invoke.request" not in {frame.get("event") for frame in node.frames}
        node.handlers["screen.snapshot"] = lambda _: snapshot(jpeg(320, 200), "png", 320, 200)
        error = await agent.asks("screen.snapshot")
        assert error["details"]["nodeError"] == {
            "code": "INVALID_RESULT",
            "message": "screen.snapshot: the picture is no png",
        }


async def test_a_page_that_leads_elsewhere_is_neither_named_nor_read(estate: Estate) -> None:
    phone = estate.phone("Misled phone")
    async with await estate.invite(phone) as node, estate.operator() as client:
        agent = Agent(client, await estate.gateway_id(phone, "screen.navigate", "screen.eval"))
        node.handlers["screen.navigate"] = lambda params: {"url": ELSEWHERE, "title": "Router"}
        node.handlers["screen.eval"] = lambda params: {"result": "the router's page"}
        misled = await agent.asks("screen.navigate", url=URL)
        assert misled["details"]["nodeError"]["code"] == "FORBIDDEN"
        unread = await agent.asks("screen.eval", javaScript="document.body.innerText")
        assert unread["details"]["nodeError"]["code"] == "FORBIDDEN"
        assert "s3cret" not in json.dumps([misled, unread])
        node.handlers["screen.navigate"] = lambda params: {"url": params["url"], "title": "Example"}
        assert (await agent.asks("screen.navigate", url=URL))["url"] == URL
        assert await agent.asks("screen.eval", javaScript="1") == {"result": "the router's page"}


async def test_the_agent_s_own_tool_is_told_the_same(estate: Estate) -> None:
    phone = estate.phone("Agent's phone")
    async with await estate.invite(phone) as node, estate.operator() as client:
        node_id = await estate.gateway_id(phone, "screen.navigate")
        node.handlers["screen.navigate"] = lambda params: {"url": ELSEWHERE, "title": "Router"}
        estate.model.script = invoke_then_say(node_id, "screen.navigate", {"url": URL}, "It did not work.")
        turn = {"message": "Show me the page", "sessionKey": "main", "idempotencyKey": "misled"}
        await client.request("agent", turn, final=True, timeout_s=60)
        history = json.dumps(await client.request("chat.history", {"sessionKey": "agent:main:main", "limit": 50}))
        assert "screen.navigate ended up at another address" in history
        assert "s3cret" not in history
