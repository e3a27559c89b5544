"""The WebSocket under `ClientProtocol`: dials, pumps messages, matches answers. Decides nothing.

Used for the gateway (plain, loopback only) and, with `Tls`, by a node that talks to a bridge.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, assert_never
from urllib.parse import urlsplit

import websockets
from websockets.asyncio.client import ClientConnection, connect

from gateway_client.errors import (
    ConnectRefusedError,
    GatewayGoneError,
    GatewayUnreachableError,
    NotLoopbackError,
    ProtocolViolationError,
    RequestTimeoutError,
    RequestTooLargeError,
    TooManyRequestsError,
    UnreadableAnswerError,
)
from gateway_client.frames import Event, JsonObject, Response
from gateway_client.identity import DeviceIdentity
from gateway_client.protocol import (
    MAX_PAYLOAD,
    Answered,
    Arrived,
    ClientProtocol,
    ConnectProfile,
    Credentials,
    Dropped,
    Fail,
    Opened,
    Output,
    Refused,
    State,
    Transmit,
)

OPEN_S = 10.0  # seconds for TCP, TLS and the upgrade
REQUEST_S = 30.0  # seconds: the protocol's default for a request (gateway-protocol §1.4)
CLOSE_S = 2.0  # seconds to wait for the peer's half of a close

# Bytes of the longest message that does not end the connection. What the protocol cannot use costs only that message,
# so this has to be more than the gateway can be made to send: a result of `MAX_PAYLOAD` as text, and the same parsed
# and written anew, where `1e20,` becomes 22 bytes instead of 5. 1 + 22/5 = 5.4, so 6 x 25 MiB.
MAX_MESSAGE = 6 * MAX_PAYLOAD


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS with a check of the peer's certificate that runs before any byte of HTTP is sent.

    Attributes:
        context: the client context.
        check_peer: raises when the certificate that the handshake showed is not the right one; what it raises is what
            entering the connection raises.
    """

    context: ssl.SSLContext
    check_peer: Callable[[ssl.SSLObject], None]


async def require_loopback(url: str) -> None:
    """Resolves the host of `url` and refuses whatever is not this machine.

    Raises:
        NotLoopbackError: an address of the host is not a loopback address.
        GatewayUnreachableError: the name does not resolve, or the URL is not ws:// with a host.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise GatewayUnreachableError(f"{url} is not a ws:// address: {exc}") from exc
    if parts.scheme != "ws" or not host:
        raise GatewayUnreachableError(f"{url} is not a ws:// address")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise GatewayUnreachableError(f"{host} does not resolve: {why}") from exc
    for *_, address in found:
        _require_loopback_address(host, str(address[0]))


def _require_loopback_address(host: str, address: str) -> None:
    if not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        found = host if host == address else f"{host} is {address}, which"
        raise NotLoopbackError(f"{found} is not on this machine")


def _guarded(check: Callable[[asyncio.BaseTransport], None]) -> type[ClientConnection]:
    class GuardedConnection(ClientConnection):
        """Checks who it reached before the upgrade request; also after a redirect, which websockets follows."""

        async def handshake(self, *args: Any, **kwargs: Any) -> None:  # Any: websockets' own signature, passed on
            check(self.transport)
            await super().handshake(*args, **kwargs)

    return GuardedConnection


class GatewayConnection(AbstractAsyncContextManager["GatewayConnection"]):
    """One authenticated connection. Use as `async with`, then `await run(on_event)` until it ends.

    Entering dials, shakes hands and waits for hello-ok.

    Raises (on entering):
        GatewayUnreachableError, NotLoopbackError, ConnectRefusedError, ProtocolViolationError, GatewayGoneError.
    """

    def __init__(
        self,
        url: str,
        profile: ConnectProfile,
        credentials: Credentials,
        identity: DeviceIdentity | None,
        *,
        tls: Tls | None = None,
        binary: bool = False,
        payload_version: int = 3,
    ) -> None:
        self._url = url
        self._make = (profile, credentials, identity, payload_version)
        self._tls = tls
        self._binary = binary
        self._waiting: dict[str, tuple[asyncio.Future[Response], Callable[[Response], None] | None]] = {}
        self._socket: ClientConnection
        self._protocol: ClientProtocol
        self._on_event: Callable[[Event], None]
        self._on_dropped: Callable[[Dropped], None]
        self.hello: JsonObject = {}
        """The payload of hello-ok."""

    async def __aenter__(self) -> Self:
        if self._tls is None:
            await require_loopback(self._url)
        self._socket = await self._dial()
        profile, credentials, identity, version = self._make
        self._protocol = ClientProtocol(
            profile, credentials, identity, new_id=_new_id, now=self._now(), payload_version=version
        )
        try:
            while self._protocol.state is not State.OPEN:
                await self._step()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _dial(self) -> ClientConnection:
        try:
            return await connect(
                self._url,
                ssl=self._tls.context if self._tls else None,
                create_connection=_guarded(self._check_peer),
                compression=None,
                user_agent_header=None,
                proxy=None,
                max_size=MAX_MESSAGE,
                max_queue=16,
                open_timeout=OPEN_S,
                close_timeout=CLOSE_S,
                ping_interval=None,
            )
        except (OSError, TimeoutError, ValueError, websockets.WebSocketException) as exc:
            raise GatewayUnreachableError(f"{self._url}: {exc}") from exc

    def _check_peer(self, transport: asyncio.BaseTransport) -> None:
        if self._tls is not None:
            self._tls.check_peer(transport.get_extra_info("ssl_object"))
        else:  # the name may resolve to something else now than when it was asked about
            _require_loopback_address(self._url, transport.get_extra_info("peername")[0])

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def run(
        self, on_event: Callable[[Event], None], on_dropped: Callable[[Dropped], None] = lambda _: None
    ) -> GatewayGoneError:
        """Pumps messages until the connection ends; returns how. Events that came with hello-ok are delivered first.

        Args:
            on_event: called with each event.
            on_dropped: called for each message that could not be taken.

        Raises:
            ProtocolViolationError: the peer went silent.
        """
        self._on_event = on_event  # hello-ok was the last message read, so nothing arrived before this
        self._on_dropped = on_dropped
        while True:
            try:
                await self._step()
            except GatewayGoneError as gone:
                return gone

    async def _step(self) -> None:
        try:
            async with asyncio.timeout_at(self._protocol.next_deadline()):
                data = await self._socket.recv(decode=False)
        except TimeoutError:
            outputs = self._protocol.handle_timer(self._now())
        except websockets.ConnectionClosed as exc:
            close = exc.rcvd or exc.sent
            gone = GatewayGoneError(close.code if close else 1006, close.reason if close else "")
            self._fail_waiting(gone)
            raise gone from exc
        else:
            outputs = self._protocol.receive(data, self._now())
        for output in outputs:
            await self._perform(output)

    async def _perform(self, output: Output) -> None:
        match output:
            case Transmit(data=data):
                await self._send(data)
            case Opened(hello=hello):
                self.hello = hello
            case Refused(error=error):
                raise ConnectRefusedError(error)
            case Arrived(event=event):
                self._on_event(event)
            case Answered(response=response, final=final):
                self._settle(response, final)
            case Dropped(fault=fault, request_id=request_id):
                self._spoil(request_id, UnreadableAnswerError(fault))
                self._on_dropped(output)
            case Fail(code=code, reason=reason):
                self._fail_waiting(GatewayGoneError(code, reason))
                await self._socket.close(code, reason[:120])
                raise ProtocolViolationError(reason)
            case _:
                assert_never(output)

    def _settle(self, response: Response, final: bool) -> None:
        future, on_interim = self._waiting.get(response.id, (None, None))
        if future is None or future.done():
            return
        if final:
            future.set_result(response)
        elif on_interim is not None:
            on_interim(response)

    def _spoil(self, request_id: str | None, exc: UnreadableAnswerError) -> None:
        future, _ = self._waiting.get(request_id or "", (None, None))
        if future is not None and not future.done():
            future.set_exception(exc)

    def _fail_waiting(self, exc: GatewayGoneError) -> None:
        for future, _ in self._waiting.values():
            if not future.done():
                future.set_exception(exc)

    async def _send(self, data: bytes) -> None:
        try:
            await self._socket.send(data, text=not self._binary)
        except websockets.ConnectionClosed as exc:
            close = exc.rcvd or exc.sent
            raise GatewayGoneError(close.code if close else 1006, close.reason if close else "") from exc

    async def request(
        self,
        method: str,
        params: JsonObject,
        *,
        wait_s: float | None = REQUEST_S,
        on_interim: Callable[[Response], None] | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> Response:
        """Sends a request and returns its final response, failing ones included.

        Cancelling it forgets the request: a late answer is dropped.

        Args:
            method: the method's name.
            params: its parameters.
            wait_s: seconds to wait for the final answer; None waits as long as the connection lives.
            on_interim: called with the first of an `agent`'s two answers.
            on_sent: called when the request has left; neither it nor `params` is kept beyond that.

        Raises:
            GatewayGoneError: the connection ended first.
            RequestTimeoutError: no answer within `wait_s`.
            UnreadableAnswerError: the answer breaks a bound.
            RequestTooLargeError: longer than the gateway takes; nothing was sent.
            TooManyRequestsError: too many are unanswered; nothing was sent.
        """
        if self._protocol.full:
            raise TooManyRequestsError(f"{method}: too many requests are unanswered")
        try:
            request_id, data = self._protocol.request(method, params)
        except RuntimeError as exc:
            raise GatewayGoneError(1006, str(exc)) from exc
        if len(data) > self._protocol.max_payload:
            self._protocol.forget(request_id)
            raise RequestTooLargeError(f"{method}: {len(data)} bytes, at most {self._protocol.max_payload}")
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = (future, on_interim)
        try:
            async with asyncio.timeout(wait_s):
                await self._send(data)
                del data, params
                if on_sent is not None:
                    on_sent()
                return await future
        except TimeoutError as exc:
            raise RequestTimeoutError(f"{method}: no answer within {wait_s} s") from exc
        finally:
            del self._waiting[request_id]
            self._protocol.forget(request_id)
            if future.done() and not future.cancelled():
                future.exception()  # read, so that a failure nobody awaits any more is not reported as lost

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes the connection, within `CLOSE_S` seconds; harmless when it is closed. Waiting requests fail."""
        self._fail_waiting(GatewayGoneError(code, reason or "closed by this side"))
        try:
            with suppress(AttributeError):  # websockets 17 aborts a transport that the peer has already taken away
                await self._socket.close(code, reason)
        except asyncio.CancelledError:
            self._socket.transport.abort()  # whoever is cancelled does not wait for the peer's goodbye
            raise


def _new_id() -> str:
    return str(uuid.uuid4())
