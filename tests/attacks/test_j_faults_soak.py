"""A thousand faults of the gateway under load: every invoke and every call has exactly one outcome, at both ends.

The bridge is real from its TLS port to its links, the gateway is the embedded one behind something that spoils what it
says. The agent invokes the phones, and the phones invoke themselves by way of the gateway.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import WebSocketException

from acl.permissions import Permission
from bridge.demo.gateway import EmbeddedGateway, GatewaySetup
from bridge.log import silent_log
from bridge.tasks import Tasks
from tests.bridge.house import House, house
from tests.bridge.lan.phones import PHONE, Phone
from tests.bridge.lan.rooms import Caller
from tests.bridge.upstream.stage import TOKEN, hang
from tests.support import scale
from tests.support.faulty import FaultyGateway
from tests.support.operator import Operator, OperatorError, operator
from tests.support.waiting import eventually

PHONES = 8
FAULTS = scale.scale(1_000)
RESTARTS = scale.scale(10)
TIMEOUT_MS = 400  # of an invoke
PACE_S = 0.08  # seconds between the calls of a phone, and between the agent's rounds: below every limit
NONE = "no outcome"  # of an invoke: neither an answer nor the end of the connection
LAST_S = 12.0  # seconds until the last call has its outcome: its time-out, five seconds of the bridge's, and a margin

pytestmark = pytest.mark.timeout(900)


class Handset:
    """A phone that answers what it is asked, calls itself, and counts."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.invoked = Counter[str]()
        self.asked: list[str] = []
        self.answered = Counter[str]()
        self.codes = Counter[str]()

    async def read(self) -> None:
        """Take what comes, for ever."""
        while True:
            frame = await self.caller.read()
            if frame["type"] == "res" and not frame["id"].startswith("result-"):
                self.answered[frame["id"]] += 1
                self.codes["ok" if frame["ok"] else frame["error"]["code"]] += 1
            elif frame.get("event") == "node.invoke.request":
                await self._answer(frame["payload"])

    async def _answer(self, invoke: dict[str, Any]) -> None:
        self.invoked[invoke["id"]] += 1
        params = {"id": invoke["id"], "nodeId": invoke["nodeId"], "ok": True, "payloadJSON": '{"name":"x"}'}
        await self.caller.asks("node.invoke.result", params, f"result-{uuid.uuid4()}")

    async def call(self) -> None:
        """Invoke itself by way of the gateway."""
        self.asked.append(f"call-{len(self.asked)}")
        params = {
            "nodeId": self.caller.phone.node_id,
            "command": "device.info",
            "timeoutMs": TIMEOUT_MS,
            "idempotencyKey": uuid.uuid4().hex,
        }
        await self.caller.asks("node.invoke", params, self.asked[-1])

    async def works(self) -> bool:
        """Whether its next call succeeds."""
        before = self.codes["ok"]
        await self.call()
        await eventually(lambda: len(self.answered) == len(self.asked), what="answered")
        return self.codes["ok"] > before


class Agent:
    """Invokes the phones at the gateway itself, and counts the answers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.outcomes = Counter[str]()

    async def run(self, targets: list[str]) -> None:
        """Invoke all phones again and again; a gateway that restarts is dialled anew."""
        while True:
            try:
                async with operator(self.url, TOKEN) as link:
                    await self._use(link, targets)
            except (OSError, TimeoutError, OperatorError, WebSocketException):
                await asyncio.sleep(0.1)

    async def _use(self, link: Operator, targets: list[str]) -> None:
        try:
            while link.closed is None:
                await asyncio.gather(*(self.invoke(link, target) for target in targets))
                await asyncio.sleep(PACE_S)
        finally:
            answers = Counter(frame["id"] for frame in link.frames if frame["type"] == "res")
            assert set(answers.values()) <= {1}, "the gateway has answered an invoke twice"

    async def invoke(self, link: Operator, target: str) -> str:
        """Invoke one phone; return the outcome."""
        key = uuid.uuid4().hex
        params = {"nodeId": target, "command": "device.info", "timeoutMs": TIMEOUT_MS, "idempotencyKey": key}
        try:
            await link.request("node.invoke", params, timeout_s=10.0)
        except OperatorError as exc:
            outcome = exc.code
        except TimeoutError:
            self.outcomes[NONE] += link.closed is None
            raise
        else:
            outcome = "ok"
        self.outcomes[outcome] += 1
        return outcome


@dataclass
class Scene:
    """Everything that is there."""

    built: House
    gateway: EmbeddedGateway
    faulty: FaultyGateway
    handsets: list[Handset]
    targets: list[str]


@asynccontextmanager
async def scene(home: Path) -> AsyncIterator[Scene]:
    """Phones that are in and can be invoked."""
    setup = GatewaySetup(token=TOKEN, commands_allow=("device.info",))
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(EmbeddedGateway(setup, hang))
        tasks = await stack.enter_async_context(Tasks(silent_log()))
        faulty = FaultyGateway(gateway.url, scale.seed(), FAULTS, tasks)
        await stack.enter_async_context(faulty.listening())
        built = await stack.enter_async_context(house(home, faulty.url))
        handsets, targets = [], []
        for number in range(PHONES):
            phone = Phone(f"Phone {number}", "openclaw-android", "Android 16", "Android", 3)
            targets.append((await built.pair(phone, PHONE | {Permission.NODES})).gateway_node_id)
            caller = await stack.enter_async_context(built.call(phone))
            await caller.gets_in()
            handsets.append(Handset(caller))
        yield Scene(built, gateway, faulty, handsets, targets)


async def restarts(scene: Scene) -> None:
    """Restart the gateway now and then, in one way or the other."""
    for number in range(1, RESTARTS + 1):
        due = number * FAULTS // (RESTARTS + 1)
        await eventually(functools.partial(has_seen, scene, due), timeout_s=600.0)
        await (scene.gateway.stop() if number % 2 else scene.gateway.kill())
        await scene.gateway.start()


def has_seen(scene: Scene, faults: int) -> bool:
    """Whether there were so many."""
    return scene.faulty.faults >= faults


async def calls(handset: Handset, scene: Scene) -> None:
    """Call until there were faults enough."""
    while scene.faulty.faults < FAULTS:
        await handset.call()
        await asyncio.sleep(PACE_S)


async def all_work(scene: Scene) -> None:
    """The positive control: every phone is invoked, and every phone invokes itself."""
    agent = Agent(scene.gateway.url)
    async with operator(scene.gateway.url, TOKEN) as link:
        for handset, target in zip(scene.handsets, scene.targets, strict=True):
            await eventually(functools.partial(works, agent, link, target), timeout_s=30.0, what="invoked")
            await eventually(handset.works, timeout_s=30.0, what=f"answered, after {handset.codes}")


async def works(agent: Agent, link: Operator, target: str) -> bool:
    """Whether the agent reaches a phone."""
    return await agent.invoke(link, target) == "ok"


async def test_every_invoke_and_every_call_has_one_outcome(tmp_path: Path) -> None:
    """Red when a duplicate answer is passed on, and when a call whose answer was spoiled is forgotten."""
    async with scene(tmp_path) as played:
        agent = Agent(played.gateway.url)
        spawn = played.built.stage.tasks.spawn
        tasks = [spawn("read", handset.read()) for handset in played.handsets]
        tasks.append(spawn("agent", agent.run(played.targets)))
        await all_work(played)
        played.faulty.active = True
        async with asyncio.timeout(600):
            await asyncio.gather(restarts(played), *(calls(handset, played) for handset in played.handsets))

        def unanswered() -> int:
            return sum(len(handset.asked) - len(handset.answered) for handset in played.handsets)

        await eventually(lambda: unanswered() == 0, timeout_s=LAST_S, what="an outcome for each call")
        await all_work(played)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        check(played)
        assert agent.outcomes[NONE] == 0
    codes = sum((handset.codes for handset in played.handsets), Counter[str]())
    sys.stdout.write(f"{dict(played.faulty.done)}; calls {dict(codes)}; invokes {dict(agent.outcomes)}\n")


def check(played: Scene) -> None:
    """Each has one, nobody was closed, and nothing is left."""
    for handset in played.handsets:
        assert set(handset.answered) == set(handset.asked)
        assert set(handset.answered.values()) == {1}
        assert set(handset.invoked.values()) <= {1}
    assert played.faulty.faults >= FAULTS
    assert played.built.hub.roster.connected() == PHONES
    assert played.built.stage.switchboard.forwarding.queue.entered == 0
    assert not played.built.stage.events("task-failed")
