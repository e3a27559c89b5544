"""E9 to E12: the agent sends a screen where it must not go, and a page takes it there by itself.

The address goes in at the gateway, through the real daemon, to a node that writes down what it was told.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import pytest_asyncio

from bridge.node.native_enrolment import Wishes
from bridge.node.native_invokes import Handler
from bridge.node.native_node import NativeNode
from gateway_client.frames import JsonObject
from tests.acl.addresses import CANVAS, CONTROLS, DISGUISED, ELSEWHERE, PRIVATE, PUBLIC, SCHEMES
from tests.attacks.fortress import FACTS, Fortress, fortress
from tests.bridge.audit.logs import Log
from tests.support.bridge_process import WIDE_LIMITS
from tests.support.operator import OperatorError
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

COMMANDS = ("screen.navigate", "screen.eval", "screen.hide", "screen.setMode")
HEARD = frozenset({"node.invoke.result"})
LISTED = '[screen.navigate]\nhosts = ["ok.example"]\n'
OPEN = "[screen.navigate]\nallow_http = true\nallow_private = true\n"
SECRET = secrets.token_hex(16)  # stands in the query of every place that a page leads to


@dataclass
class Kiosk:
    """A node with a screen, and the agent that drives it."""

    castle: Fortress
    node: NativeNode = field(init=False)
    gateway_id: str = ""
    visited: list[str] = field(default_factory=list)
    scripts: list[object] = field(default_factory=list)
    ends_at: str | None = None
    """Where every navigation ends up; None: where it was sent."""

    async def navigate(self, params: JsonObject) -> JsonObject:
        """Go there, or be led elsewhere."""
        self.visited.append(str(params["url"]))
        return {"url": self.ends_at or params["url"], "title": "A page"}

    async def evaluate(self, params: JsonObject) -> JsonObject:
        """Return what the page holds."""
        self.scripts.append(params["javaScript"])
        return {"result": "what it shows"}

    async def nothing(self, _params: JsonObject) -> JsonObject:
        """Do it."""
        return {}

    async def reconnect(self) -> None:
        """Go, and come back."""
        await self.node.close()
        await self.node.wait_closed()
        await self.node.connect()
        await self.castle.bridge.node_in(self.node.state.node_id, "connected")
        await eventually(self.is_ready, timeout_s=20, what="kiosk is back")

    async def is_ready(self) -> bool:
        """Whether the agent can drive it."""
        rows = (await self.castle.operator.request("node.list", {}))["nodes"]
        return any(row["nodeId"] == self.gateway_id and set(COMMANDS) <= set(row["commands"]) for row in rows)

    async def asks(self, command: str, **params: Any) -> Any:
        """What the agent gets for a command: its payload, or the error of the node."""
        call = {"nodeId": self.gateway_id, "command": command, "params": params, "idempotencyKey": secrets.token_hex(8)}
        try:
            return (await self.castle.operator.request("node.invoke", call))["payload"]
        except OperatorError as exc:
            return exc.details["nodeError"]

    async def refused(self, url: str) -> None:
        """An address is refused to the agent, and the node hears nothing of it."""
        before = list(self.visited)
        told = await self.asks("screen.navigate", url=url)
        assert told.get("code") in {"FORBIDDEN", "INVALID_REQUEST"}, (url, told)
        assert self.visited == before, url
        assert len(url) < 12 or url not in json.dumps(told, ensure_ascii=False)

    async def reached(self, url: str) -> None:
        """The positive control: an address arrives."""
        told = await self.asks("screen.navigate", url=url)
        assert told == {"url": self.visited[-1], "title": "A page"}, (url, told)

    async def under(self, policy: str) -> None:
        """Put a policy into force."""
        path = self.castle.bridge.home / "policy.toml"
        path.write_text(policy)
        path.chmod(0o600)
        await self.castle.bridge.ask(self.castle.bridge.client.reload_policy)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def castle() -> AsyncIterator[Fortress]:
    """A bridge that lets the agent ask as often as it likes: that is not what is looked at here."""
    async with fortress(limits={**WIDE_LIMITS, "invokes_per_second": 10_000, "invokes_burst": 10_000}) as made:
        yield made


def traces(castle: Fortress) -> list[dict[str, Any]]:
    """The violations in the audit log; a last line without an end is left out."""
    lines = [json.loads(line) for line in Log(castle.bridge.home).lines() if line.endswith(b"\n")]
    return [line for line in lines if line["event"] == "navigation-violation"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kiosk(castle: Fortress) -> AsyncIterator[Kiosk]:
    """One node, connected and approved."""
    castle.gateway.core.setup = replace(castle.gateway.setup, commands_allow=("device.info", *COMMANDS))
    wishes = Wishes(("screen",), COMMANDS, ("screen",))
    identity = (await castle.enrolment(link=await castle.link("screen"), wishes=wishes).enrol()).identity
    made = Kiosk(castle)
    castle.secrets.append(SECRET)
    handlers: dict[str, Handler] = {"screen.navigate": made.navigate, "screen.eval": made.evaluate}
    handlers |= {"screen.hide": made.nothing, "screen.setMode": made.nothing}
    async with NativeNode(identity, FACTS, wishes, handlers) as node:
        made.node = node
        await node.connect()
        rows = await castle.bridge.ask(castle.bridge.client.nodes)
        made.gateway_id = next(row.gateway_node_id for row in rows if row.node_id == identity.node_id)
        await castle.bridge.settled(identity.node_id, *COMMANDS)
        await eventually(made.is_ready, timeout_s=20, what="kiosk approved")
        yield made


class TestE9:
    """Other schemes, and characters that a parser strips.

    Guard: the checks before `_read` in acl/navigation.py; without them `java\\nscript:` and a leading tab pass for what
    is left of them. Guard: the `case _` of `check`; without it every scheme that has a host passes.
    """

    @pytest.mark.parametrize("policy", [LISTED, OPEN], ids=["listed", "open"])
    async def test_they_are_refused_and_the_web_is_not(self, kiosk: Kiosk, policy: str) -> None:
        await kiosk.under(policy)
        async with kiosk.castle.unharmed(heard=HEARD):
            for url in (*SCHEMES, *CONTROLS, *CANVAS):
                if not (policy == OPEN and url == "http://ok.example/"):
                    await kiosk.refused(url)
            for url in PUBLIC:
                await kiosk.reached(url)


class TestE10:
    """Disguises of the one listed host.

    Guard: `_listed`, and the userinfo, label and port checks of `_web` in acl/navigation.py: each has addresses here
    that pass without it.
    """

    async def test_they_are_refused_and_the_host_itself_is_not(self, kiosk: Kiosk) -> None:
        await kiosk.under(LISTED)
        async with kiosk.castle.unharmed(heard=HEARD):
            for url in (*DISGUISED, *ELSEWHERE):
                await kiosk.refused(url)
            for url in (*PUBLIC, "https://ok.example:22/"):
                await kiosk.reached(url)


class TestE11:
    """Every spelling of the local network.

    Guard: `is_private` in acl/navigation.py. Where a name leads is the node's to check: docs/node-protocol.md says so.
    """

    async def test_it_is_refused_and_its_neighbours_are_not(self, kiosk: Kiosk) -> None:
        await kiosk.under("")
        async with kiosk.castle.unharmed(heard=HEARD):
            for url in PRIVATE:
                await kiosk.refused(url)
            for url in ELSEWHERE:
                await kiosk.reached(url)

    async def test_it_is_reached_when_the_owner_says_so(self, kiosk: Kiosk) -> None:
        await kiosk.under(OPEN)
        for url in ("https://127.1/", "http://192.168.0.1/", "https://printer.local/", "https://[fd00::1]/"):
            await kiosk.reached(url)


class TestE12:
    """A page that leads a screen elsewhere, by any means: the node says where it ended up.

    Guard: the second check in `ScreenGuard.judge`, bridge/lan/screen_guard.py; without it the agent gets the place's
    address and title. Guard: `READING` in `ScreenGuard.admit`; without it the agent's scripts run in the page.
    Guard: `Hub.screen`; with a page for each socket, a node that reconnects is read.
    """

    async def test_the_agent_learns_nothing_of_the_place_and_cannot_read_it(self, kiosk: Kiosk) -> None:
        await kiosk.under(LISTED)
        places = [url for url in (*SCHEMES, *DISGUISED, *PRIVATE, *CANVAS) if url] + list(ELSEWHERE)
        noted = len(kiosk.castle.bridge.log_lines())
        async with kiosk.castle.unharmed(heard=HEARD):
            for place in places:
                kiosk.ends_at = f"{place}?{SECRET}"
                told = await kiosk.asks("screen.navigate", url="https://ok.example/")
                assert told["code"] == "FORBIDDEN", (place, told)
                assert SECRET not in json.dumps(told)
                assert kiosk.visited[-1] == "https://ok.example/"
                assert (await kiosk.asks("screen.eval", javaScript="1"))["code"] == "FORBIDDEN"
            kiosk.ends_at = None
            assert not kiosk.scripts
        assert kiosk.castle.events("navigation-violation", noted)
        await eventually(lambda: traces(kiosk.castle), timeout_s=5, what="the violation in the audit log")
        assert {"command", "why", "host"} <= traces(kiosk.castle)[0].keys()
        assert SECRET.encode() not in b"".join(Log(kiosk.castle.bridge.home).lines())

    async def test_only_a_navigation_that_ends_well_opens_the_screen_again(self, kiosk: Kiosk) -> None:
        await kiosk.under(LISTED)
        kiosk.ends_at = f"https://127.0.0.1/{SECRET}"
        assert (await kiosk.asks("screen.navigate", url="https://ok.example/"))["code"] == "FORBIDDEN"
        kiosk.ends_at = None
        assert await kiosk.asks("screen.hide") == {}
        assert await kiosk.asks("screen.setMode", mode="canvas") == {}
        assert (await kiosk.asks("screen.eval", javaScript="1"))["code"] == "FORBIDDEN"
        await kiosk.refused("https://evil.example/")
        await kiosk.reconnect()
        assert (await kiosk.asks("screen.eval", javaScript="1"))["code"] == "FORBIDDEN"
        await kiosk.reached("https://ok.example/")
        assert await kiosk.asks("screen.eval", javaScript="1") == {"result": "what it shows"}
