"""A recorder between the bridge and the gateway, or a node and the bridge: passes messages on and keeps copies."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

MAX_FRAME = 256 * 1024 * 1024  # more than either side sends: the recorder sets no limit of its own


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame.

    Attributes:
        up: whether the side that connected sent it: the bridge, or a node.
        connection: number of the connection.
        frame: the parsed frame.
    """

    up: bool
    connection: int
    frame: dict[str, Any]


class Tap:
    """Listens on a loopback port of its own and dials the other side for each connection.

    Args:
        url: the other side.
        listens: TLS of the port; None: plain.
        dials: TLS towards the other side; None: plain.
    """

    def __init__(self, url: str, *, listens: ssl.SSLContext | None = None, dials: ssl.SSLContext | None = None) -> None:
        self._url = url
        self._listens = listens
        self._dials = dials
        self._server: Server
        self._count = 0
        self._bridges: dict[int, ServerConnection] = {}
        self.seen: list[Seen] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(next(iter(self._server.sockets)).getsockname()[1])

    @property
    def url(self) -> str:
        """Where the bridge connects."""
        return f"ws://127.0.0.1:{self.port}"

    def told(self) -> list[tuple[dict[str, Any], str | None]]:
        """Returns what the side that connected was sent; an answer stands with the method that was asked for."""
        asked: dict[tuple[int, str], str] = {}
        for one in self.seen:
            if one.up and one.frame["type"] == "req":
                asked[one.connection, one.frame["id"]] = one.frame["method"]
        down = [one for one in self.seen if not one.up]
        return [(one.frame, asked.get((one.connection, one.frame.get("id", "")))) for one in down]

    def sent_up(self, method: str | None = None) -> list[dict[str, Any]]:
        """Returns what the bridge sent, of one method or all."""
        return [one.frame for one in self.seen if one.up and (method is None or one.frame.get("method") == method)]

    async def inject(self, frame: dict[str, Any], connection: int | None = None) -> int:
        """Says something to the bridge in the gateway's name, on one connection or on all; returns on how many."""
        chosen = [one for number, one in self._bridges.items() if connection in (None, number)]
        for bridge in chosen:
            await bridge.send(json.dumps(frame))
        return len(chosen)

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._relay,
            "127.0.0.1",
            0,
            ssl=self._listens,
            compression=None,
            max_size=MAX_FRAME,
            ping_interval=None,
            server_header=None,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _relay(self, bridge: ServerConnection) -> None:
        self._count += 1
        number = self._count
        try:
            gateway = await connect(
                self._url,
                ssl=self._dials,
                compression=None,
                max_size=MAX_FRAME,
                proxy=None,
                ping_interval=None,
                user_agent_header=None,
            )
        except OSError:
            bridge.transport.abort()
            return
        self._bridges[number] = bridge
        try:
            async with gateway, asyncio.TaskGroup() as both:
                both.create_task(self._pass(bridge, gateway, number, up=True))
                both.create_task(self._pass(gateway, bridge, number, up=False))
        finally:
            del self._bridges[number]

    async def _pass(
        self,
        source: AsyncIterable[str | bytes],
        target: ServerConnection | ClientConnection,
        number: int,
        *,
        up: bool,
    ) -> None:
        try:
            async for message in source:
                self.seen.append(Seen(up, number, json.loads(message)))
                await target.send(message)
        except ConnectionClosed:
            pass
        if isinstance(source, ServerConnection | ClientConnection):
            code = source.close_code or 1006
            if code in (1005, 1006):
                target.transport.abort()
            else:
                await target.close(code, source.close_reason or "")
