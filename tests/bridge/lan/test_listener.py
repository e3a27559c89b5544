"""The port over real TLS on loopback: what a stranger can learn from it, and what becomes a WebSocket."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import ssl
import time
from collections.abc import Coroutine
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector, WSMsgType
from websockets.asyncio.client import connect

from bridge.addresses import ListenAddress
from bridge.lan.bind_refusal import BindRefused
from bridge.lan.listener import Deadlines, Listener, Upgraded
from bridge.log import silent_log
from bridge.tasks import Tasks
from certs.context import app_server_context
from certs.store import BridgeIdentity
from tests.bridge.lan.conftest import Serve
from tests.bridge.lan.doors import Recording, door_of
from tests.bridge.lan.wire import BINARY, CLOSE, HOST, PING, PONG, TEXT, UPGRADE, ask, client_context, peer
from tests.support.waiting import eventually


async def echo(upgraded: Upgraded) -> None:
    """Sends every message back as text, in brackets."""
    async for message in upgraded.socket:
        await upgraded.socket.send_frame(b"[" + bytes(message.data) + b"]", WSMsgType.TEXT)


GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
EMPTY_404 = b"HTTP/1.1 404 Not Found\r\n"


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize(
    "path", [b"/", b"/console", b"/v1/../console", b"/%2e%2e", b"//", b"/;x", b"/%00", b"/" + b"a" * 8_000, b"/?a=b"]
)
async def test_a_plain_request_gets_an_empty_404(serve: Serve, method: bytes, path: bytes) -> None:
    async with serve(echo) as listener:
        started = time.monotonic()
        answer = await ask(listener.port, method + b" " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert time.monotonic() - started < 1.0
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(EMPTY_404)
    assert body == b""
    headers = {line.split(b":")[0].strip().lower(): line.split(b":", 1)[1].strip() for line in head.split(b"\r\n")[1:]}
    assert headers[b"connection"] == b"close"
    assert headers.get(b"server", b"") == b""
    assert not {b"location", b"www-authenticate", b"set-cookie", b"upgrade"} & headers.keys()
    assert not [word for word in (b"aiohttp", b"python", b"clawdis", b"openclaw") if word in answer.lower()]


@pytest.mark.parametrize("line", [b"POST /", b"PUT /", b"OPTIONS *", b"DELETE /", b"TRACE /", b"GET http://x/"])
async def test_so_does_any_other_method(serve: Serve, line: bytes) -> None:
    async with serve(echo) as listener:
        answer = await ask(listener.port, line + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
    assert answer.startswith(EMPTY_404)


async def test_only_the_first_of_several_requests_is_answered(serve: Serve) -> None:
    async with serve(echo) as listener:
        answer = await ask(listener.port, GET % b"/" + GET % b"/second" + UPGRADE % (b"/", b""))
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "head",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon here\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X%d: y\r\n" % number for number in range(140)) + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"SSH-2.0-OpenSSH_9.9\r\n",
    ],
    ids=lambda head: repr(head[:40]),
)
async def test_a_malformed_request_ends_the_connection_without_words(serve: Serve, head: bytes) -> None:
    async with serve(echo, deadlines=Deadlines(request_s=0.5)) as listener:
        answer = await ask(listener.port, head)
    start, _, body = answer.partition(b"\r\n\r\n")
    assert not answer or start.split(b"\r\n")[0].split()[1] in {b"400", b"404"}
    assert body == b""
    assert b"aiohttp" not in answer.lower()


@pytest.mark.parametrize(
    "headers", [b"Origin: https://evil.example\r\n", b"Origin: null\r\n", b"origin: https://x.local\r\n"]
)
async def test_a_browser_is_refused(serve: Serve, headers: bytes) -> None:
    async with serve(echo) as listener:
        answer = await ask(listener.port, UPGRADE % (b"/", headers))
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("path", [b"/foo", b"/__openclaw__/worker", b"/pair/v1/enroll", b"//", b"/%2f"])
async def test_an_upgrade_elsewhere_is_no_upgrade(serve: Serve, path: bytes) -> None:
    async with serve(echo) as listener:
        assert (await ask(listener.port, UPGRADE % (path, b""))).startswith(EMPTY_404)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"Version: 13", b"Version: 12"), (b"dGhlIHNhbXBsZSBub25jZQ==", b"short"), (b"Connection: Upgrade\r\n", b"")],
)
async def test_an_upgrade_that_is_malformed_is_refused(serve: Serve, old: bytes, new: bytes) -> None:
    async with serve(echo) as listener:
        answer = await ask(listener.port, (UPGRADE % (b"/", b"")).replace(old, new))
    assert answer.split(b"\r\n")[0].split()[1] in {b"400", b"404"}
    assert answer.endswith(b"\r\n\r\n")


async def test_forwarding_headers_change_nothing(serve: Serve) -> None:
    seen: list[str] = []

    async def note(upgraded: Upgraded) -> None:
        seen.append(upgraded.address)

    async with serve(note) as listener, peer(listener.port) as phone:
        await phone.upgrade(headers=b"X-Forwarded-For: 192.0.2.9\r\nForwarded: for=192.0.2.9\r\n")
        await eventually(lambda: seen)
    assert seen == [HOST]


# TLS.


async def test_it_speaks_tls_1_3_and_http_1_1(serve: Serve) -> None:
    async with serve(echo) as listener, peer(listener.port, client_context("h2", "http/1.1")) as phone:
        assert phone.tls.version() == "TLSv1.3"
        assert phone.tls.selected_alpn_protocol() == "http/1.1"
        await phone.upgrade()


async def test_a_peer_that_speaks_h2_only_is_not_spoken_to_in_h2(serve: Serve) -> None:
    async with serve(echo) as listener:
        try:
            async with peer(listener.port, client_context("h2")) as phone:
                assert phone.tls.selected_alpn_protocol() is None
        except OSError:
            pass


async def test_tls_1_2_is_refused(serve: Serve) -> None:
    async with serve(echo) as listener:
        with pytest.raises(OSError):  # noqa: PT011 - ssl.SSLError or a reset, whichever the loop sees first
            async with peer(listener.port, client_context(highest=ssl.TLSVersion.TLSv1_2)):
                pass


@pytest.mark.parametrize("data", [GET % b"/", b"SSH-2.0-OpenSSH_9.9\r\n", bytes(65_536)])
async def test_without_tls_there_is_no_answer(serve: Serve, data: bytes) -> None:
    async with serve(echo) as listener:
        reader, writer = await asyncio.open_connection(HOST, listener.port)
        writer.write(data)
        answer = b""
        with suppress(ConnectionError):
            answer = await asyncio.wait_for(reader.read(), 8)
        writer.close()
    assert b"HTTP" not in answer
    assert len(answer) < 64  # a TLS alert at most


async def test_the_first_visits_of_an_app_leave_no_trace(serve: Serve) -> None:
    door = door_of(2, 4)
    async with serve(echo, door=door) as listener:
        for _ in range(10):
            socket.create_connection((HOST, listener.port)).close()
            refusing = ssl.create_default_context()  # trusts no self-signed certificate: aborts the handshake
            with pytest.raises(ssl.SSLError):
                await asyncio.open_connection(HOST, listener.port, ssl=refusing, server_hostname="x.local")
            await eventually(lambda: door.count == 0)
        async with peer(listener.port) as phone:
            await phone.upgrade()


# WebSockets.


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_text_and_binary_are_taken_and_text_is_sent(serve: Serve, opcode: int) -> None:
    async with serve(echo) as listener, peer(listener.port) as phone:
        await phone.upgrade()
        await phone.send(b'{"x":"\xc3\xa9"}', opcode)
        frame = await phone.frame()
    assert (frame.opcode, frame.payload, frame.reserved) == (TEXT, b'[{"x":"\xc3\xa9"}]', 0)


async def test_compression_and_subprotocols_are_not_negotiated(serve: Serve) -> None:
    headers = b"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: a, b\r\n"
    async with serve(echo) as listener, peer(listener.port) as phone:
        await phone.say(UPGRADE % (b"/", headers))
        head = await phone.head()
    assert head.startswith("HTTP/1.1 101")
    assert "extensions" not in head.lower()
    assert "aiohttp" not in head.lower()


async def test_pings_are_answered_and_sent(serve: Serve) -> None:
    async with serve(echo, deadlines=Deadlines(ping_s=0.3)) as listener, peer(listener.port) as phone:
        await phone.upgrade()
        await phone.send(b"are you there", PING)
        frame = await phone.frame()
        assert (frame.opcode, frame.payload) == (PONG, b"are you there")
        for _ in range(3):
            ping = await phone.frame()
            assert ping.opcode == PING
            await phone.send(ping.payload, PONG)


async def test_a_peer_that_does_not_answer_pings_is_gone(serve: Serve) -> None:
    async with serve(echo, deadlines=Deadlines(ping_s=0.2)) as listener, peer(listener.port) as phone:
        await phone.upgrade()
        started = time.monotonic()
        await phone.rest()
    assert time.monotonic() - started < 5.0


@pytest.mark.parametrize("library", ["aiohttp", "websockets"])
async def test_ordinary_clients_get_along(serve: Serve, library: str) -> None:
    async with serve(echo) as listener:
        url = f"wss://{HOST}:{listener.port}/"
        if library == "websockets":
            async with connect(url, ssl=client_context("http/1.1"), proxy=None) as phone:
                await phone.send(b"hi")
                assert await phone.recv() == "[hi]"
        else:
            connector = TCPConnector(ssl=client_context())
            async with ClientSession(connector=connector) as session, session.ws_connect(url) as socket_:
                await socket_.send_str("hi")
                assert await socket_.receive_str() == "[hi]"


async def test_an_orderly_close_is_answered(serve: Serve) -> None:
    async with serve(echo) as listener, peer(listener.port) as phone:
        await phone.upgrade()
        await phone.send((1000).to_bytes(2), CLOSE)
        assert (await phone.frame()).close[0] == 1000


# Addresses.


async def test_a_port_that_is_taken_is_an_error_and_nothing_stays_bound(identity: BridgeIdentity) -> None:
    async with Tasks(silent_log()) as tasks:
        listener = Listener(
            "apps", app_server_context(identity), door_of(1, 1), echo, frame_max_bytes=1, tasks=tasks, log=silent_log()
        )
        with socket.create_server((HOST, 0)) as taken:
            port = taken.getsockname()[1]
            addresses = [ListenAddress(IPv4Address("127.0.0.2")), ListenAddress(IPv4Address(HOST))]
            with pytest.raises(BindRefused, match=f"port {port} on 127.0.0.1 is taken"):
                await listener.start(addresses, port)
            with socket.create_server(("127.0.0.2", port)):
                assert len(tasks) == 0


async def test_both_families_are_served_on_one_port(identity: BridgeIdentity) -> None:
    async with Tasks(silent_log()) as tasks:
        context = app_server_context(identity)
        listener = Listener("apps", context, door_of(8, 8), echo, frame_max_bytes=1, tasks=tasks, log=silent_log())
        try:
            await listener.start([ListenAddress(IPv4Address(HOST)), ListenAddress(IPv6Address("::1"))], 0)
        except OSError:
            pytest.skip("only on machines with IPv6")
        for host in (HOST, "::1"):
            reader, writer = await asyncio.open_connection(
                host, listener.port, ssl=client_context(), server_hostname="x.local"
            )
            writer.write(GET % b"/")
            assert (await reader.read()).startswith(EMPTY_404)
            writer.close()
        assert listener.addresses == [HOST, "::1"]
        await listener.stop()


async def test_without_file_descriptors_it_waits_and_goes_on(serve: Serve) -> None:
    door = door_of(8, 8)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serve(echo, door=door) as listener:
        with socket.socket() as visitor:
            highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
            held = [os.dup(visitor.fileno())]
            while held[-1] < highest:  # no gap is left below the limit
                held.append(os.dup(visitor.fileno()))
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (max(*held, highest) + 1, before[1]))
                visitor.connect((HOST, listener.port))
                with pytest.raises(TimeoutError):
                    await eventually(lambda: door.count == 1, timeout_s=0.3)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
                for number in held:
                    os.close(number)
            await eventually(lambda: door.count == 1)


async def test_after_stop_nobody_gets_in(serve: Serve) -> None:
    async with serve(echo, deadlines=Deadlines(shutdown_s=0.2)) as listener:
        port = listener.port
        async with peer(port) as phone:
            await phone.upgrade()
            await listener.stop()
            await phone.rest()
    with pytest.raises(OSError):  # noqa: PT011 - refused, by whatever words of the system
        await asyncio.open_connection(HOST, port)


class Hasty(Tasks):
    """Cancels a handshake before its first step, as a stop does that comes right after a connection."""

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = super().spawn(name, work)
        if name == "handshake":
            task.cancel()
        return task


async def test_a_handshake_that_never_began_keeps_no_place_and_no_socket(identity: BridgeIdentity) -> None:
    door = Recording()
    async with Hasty(silent_log()) as tasks:
        context = app_server_context(identity)
        listener = Listener("apps", context, door, echo, frame_max_bytes=1_024, tasks=tasks, log=silent_log())
        await listener.start([ListenAddress(IPv4Address(HOST))], 0)
        reader, writer = await asyncio.open_connection(HOST, listener.port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        await eventually(lambda: door.let_in == 1 and door.count == 0)
        writer.close()
        await listener.stop()
