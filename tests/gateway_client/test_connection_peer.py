"""Who is at the other end is known before anything is sent: loopback for the gateway, the pin for a bridge."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from gateway_client.connection import Tls, require_loopback
from gateway_client.errors import GatewayUnreachableError, NotLoopbackError
from tests.gateway_client.gateway_double import connection, gateway, talking
from tests.support.waiting import eventually


class WrongPeer(Exception):
    """What the check of these tests raises."""


def lan_address() -> str:
    """Return an address of this machine that is not loopback; skip where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # UDP: nothing is sent
        except OSError:
            pytest.skip("only on a machine with a network")
        return str(probe.getsockname()[0])


@asynccontextmanager
async def eavesdropper(
    context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Listen and keep all that each connection brings; yields the port and the list."""
    heard: list[bytes] = []
    done: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(b"")
        try:
            while data := await reader.read(4096):
                heard[-1] += data
        except OSError:
            pass
        finally:
            writer.close()
            done.append(writer)

    server = await asyncio.start_server(handle, host, 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], heard
    await eventually(lambda: len(done) == len(heard))


@pytest.mark.parametrize(
    "url", ["ws://127.0.0.1:1", "ws://127.9.8.7:1", "ws://[::1]:1/path", "ws://localhost:1", "ws://127.0.0.1"]
)
async def test_loopback_is_fine(url: str) -> None:
    await require_loopback(url)


@pytest.mark.parametrize(
    "host",
    [
        "192.0.2.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.1.1",
        "0.0.0.0",
        "128.0.0.1",
        "[::]",
        "[2001:db8::1]",
        "[fe80::1]",
        "[::ffff:192.0.2.1]",
    ],
)
async def test_anything_else_is_not(host: str) -> None:
    with pytest.raises(NotLoopbackError, match="not on this machine") as refused:
        await require_loopback(f"ws://{host}:18789")
    assert f"{host.strip('[]')} is {host.strip('[]')}" not in str(refused.value)


BAD_URLS = [
    "", "127.0.0.1:1", "wss://127.0.0.1:1", "http://127.0.0.1:1", "ws://", "ws:///path", "ws://:1", "ws://[::1",
    "ws://127.0.0.1:99999",
    "ws://127.0.0.1:x", "ws://127.0.0.1:-1", f"ws://{'a' * 64}.example:1", "ws://a..b:1", "file:///etc/passwd",
    "unix:/tmp/x",
]  # fmt: skip


@pytest.mark.parametrize("url", BAD_URLS)
async def test_what_is_no_address_of_a_gateway_is_an_error_of_this_package(url: str) -> None:
    with pytest.raises(GatewayUnreachableError):
        await require_loopback(url)
    with pytest.raises(GatewayUnreachableError):
        await connection(url).__aenter__()


async def test_an_address_beyond_this_machine_is_refused_before_dialling() -> None:
    async with eavesdropper() as (port, heard):
        with pytest.raises(NotLoopbackError):
            await connection(f"ws://0.0.0.0:{port}").__aenter__()  # reaches the listener if it is dialled
    assert heard == []


async def test_a_name_that_resolves_elsewhere_a_moment_later_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    address, loop = lan_address(), asyncio.get_running_loop()
    asked: list[str] = []
    resolve = loop.getaddrinfo

    async def rebinding(host: str, port: int, **kwargs: Any) -> list[Any]:  # Any: the loop's own signature
        asked.append(host)
        return await resolve("127.0.0.1" if len(asked) == 1 else address, port, **kwargs)

    monkeypatch.setattr(loop, "getaddrinfo", rebinding)
    async with eavesdropper(host=address) as (port, heard):
        asked.clear()
        with pytest.raises(NotLoopbackError):
            await connection(f"ws://gateway.test:{port}").__aenter__()
    assert (asked, heard) == (["gateway.test"] * 2, [b""])


async def test_a_redirect_off_this_machine_is_not_followed_with_a_word() -> None:
    async with eavesdropper(host=lan_address()) as (port, heard):
        target = f"ws://{lan_address()}:{port}/"

        def redirect(server: ServerConnection, request: Request) -> Response:
            return Response(302, "Found", Headers({"Location": target, "Content-Length": "0"}))

        async with gateway(on_upgrade=redirect) as double:
            with pytest.raises(NotLoopbackError):
                await connection(double.url).__aenter__()
    assert heard == [b""]


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server context, and a client context that leaves the check to the pin."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(server)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return server, client


def checking(seen: list[bytes | None], error: Exception | None = None) -> Callable[[ssl.SSLObject], None]:
    def check(tls: ssl.SSLObject) -> None:
        seen.append(tls.getpeercert(binary_form=True))
        if error is not None:
            raise error

    return check


async def test_a_peer_that_passes_the_check_is_talked_to() -> None:
    server, client = contexts()
    seen: list[bytes | None] = []
    async with (
        gateway(context=server) as double,
        talking(connection(double.url, tls=Tls(client, checking(seen)))) as made,
    ):
        assert (await made.request("health", {})).ok
    assert len(seen) == 1
    assert seen[0]


async def test_a_peer_that_fails_the_check_hears_not_one_byte_of_http() -> None:
    server, client = contexts()
    seen: list[bytes | None] = []
    async with eavesdropper(server) as (port, heard):
        with pytest.raises(WrongPeer):
            await connection(f"wss://127.0.0.1:{port}", tls=Tls(client, checking(seen, WrongPeer()))).__aenter__()
    assert len(seen) == 1
    assert b"".join(heard) == b""


async def test_without_the_failing_check_the_eavesdropper_would_hear_the_upgrade() -> None:
    server, client = contexts()
    async with eavesdropper(server) as (port, heard), asyncio.TaskGroup() as group:
        made = connection(f"wss://127.0.0.1:{port}", tls=Tls(client, checking([])))
        task = group.create_task(made.__aenter__())
        await eventually(lambda: b"\r\n\r\n" in b"".join(heard))
        task.cancel()
    assert heard[0].startswith(b"GET / HTTP/1.1\r\n")


async def test_a_peer_that_speaks_no_tls_or_fails_it_is_unreachable() -> None:
    server, client = contexts()
    strict = ssl.create_default_context()
    async with gateway() as plain, gateway(context=server) as secure:
        for url, context in ((plain.url.replace("ws:", "wss:"), client), (secure.url, strict), (plain.url, client)):
            with pytest.raises(GatewayUnreachableError):
                await connection(url, tls=Tls(context, checking([]))).__aenter__()
    assert plain.peers == secure.peers == []


@pytest.mark.parametrize("url", ["wss://127.0.0.1:99999", "wss://a..b:1", "wss://", "https://127.0.0.1"])
async def test_a_bad_address_with_tls_is_an_error_of_this_package_too(url: str) -> None:
    with pytest.raises(GatewayUnreachableError):
        await connection(url, tls=Tls(contexts()[1], checking([]))).__aenter__()
