"""A recorder's opposite: stands between the bridge and the gateway, and spoils what passes."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bridge.tasks import Tasks

MAX_FRAME = 256 * 1024 * 1024
STORM = 1_000  # events at once
LATE_S = 0.6  # seconds: longer than the invokes of a test may take
SLOW_S = 0.1
SHARE = 0.15  # of the messages that meet a fault
RARE = 0.06  # of the faults that cost the connection, or are a storm
CLOSES = (1000, 1001, 1008, 1011, 1012, 1013, 4000, 4001)
GARBAGE = ("{", "[]", "nul", '{"type":"event"}', '{"type":"res","id":"nobody","ok":1}', b"\xff\xfe\x00", "[" * 2_000)
EVENT = json.dumps({"type": "event", "event": "presence", "payload": {"n": 1}})


class Cut(Exception):
    """The connection ends now."""


class FaultyGateway:
    """Passes messages between the bridge and a gateway; of those to the bridge some meet a fault.

    Args:
        url: the gateway.
        seed: of its choices.
        limit: how many faults.
        tasks: own what is under way.
    """

    def __init__(self, url: str, seed: int, limit: int, tasks: Tasks) -> None:
        self.url = ""
        self.active = False
        self.done = Counter[str]()
        self._gateway = url
        self._random = random.Random(seed)  # noqa: S311 - repeatable faults, no secrets
        self._tasks = tasks
        self._limit = limit

    @property
    def faults(self) -> int:
        """How many there were."""
        return self.done.total()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listens for a block."""
        server = await serve(self._relay, "127.0.0.1", 0, compression=None, max_size=MAX_FRAME, ping_interval=None)
        self.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        async with server:
            yield

    async def _relay(self, bridge: ServerConnection) -> None:
        try:
            gateway = await connect(
                self._gateway, compression=None, max_size=MAX_FRAME, proxy=None, ping_interval=None, close_timeout=0.5
            )
        except (OSError, ConnectionClosed):
            bridge.transport.abort()
            return
        async with gateway:
            up = self._tasks.spawn("upwards", self._up(bridge, gateway))
            with suppress(ConnectionClosed, Cut):
                await self._down(gateway, bridge)
            up.cancel()
            await asyncio.wait({up})
        if gateway.close_code in (None, 1005, 1006):
            bridge.transport.abort()
        elif bridge.close_code is None:
            await bridge.close(gateway.close_code or 1000, gateway.close_reason or "")

    @staticmethod
    async def _up(bridge: ServerConnection, gateway: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            async for message in bridge:
                await gateway.send(message)
        await gateway.close()

    async def _down(self, gateway: ClientConnection, bridge: ServerConnection) -> None:
        is_open = False
        async for message in gateway:
            frame = json.loads(message)
            if is_open and self.active and self.faults < self._limit and self._random.random() < SHARE:
                await self._spoil(bridge, frame)
            else:
                await bridge.send(message)
            is_open = is_open or frame["type"] == "res"

    async def _spoil(self, bridge: ServerConnection, frame: dict[str, Any]) -> None:
        rare = self._random.random() < RARE
        name, fault = self._random.choice(_RARE if rare else _COMMON)
        self.done[name] += 1
        if fault is _nothing:
            self._tasks.spawn("late-message", _send_late(bridge, frame))
        await fault(self._random, bridge, frame)


async def _send_late(bridge: ServerConnection, frame: dict[str, Any]) -> None:
    await asyncio.sleep(LATE_S)
    with suppress(ConnectionClosed):
        await bridge.send(json.dumps(frame))


async def _nothing(_chance: random.Random, _bridge: ServerConnection, _frame: dict[str, Any]) -> None:
    """The message is held back; those behind it pass."""


async def _garbage(chance: random.Random, bridge: ServerConnection, frame: dict[str, Any]) -> None:
    await bridge.send(chance.choice(GARBAGE))
    await bridge.send(json.dumps(frame))


async def _twice(_chance: random.Random, bridge: ServerConnection, frame: dict[str, Any]) -> None:
    await bridge.send(json.dumps(frame))
    await bridge.send(json.dumps(frame))


async def _slow(_chance: random.Random, bridge: ServerConnection, frame: dict[str, Any]) -> None:
    await asyncio.sleep(SLOW_S)
    await bridge.send(json.dumps(frame))


async def _wrong_id(_chance: random.Random, bridge: ServerConnection, frame: dict[str, Any]) -> None:
    await bridge.send(json.dumps({**frame, "id": "another"} if frame["type"] == "res" else frame))


async def _ok_is_a_word(_chance: random.Random, bridge: ServerConnection, frame: dict[str, Any]) -> None:
    await bridge.send(json.dumps({**frame, "ok": "yes"} if frame["type"] == "res" else frame))


async def _storm(_chance: random.Random, bridge: ServerConnection, frame: dict[str, Any]) -> None:
    for _ in range(STORM):
        await bridge.send(EVENT)
    await bridge.send(json.dumps(frame))


async def _cut(_chance: random.Random, bridge: ServerConnection, _frame: dict[str, Any]) -> None:
    bridge.transport.abort()
    raise Cut


async def _close(chance: random.Random, bridge: ServerConnection, _frame: dict[str, Any]) -> None:
    await bridge.close(chance.choice(CLOSES), "a fault")
    raise Cut


Fault = Callable[[random.Random, ServerConnection, dict[str, Any]], Coroutine[Any, Any, None]]
_COMMON: list[tuple[str, Fault]] = [
    ("garbage", _garbage),
    ("duplicate", _twice),
    ("late", _nothing),
    ("slow", _slow),
    ("wrong id", _wrong_id),
    ("ok is a word", _ok_is_a_word),
]
_RARE: list[tuple[str, Fault]] = [("cut", _cut), ("close", _close), ("storm", _storm)]
