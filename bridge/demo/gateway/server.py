"""The embedded gateway's shell: a WebSocket server on 127.0.0.1 that reads, dispatches and closes."""

from __future__ import annotations

import asyncio
import http
from types import TracebackType
from typing import Self

import orjson
import websockets
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response as HttpResponse

from bridge.demo.gateway.core import Core, Turn, new_id, now_ms
from bridge.demo.gateway.handlers import HANDLERS, NORMALIZERS, SLOW_HANDLERS, identity_answer
from bridge.demo.gateway.hello import MAX_PAYLOAD
from bridge.demo.gateway.methods import authorize
from bridge.demo.gateway.model import GatewaySetup
from bridge.demo.gateway.peer import Peer
from bridge.demo.gateway.refusals import ConnectRefusal, Refusal, invalid, pairing_changed
from bridge.demo.gateway.schema import faults_of
from bridge.demo.gateway.shapes import PARAMS, REQUEST_FRAME
from bridge.log import Log, silent_log
from bridge.tasks import Tasks
from gateway_client.frames import ErrorShape, Event, Json, JsonObject, object_of
from gateway_client.identity import DeviceIdentity

MAX_PREAUTH = 65_536  # bytes of a frame before hello-ok
REFUSALS_IN_A_ROW = 10  # answers `unauthorized role` that are borne in a row
PING_S = 25.0  # seconds between WebSocket pings, and for the pong
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")


class EmbeddedGateway:
    """The small gateway. Use as `async with EmbeddedGateway(setup, turn) as gateway`.

    State (pairings, conversations) lives as long as the object, the port too: `stop` and `start` are a restart.
    """

    def __init__(self, setup: GatewaySetup, turn: Turn, *, log: Log | None = None) -> None:
        self.setup = setup
        self.port = setup.port
        """TCP port on 127.0.0.1; known after the first start."""
        log = log or silent_log()
        self._tasks = Tasks(log)
        self.core = Core(setup, turn, self._tasks, log)
        """Pairings, nodes and conversations, for an owner that wants to look."""
        self._server: Server | None = None
        self._sockets: set[Peer] = set()
        identity = DeviceIdentity(Ed25519PrivateKey.generate())
        self._handlers = {**HANDLERS, "gateway.identity.get": identity_answer(identity)}

    @property
    def url(self) -> str:
        """`ws://127.0.0.1:<port>`."""
        return f"ws://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        await self._tasks.__aexit__(kind, exc, trace)

    async def start(self) -> None:
        """Listens, on the former port when there was one."""
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            max_size=MAX_PAYLOAD,
            compression=None,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            process_request=_check_upgrade,
            server_header=None,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Says goodbye (`shutdown`, close 1012) and stops listening; harmless when stopped."""
        self.core.broadcast("shutdown", {"reason": "gateway stopping"})
        for peer in list(self._sockets):
            peer.close(1012, "service restart")
        await self._end()

    async def kill(self) -> None:
        """Drops every connection without a word and stops listening, as a killed process does."""
        for peer in list(self._sockets):
            peer.abort()
        await self._end()

    async def _end(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close(close_connections=False)
            await server.wait_closed()

    async def _serve(self, socket: ServerConnection) -> None:
        request = socket.request
        peer = Peer(socket, request.headers.get("Origin") if request else None)
        self._sockets.add(peer)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(peer, tasks), name="demo-gateway-read")
                tasks.create_task(self._tick(peer), name="demo-gateway-tick")
                await peer.write()
                raise _Ended
        except* _Ended:
            pass
        finally:
            self._sockets.discard(peer)
            self.core.detach(peer)

    async def _tick(self, peer: Peer) -> None:
        while True:
            await asyncio.sleep(self.setup.tick_interval_ms / 1000)
            if peer.client is not None:
                peer.broadcast("tick", {"ts": now_ms()})

    async def _read(self, peer: Peer, tasks: asyncio.TaskGroup) -> None:
        nonce = new_id()
        challenge: JsonObject = {"nonce": nonce, "ts": now_ms()}
        peer.send(Event("connect.challenge", challenge))
        try:
            async with asyncio.timeout(self.setup.handshake_s):
                while peer.client is None:
                    self._handshake(peer, await peer.socket.recv(decode=False), nonce)
            while True:
                self._request(peer, await peer.socket.recv(decode=False), tasks)
        except TimeoutError:
            peer.close(1000, "")
        except websockets.ConnectionClosed:
            raise _Ended from None

    def _handshake(self, peer: Peer, data: bytes, nonce: str) -> None:
        if peer.closing:
            return
        if len(data) > MAX_PREAUTH:
            peer.close(1009, "")
            return
        try:
            frame: Json = orjson.loads(data)  # of two members of one name the last counts, as at the real gateway
        except orjson.JSONDecodeError:
            peer.close(1000, "")
            return
        if faults_of(REQUEST_FRAME, frame):
            peer.close(1008, "invalid request frame")
            return
        request = object_of(frame)
        request_id = str(request["id"])
        try:
            if request["method"] != "connect":
                message = "invalid handshake: first request must be connect"
                raise ConnectRefusal(ErrorShape("INVALID_REQUEST", message))
            self.core.connect(peer, request_id, request.get("params"), nonce)
        except ConnectRefusal as refusal:
            if not refusal.silent:
                peer.refuse(request_id, refusal.error)
            peer.close(refusal.code, refusal.reason)

    def _request(self, peer: Peer, data: bytes, tasks: asyncio.TaskGroup) -> None:
        try:
            frame: Json = orjson.loads(data)
        except orjson.JSONDecodeError:
            return  # not JSON: ignored, as by the real gateway
        if peer.closing:
            return
        faults = faults_of(REQUEST_FRAME, frame)
        request = object_of(frame)
        if faults:
            given = request.get("id")
            error = ErrorShape("INVALID_REQUEST", f"invalid request frame: {faults}")
            peer.refuse(given if isinstance(given, str) and given else "invalid", error)
            return
        request_id, method = str(request["id"]), str(request["method"])
        try:
            params = self._admit(peer, method, request.get("params"))
        except Refusal as refusal:
            self._refuse(peer, request_id, refusal)
            return
        if method in SLOW_HANDLERS:
            tasks.create_task(self._slow(peer, request_id, method, params), name=f"demo-gateway-{method}")
            return
        try:
            payload = self._handlers[method](self.core, peer.client, params) if peer.client else None
        except Refusal as refusal:
            self._refuse(peer, request_id, refusal)
            return
        self._answer(peer, request_id, payload)

    def _admit(self, peer: Peer, method: str, params: Json) -> JsonObject:
        client = peer.client
        if client is None:
            raise invalid("not connected")
        refusal = authorize(method, client.role, client.scopes)
        if refusal is not None:
            raise refusal
        if client.role == "node" and self.core.nodes.of(client) is None:
            raise pairing_changed("node pairing changed before request dispatch")
        if method not in self._handlers and method not in SLOW_HANDLERS:
            raise invalid(f"unknown method: {method}")
        mended = NORMALIZERS[method](params) if method in NORMALIZERS else params
        check = PARAMS.get(method)
        faults = faults_of(check, {} if mended is None else mended) if check else ""
        if faults:
            raise invalid(f"invalid {method} params: {faults}")
        return object_of(mended)

    async def _slow(self, peer: Peer, request_id: str, method: str, params: JsonObject) -> None:
        if peer.client is None:
            return
        try:
            payload = await SLOW_HANDLERS[method](
                self.core, peer.client, params, lambda interim: self._answer(peer, request_id, interim)
            )
        except Refusal as refusal:
            self._refuse(peer, request_id, refusal)
        else:
            self._answer(peer, request_id, payload)

    def _answer(self, peer: Peer, request_id: str, payload: Json) -> None:
        peer.refused_in_a_row = 0
        peer.answer(request_id, payload)

    def _refuse(self, peer: Peer, request_id: str, refusal: Refusal) -> None:
        peer.refuse(request_id, refusal.error, refusal.payload)
        if not refusal.error.message.startswith("unauthorized role:"):
            peer.refused_in_a_row = 0
            return
        peer.refused_in_a_row += 1
        if peer.refused_in_a_row > REFUSALS_IN_A_ROW:
            peer.close(1008, "repeated unauthorized calls")


class _Ended(Exception):
    """The connection is over: stops its other tasks."""


def _check_upgrade(connection: ServerConnection, request: HttpRequest) -> HttpResponse | None:
    """Refuses proxied requests, and answers the health page; everything else may upgrade."""
    if any(name in request.headers for name in FORWARDED):
        body = '{"error":{"message":"proxy attribution required","type":"proxy_attribution_required"}}'
        return _json(connection.respond(http.HTTPStatus.FORBIDDEN, body))
    if request.path == "/healthz":
        return _json(connection.respond(http.HTTPStatus.OK, '{"ok":true,"status":"live"}'))
    return None


def _json(response: HttpResponse) -> HttpResponse:
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json; charset=utf-8"
    return response
