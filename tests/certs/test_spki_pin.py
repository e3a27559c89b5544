"""A server known by its key: whoever connects is told in the handshake, and a stranger gets nothing at all."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding
from websockets.asyncio.client import connect

from certs.context import PinMismatch, SpkiMismatch, SpkiPin, app_server_context, node_client_context, require_pin
from certs.keys import spki_der
from certs.spki_pin import PinnedContext
from certs.store import BridgeIdentity
from tests.support.waiting import eventually

OTHER = "0" * 64
SECRET = b"for the bridge only"
Client = Callable[[int, ssl.SSLContext], Coroutine[Any, Any, None]]


class Tap:
    """A TLS server that keeps every byte a client sends.

    State: what came after the server's flight was sent, what came as application data, and how many left.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.port = 0
        self.answer_flight = b""
        self.application = b""
        self.gone = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(incoming, outgoing, server_side=True)
        flights, open_ = 0, True
        with suppress(ConnectionError):
            while open_ and (data := await reader.read(65_536)):
                self.answer_flight += data if flights else b""
                flights += 1
                incoming.write(data)
                with suppress(ssl.SSLWantReadError):
                    tls.do_handshake()
                    while open_:
                        self.application += (text := tls.read(65_536))
                        open_ = bool(text)  # nothing: the client said goodbye
                writer.write(outgoing.read())
        self.gone += 1
        writer.close()


@asynccontextmanager
async def tapped(identity: BridgeIdentity) -> AsyncIterator[Tap]:
    tap = Tap(app_server_context(identity))
    server = await asyncio.start_server(tap.serve, "127.0.0.1", 0)
    async with server:
        tap.port = server.sockets[0].getsockname()[1]
        yield tap


@asynccontextmanager
async def web_server(identity: BridgeIdentity) -> AsyncIterator[tuple[int, list[str]]]:
    """An HTTP server with a WebSocket at `/ws`; the list tells what was asked for."""
    asked: list[str] = []

    async def page(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        if request.path != "/ws":
            return web.Response(text="page")
        upgraded = web.WebSocketResponse()
        await upgraded.prepare(request)
        await upgraded.send_str("hello")
        await upgraded.close()
        return upgraded

    runner = web.ServerRunner(web.Server(page), shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=app_server_context(identity))
        await site.start()
        yield site.port, asked
    finally:
        await runner.cleanup()


async def by_streams(port: int, context: ssl.SSLContext) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="bridge.local")
    writer.write(SECRET)
    await writer.drain()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def by_aiohttp(port: int, context: ssl.SSLContext) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"https://127.0.0.1:{port}/", ssl=context) as answer:
        assert await answer.text() == "page"


async def by_aiohttp_socket(port: int, context: ssl.SSLContext) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"wss://127.0.0.1:{port}/ws", ssl=context) as socket_,
    ):
        assert await socket_.receive_str() == "hello"


async def by_websockets(port: int, context: ssl.SSLContext) -> None:
    async with connect(f"wss://127.0.0.1:{port}/ws", ssl=context, proxy=None) as socket_:
        assert await socket_.recv() == "hello"


clients = pytest.mark.parametrize("client", [by_aiohttp, by_aiohttp_socket, by_websockets])
everyone = pytest.mark.parametrize("client", [by_streams, by_aiohttp, by_aiohttp_socket, by_websockets])


def mismatch_in(error: BaseException) -> SpkiMismatch:
    """Return the refusal behind what a library made of it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, SpkiMismatch):
        cause = cause.__cause__
    assert cause is not None, error
    return cause


@clients
async def test_the_pinned_server_is_reached(bridge_identity: BridgeIdentity, client: Client) -> None:
    pin = SpkiPin(bridge_identity.spki)
    async with web_server(bridge_identity) as (port, asked):
        await client(port, node_client_context(pin))
        await client(port, node_client_context(pin))
    assert len(asked) == 2
    assert pin.seen == bridge_identity.spki


@everyone
async def test_another_server_gets_nothing(
    bridge_identity: BridgeIdentity, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Positive control: without the check in `do_handshake` the tap holds the client's flight and its request."""
    pin = SpkiPin(OTHER)
    async with tapped(bridge_identity) as tap:
        with pytest.raises(OSError, match="nothing was sent") as caught:
            await client(tap.port, node_client_context(pin))
        await eventually(lambda: tap.gone)
    refusal = mismatch_in(caught.value)
    assert (refusal.expected, refusal.seen) == (OTHER, bridge_identity.spki)
    assert OTHER in str(caught.value)
    assert bridge_identity.spki in str(caught.value)
    assert pin.seen is None
    assert (tap.answer_flight, tap.application) == (b"", b"")
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR", "CRITICAL")]


async def test_the_tap_of_these_tests_would_see_what_is_sent(bridge_identity: BridgeIdentity) -> None:
    async with tapped(bridge_identity) as tap:
        await by_streams(tap.port, node_client_context(SpkiPin(bridge_identity.spki)))
        await eventually(lambda: tap.gone)
    assert tap.answer_flight
    assert tap.application == SECRET


async def test_the_first_key_is_recorded_and_required_from_then_on(
    bridge_identity: BridgeIdentity, other_identity: BridgeIdentity
) -> None:
    pin = SpkiPin()
    assert (pin.expected, pin.seen, pin.seen_der) == (None, None, None)
    async with web_server(bridge_identity) as (port, _), web_server(other_identity) as (other_port, asked):
        await by_aiohttp(port, node_client_context(pin))
        assert pin.expected == pin.seen == bridge_identity.spki
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await by_aiohttp(other_port, node_client_context(pin))
        assert mismatch_in(caught.value).seen == other_identity.spki
        await by_aiohttp(port, node_client_context(pin))
    assert asked == []
    assert pin.seen == bridge_identity.spki


async def test_a_renewed_certificate_of_the_same_key_is_the_same_server(
    bridge_identity: BridgeIdentity, renewed_identity: BridgeIdentity
) -> None:
    assert renewed_identity.pin != bridge_identity.pin
    pin = SpkiPin()
    for identity in (bridge_identity, renewed_identity):
        async with web_server(identity) as (port, _):
            await by_websockets(port, node_client_context(pin))
    assert pin.seen == bridge_identity.spki


async def test_the_check_and_the_pin_of_the_certificate_can_be_had_together(bridge_identity: BridgeIdentity) -> None:
    async with tapped(bridge_identity) as tap:
        context = node_client_context(SpkiPin(bridge_identity.spki))
        _, writer = await asyncio.open_connection("127.0.0.1", tap.port, ssl=context)
        try:
            require_pin(writer.get_extra_info("ssl_object"), bridge_identity.pin)
            with pytest.raises(PinMismatch):
                require_pin(writer.get_extra_info("ssl_object"), OTHER)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


class TestByHand:
    """One connection in memory, where the order of calls is the caller's."""

    @staticmethod
    def pair(identity: BridgeIdentity, pin: SpkiPin) -> tuple[ssl.SSLObject, ssl.SSLObject, ssl.MemoryBIO]:
        ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = node_client_context(pin).wrap_bio(ours, theirs, server_hostname="bridge.local")
        server = app_server_context(identity).wrap_bio(theirs, ours, server_side=True)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        with pytest.raises(ssl.SSLWantReadError):
            server.do_handshake()
        return client, server, theirs

    def test_nothing_can_be_sent_or_read_before_the_handshake(self, bridge_identity: BridgeIdentity) -> None:
        """Positive control: OpenSSL itself finishes the handshake in `write`, past `do_handshake`."""
        client, server, sent = self.pair(bridge_identity, SpkiPin(OTHER))
        for use in (lambda: client.write(SECRET), lambda: client.read(16)):
            with pytest.raises(ssl.SSLError, match="was not checked"):
                use()
        assert sent.pending == 0
        with pytest.raises(ssl.SSLWantReadError):
            server.do_handshake()

    def test_nothing_can_be_sent_or_read_after_a_refusal(self, bridge_identity: BridgeIdentity) -> None:
        client, _, _ = self.pair(bridge_identity, SpkiPin(OTHER))
        for attempt in (client.do_handshake, client.do_handshake):
            with pytest.raises(SpkiMismatch):
                attempt()
        with pytest.raises(ssl.SSLError, match="was not checked"):
            client.write(SECRET)

    def test_a_changed_context_does_not_lift_the_check(self, bridge_identity: BridgeIdentity) -> None:
        client, _, _ = self.pair(bridge_identity, SpkiPin(bridge_identity.spki))
        client.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with pytest.raises(ssl.SSLError, match="without pin"):
            client.do_handshake()

    def test_a_checked_connection_carries_data_both_ways(self, bridge_identity: BridgeIdentity) -> None:
        client, server, _ = self.pair(bridge_identity, SpkiPin(bridge_identity.spki))
        client.do_handshake()
        server.do_handshake()
        client.write(SECRET)
        assert server.read(64) == SECRET
        server.write(SECRET)
        buffer = bytearray(64)
        client.read(64, buffer)
        assert buffer.startswith(SECRET)


def test_blocking_sockets_are_not_served() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TypeError, match="asyncio only"):
        node_client_context(SpkiPin()).wrap_socket(ours)


def test_what_is_no_hash_is_the_callers_mistake() -> None:
    for text in ("", "0" * 63, "sha1:" + "0" * 64):
        with pytest.raises(ValueError, match="a pin is"):
            SpkiPin(text)


@pytest.mark.parametrize("shown", [None, b"", b"\0", b"0\0", b"0\x82\x01\x00" + bytes(256)])
def test_a_server_without_a_readable_key_is_refused(shown: bytes | None) -> None:
    for pin in (SpkiPin(), SpkiPin(OTHER)):
        before = pin.expected
        with pytest.raises(SpkiMismatch, match="no key that can be read") as caught:
            pin.check(shown)
        assert (caught.value.expected, caught.value.seen) == (before, None)
        assert (pin.expected, pin.seen) == (before, None)


def test_the_recorded_key_comes_whole(bridge_identity: BridgeIdentity) -> None:
    pin = SpkiPin()
    pin.check(bridge_identity.certificate.public_bytes(Encoding.DER))
    assert pin.seen_der == spki_der(bridge_identity.key.public_key())


def test_a_pinned_context_trusts_and_offers_what_any_context_here_does() -> None:
    context = node_client_context(SpkiPin())
    assert isinstance(context, PinnedContext)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3
    assert context.cert_store_stats() == {"x509": 0, "crl": 0, "x509_ca": 0}
    assert context.keylog_filename is None
