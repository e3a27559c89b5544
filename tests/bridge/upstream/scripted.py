"""A gateway that says what its script tells it to, true or not, and counts what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import websockets
from websockets.asyncio.server import Server, ServerConnection, serve

Params = dict[str, Any]
Answer = Callable[[Params], Any]
HELLO: Params = {
    "type": "hello-ok",
    "protocol": 4,
    "server": {"version": "2026.9.6", "connId": "c1"},
    "policy": {"maxPayload": 26_214_400, "maxBufferedBytes": 52_428_800, "tickIntervalMs": 30_000},
}


class Refused(Exception):
    """Raised by an answer: the request fails with this error object."""

    def __init__(self, code: str, message: str = "no", /, **details: Any) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, **({"details": details} if details else {})}


class Silence(Exception):
    """Raised by an answer: the request is never answered."""


class ScriptedGateway:
    """Use as `async with ScriptedGateway() as gateway`; change `answers` and `hello` at any time."""

    def __init__(self) -> None:
        self.port = 0
        self.answers: dict[str, Answer] = {}
        """By method; a method without one is never answered."""
        self.raw: dict[str, Callable[[str], str]] = {}
        """By method: from the id of a request to the message that answers it, whatever that is."""
        self.hello: Answer = lambda params: HELLO
        """Answers `connect`; may raise."""
        self.challenge: bytes | str = json.dumps(
            {"type": "event", "event": "connect.challenge", "payload": {"nonce": "n", "ts": 1}}
        )
        self.hangs_up = False
        """Whether it cuts a connection right after hello."""
        self.dials = 0
        """Sockets that were opened."""
        self.connects: list[Params] = []
        self.requests: list[tuple[str, Params]] = []
        self.sockets: set[ServerConnection] = set()
        self._server: Server

    @property
    def url(self) -> str:
        """Its address."""
        return f"ws://127.0.0.1:{self.port}"

    def asked(self, method: str) -> list[Params]:
        """Return the parameters of each request of a method."""
        return [params for name, params in self.requests if name == method]

    async def __aenter__(self) -> Self:
        self._server = await serve(self._serve, "127.0.0.1", 0, compression=None, max_size=None, close_timeout=0.2)
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self._server.wait_closed()

    def drop_all(self) -> None:
        """Cut every connection without a word."""
        for socket in list(self.sockets):
            socket.transport.abort()

    async def close_all(self, code: int) -> None:
        """Close every connection with a code; 1006: without a close frame."""
        if code == 1006:
            self.drop_all()
            return
        await asyncio.gather(*(socket.close(code, "for the test") for socket in list(self.sockets)))

    async def say(self, event: str, payload: Any) -> None:
        """Send an event to everyone."""
        await self.say_raw(json.dumps({"type": "event", "event": event, "payload": payload}))

    async def say_raw(self, message: bytes | str) -> None:
        """Send a message to everyone."""
        for socket in list(self.sockets):
            with suppress(websockets.ConnectionClosed):
                await socket.send(message)

    async def _serve(self, socket: ServerConnection) -> None:
        self.dials += 1
        with suppress(websockets.ConnectionClosed):
            await socket.send(self.challenge)
            connect = json.loads(await socket.recv())
            self.connects.append(connect["params"])
            if not await self._answer(socket, connect, self.hello):
                await socket.close(1008, "refused")
                return
            if self.hangs_up:
                socket.transport.abort()
                return
            self.sockets.add(socket)
            try:
                async for message in socket:
                    request = json.loads(message)
                    self.requests.append((request["method"], request.get("params")))
                    raw = self.raw.get(request["method"])
                    if raw is not None:
                        await socket.send(raw(request["id"]))
                    else:
                        await self._answer(socket, request, self.answers.get(request["method"]))
            finally:
                self.sockets.discard(socket)

    @staticmethod
    async def _answer(socket: ServerConnection, request: Params, answer: Answer | None) -> bool:
        if answer is None:
            return False
        frame: Params = {"type": "res", "id": request["id"], "ok": True}
        try:
            payload = answer(request.get("params") or {})
            frame["payload"] = await payload if asyncio.iscoroutine(payload) else payload
        except Refused as refused:
            frame |= {"ok": False, "error": refused.error}
        except Silence:
            return True
        await socket.send(json.dumps(frame))
        return bool(frame["ok"])
