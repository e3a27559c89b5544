"""A gateway of a few lines on a loopback port: it shakes hands, then does what a test's script says."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import websockets
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from gateway_client.connection import GatewayConnection, Tls
from gateway_client.frames import Event, Json, JsonObject
from gateway_client.protocol import ConnectProfile, Credentials
from tests.gateway_client.corpus import HELLO

CHALLENGE: JsonObject = {"type": "event", "event": "connect.challenge", "payload": {"nonce": "N", "ts": 1}}
PROFILE = ConnectProfile(
    client={"id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend"},
    role="operator",
    scopes=["operator.read"],
)


@dataclass
class Peer:
    """One connection, seen from the gateway."""

    socket: ServerConnection
    messages: list[str | bytes] = field(default_factory=list)
    """What the client sent, with the type that tells text from binary."""

    async def take(self) -> JsonObject:
        """Read one message."""
        self.messages.append(await self.socket.recv())
        frame: JsonObject = json.loads(self.messages[-1])
        return frame

    async def event(self, name: str, payload: Json = None) -> None:
        await self.send({"type": "event", "event": name, "payload": payload})

    async def answer(self, request: JsonObject, payload: Json = None) -> None:
        await self.send({"type": "res", "id": request["id"], "ok": True, "payload": payload})

    async def refuse(self, request: JsonObject, code: str, **more: Json) -> None:
        error: JsonObject = {"code": code, "message": "no", **more}
        await self.send({"type": "res", "id": request["id"], "ok": False, "error": error})

    async def send(self, frame: JsonObject) -> None:
        await self.socket.send(json.dumps(frame))

    async def greet(self, hello: Json = HELLO) -> JsonObject:
        """Shake hands; returns the client's `connect`."""
        await self.send(CHALLENGE)
        connect = await self.take()
        await self.answer(connect, hello)
        return connect

    async def echo(self) -> None:
        """Answer every request with its parameters until the client goes."""
        while True:
            request = await self.take()
            await self.answer(request, request.get("params"))


Script = Callable[[Peer], Awaitable[None]]


@dataclass
class Gateway:
    """What a test sees of the double."""

    url: str
    peers: list[Peer] = field(default_factory=list)

    @property
    def closes(self) -> list[int | None]:
        """The close code of each connection; None while it is open."""
        return [peer.socket.close_code for peer in self.peers]


async def friendly(peer: Peer) -> None:
    """Greet, then echo."""
    await peer.greet()
    await peer.echo()


@asynccontextmanager
async def gateway(
    script: Script = friendly,
    *,
    host: str = "127.0.0.1",
    context: ssl.SSLContext | None = None,
    on_upgrade: Callable[[ServerConnection, Request], Response | None] | None = None,
) -> AsyncIterator[Gateway]:
    """Serve until the block ends; every connection runs `script`."""
    made = Gateway("")

    async def handle(socket: ServerConnection) -> None:
        peer = Peer(socket)
        made.peers.append(peer)
        try:
            await script(peer)
        except websockets.ConnectionClosed:
            return

    async with serve(handle, host, 0, ssl=context, process_request=on_upgrade, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        made.url = f"{'wss' if context else 'ws'}://{host}:{port}"
        yield made


def connection(url: str, *, tls: Tls | None = None, binary: bool = False) -> GatewayConnection:
    """Return a connection of the backend operator, not entered yet."""
    return GatewayConnection(url, PROFILE, Credentials("token", "S"), None, tls=tls, binary=binary)


@asynccontextmanager
async def talking(
    made: GatewayConnection, on_event: Callable[[Event], None] = lambda event: None
) -> AsyncIterator[GatewayConnection]:
    """Enter a connection and pump it until the block ends."""
    async with asyncio.TaskGroup() as group, made:
        group.create_task(made.run(on_event))
        yield made
