"""The only owner of LAN sockets: accepts, shakes hands with TLS, answers HTTP, and hands WebSockets to a relay.

The accept loop is ours so that an address is seen before TLS and a failed handshake is seen at all: the event loop's
own server hides both. A plain GET or HEAD gets an empty 404: apps ask for it before they open their socket.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import WSMsgType, hdrs, web

from bridge import clock
from bridge.addresses import ListenAddress
from bridge.lan.bound_socket import bind
from bridge.lan.budget import Budget
from bridge.lan.door import Door, TurnedAway, Visit
from bridge.lan.frame_gate import Metering, cut
from bridge.lan.frame_rules import Breach
from bridge.lan.guest import Guest
from bridge.lan.handshake import read_failure
from bridge.lan.inflow import Inflow, Pool
from bridge.lan.metered import MeteredProtocol
from bridge.lan.quiet import QuietHandler, QuietServer, empty_answer, no_access
from bridge.log import UNSAID, Log
from bridge.tasks import Tasks

ACCEPT_RETRY_S = 1.0  # seconds to wait when the process has no file descriptor left
REFUSAL_LINES = 20  # lines of the log per minute about strangers that are refused, of each kind; the rest is debug
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
ROOT = "/"
_PLAIN = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})  # what apps ask before they open their socket
PAIR = "/pair/v1/"

Handler = Callable[["Upgraded"], Awaitable[None]]
Judge = Callable[[bytes | None, str], Guest]
"""From the client's certificate (DER, or None) and address to who that is."""
Pages = Callable[[web.BaseRequest, Guest, MeteredProtocol], Awaitable[web.Response]]
"""Answers what lies below `PAIR`; may give the connection more seconds, and tells the door what came of it."""


@dataclass(frozen=True, slots=True)
class NodePort:
    """What a port has that asks for client certificates.

    Attributes:
        judge: tells who comes.
        pages: the routes that need no certificate.
    """

    judge: Judge
    pages: Pages


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a peer may take, in seconds.

    Attributes:
        handshake_s: for TLS.
        request_s: from TLS to the upgrade, and for an answered connection to go.
        ping_s: between WebSocket pings; half of it for the pong (design §4).
        shutdown_s: for the peer's close frame and close_notify.
        message_s: for a large message, from the moment at which there is room for it.
    """

    handshake_s: float = 5.0
    request_s: float = 10.0
    ping_s: float = 25.0
    shutdown_s: float = 2.0
    message_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A WebSocket of a peer.

    Attributes:
        socket: the open WebSocket; text messages come as bytes.
        visit: the connection as the door sees it.
        promote: called once when the peer is in: the door is told, its byte budget is lifted.
        abort: ends the connection without a close frame.
        inflow: the account of its large messages.
        certified: the node that a client certificate proved; None at the app port.
    """

    socket: web.WebSocketResponse
    visit: Visit
    promote: Callable[[], None]
    abort: Callable[[], None]
    inflow: Inflow
    certified: str | None = None

    @property
    def address(self) -> str:
        """The peer's IP address."""
        return self.visit.address


class Listener:
    """One TCP port on some addresses.

    Args:
        name: what `status` and logs call it.
        context: TLS.
        door: places for strangers, shared by all ports.
        handler: runs one WebSocket until it ends.
        node_port: of the port that asks for client certificates; None: the app port, where none is requested.
        frame_max_bytes: bytes of the largest WebSocket message.
        pool: the budget of large messages, shared by all ports; None: one of its own.
        handshake: is told how each TCP connection began: made, refused, aborted or turned-away.
        deadlines: how long a peer may take.
    """

    def __init__(
        self,
        name: str,
        context: ssl.SSLContext,
        door: Door,
        handler: Handler,
        *,
        node_port: NodePort | None = None,
        frame_max_bytes: int,
        tasks: Tasks,
        log: Log,
        pool: Pool | None = None,
        handshake: Callable[[str], None] = lambda outcome: None,
        deadlines: Deadlines = Deadlines(),
    ) -> None:
        self.name = name
        self.addresses: list[str] = []
        self.port = 0
        self._context = context
        self._door = door
        self._handler = handler
        self._node_port = node_port
        self._frame_max_bytes = frame_max_bytes
        self._tasks = tasks
        self._log = log.bind(listener=name)
        self._pool = pool or Pool()
        self._count_handshake = handshake
        self._deadlines = deadlines
        self._accepting: list[asyncio.Task[None]] = []
        self._server = QuietServer(
            self._answer,
            access_log=None,
            lingering_time=0,
            keepalive_timeout=deadlines.request_s,
            max_headers=128,
            max_line_size=8190,
        )
        self._connections: dict[Any, MeteredProtocol] = {}
        self._sockets: list[socket.socket] = []
        self._lines = Budget(REFUSAL_LINES)

    @property
    def door(self) -> Door:
        """Who may open a socket."""
        return self._door

    def use(self, context: ssl.SSLContext) -> None:
        """Shakes hands with this context from now on; open connections stay."""
        self._context = context

    async def start(self, addresses: Sequence[ListenAddress], port: int) -> None:
        """Binds all addresses and begins to accept.

        With port 0 the first address takes a free one and the others follow.

        Raises:
            BindRefused: an address or the port cannot be had; nothing is bound then.
        """
        try:
            for address in addresses:
                bound = bind(self.name, address, self.port or port)
                self._sockets.append(bound)
                self.port = bound.getsockname()[1]
                self.addresses.append(address.text)
        except OSError:
            self._close_sockets()
            raise
        for bound in self._sockets:
            self._accepting.append(self._tasks.spawn(f"accept-{self.name}", self._accept(bound)))

    async def stop(self) -> None:
        """Stops accepting and ends what is left of the connections."""
        for task in self._accepting:
            task.cancel()
        if self._accepting:
            await asyncio.wait(self._accepting)  # before their sockets close: a number that is free is soon another's
        self._close_sockets()
        await self._server.shutdown(self._deadlines.shutdown_s)
        for metered in list(self._connections.values()):
            metered.abort()

    def _close_sockets(self) -> None:
        for bound in self._sockets:
            bound.close()
        self._sockets.clear()

    async def _accept(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while bound.fileno() != -1:
            try:
                peer, address = await loop.sock_accept(bound)
            except OSError as exc:
                if bound.fileno() == -1:
                    return
                if exc.errno in _EXHAUSTED:
                    self._log.warning("accept-failed", error=str(exc))
                    await asyncio.sleep(ACCEPT_RETRY_S)
                continue  # any other error is about a connection that has ended already
            ip = str(address[0])
            visit = self._door.enter(ip, clock.now().mono)
            if isinstance(visit, TurnedAway):
                peer.close()
                self._count_handshake("turned-away")
                self._note("turned-away", address=ip, why=visit.value)
                continue
            self._greet(peer, visit)

    def _note(self, event: str, **fields: str) -> None:
        more = {} if self._lines.spend(event, clock.now().mono) else {UNSAID: True}
        self._log.info(event, **fields, **more)

    def _greet(self, peer: socket.socket, visit: Visit) -> None:
        metered = MeteredProtocol(self._server(), visit, lambda: self._forget(metered), self._deadlines.request_s)
        self._connections[metered.inner] = metered
        handshake = self._tasks.spawn("handshake", self._shake_hands(peer, metered))
        handshake.add_done_callback(lambda _: self._drop_unless_made(peer, metered))

    async def _shake_hands(self, peer: socket.socket, metered: MeteredProtocol) -> None:
        try:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: metered,
                peer,
                ssl=self._context,
                ssl_handshake_timeout=self._deadlines.handshake_s,
                ssl_shutdown_timeout=self._deadlines.shutdown_s,
            )
        except (OSError, TimeoutError) as exc:
            self._note_failure(metered.visit, exc)

    def _drop_unless_made(self, peer: socket.socket, metered: MeteredProtocol) -> None:
        if metered.made:
            self._count_handshake("made")
        else:  # the handshake failed or was cancelled, perhaps before its first step
            peer.close()
            self._forget(metered)

    def _note_failure(self, visit: Visit, exc: OSError) -> None:
        failure = read_failure(exc)
        self._count_handshake("aborted" if failure.by_peer else "refused")
        if failure.by_peer:  # an app's first visits end so on purpose: connect-and-close, then a handshake it aborts
            visit.note_pace(clock.now().mono)
            visit.forgive()
            self._log.debug("tls-aborted", address=visit.address, reason=failure.reason)
        else:
            self._note("tls-refused", address=visit.address, reason=failure.reason)

    def _forget(self, metered: MeteredProtocol) -> None:
        self._connections.pop(metered.inner, None)
        metered.visit.leave()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        metered = self._connections.get(request.protocol)
        if metered is None:
            return empty_answer(404)
        metered.visit.note_pace(clock.now().mono)
        guest = self._guest(request, metered.visit.address)
        if guest.refused is not None:
            self._note("certificate-refused", address=guest.address, why=guest.refused)
            return no_access()
        if self._node_port is not None and request.rel_url.raw_path.startswith(PAIR):
            return empty_answer(403) if hdrs.ORIGIN in request.headers else await self._page(request, guest, metered)
        if not _is_upgrade(request):
            if request.method in _PLAIN:
                metered.visit.forgive()
            return empty_answer(404)
        if hdrs.ORIGIN in request.headers:
            return empty_answer(403)
        if self._node_port is not None and guest.node_id is None:
            return no_access()
        return await self._upgrade(request, metered, guest)

    def _guest(self, request: web.BaseRequest, address: str) -> Guest:
        if self._node_port is None:
            return Guest(address)
        tls = request.transport.get_extra_info("ssl_object") if request.transport is not None else None
        if tls is None or tls.version() != "TLSv1.3" or tls.session_reused:
            return Guest(address, refused="its TLS is not a full 1.3 handshake")
        return self._node_port.judge(tls.getpeercert(binary_form=True), address)

    async def _page(self, request: web.BaseRequest, guest: Guest, metered: MeteredProtocol) -> web.StreamResponse:
        if self._node_port is None:
            return empty_answer(404)
        return await self._node_port.pages(request, guest, metered)

    def _cut(self, socket_: web.WebSocketResponse, metered: MeteredProtocol, breach: Breach) -> None:
        self._note("frames-refused", address=metered.visit.address, why=breach.reason)
        self._tasks.spawn("cut", cut(socket_, breach, metered.abort, self._deadlines.shutdown_s))

    async def _upgrade(self, request: web.BaseRequest, metered: MeteredProtocol, guest: Guest) -> web.StreamResponse:
        socket_ = web.WebSocketResponse(
            compress=False,
            max_msg_size=self._frame_max_bytes + 1,  # aiohttp refuses what is as long as this, not only what is longer
            heartbeat=self._deadlines.ping_s,
            decode_text=False,
            timeout=self._deadlines.shutdown_s,
        )
        socket_.headers[hdrs.SERVER] = ""
        handler = cast("QuietHandler", request.protocol)  # `QuietServer` makes no other
        handler.on_breach = lambda breach: self._cut(socket_, metered, breach)
        inflow = self._pool.open()
        metered.on_end(inflow.close)
        limits = self._deadlines
        handler.metering = Metering(inflow, handler, self._frame_max_bytes, limits.message_s, limits.ping_s / 4)
        try:
            await socket_.prepare(request)
        except web.HTTPException as refused:
            return empty_answer(refused.status)
        metered.begin_socket()

        def promote() -> None:
            metered.promote()
            inflow.admitted = True
            metered.visit.admit(clock.now().mono)

        with suppress(ConnectionError):
            await self._handler(Upgraded(socket_, metered.visit, promote, metered.abort, inflow, guest.node_id))
        return socket_


def _is_upgrade(request: web.BaseRequest) -> bool:
    return (
        request.method == hdrs.METH_GET
        and request.path == ROOT
        and request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"
    )


__all__ = ["Handler", "Listener", "Upgraded", "WSMsgType"]
