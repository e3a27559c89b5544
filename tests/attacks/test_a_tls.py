"""Attacks A1, A2, A9, A10, A16: on TLS itself, at both ports."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.attacks import in_clear as bare
from tests.attacks.early_data import can_send_early, send_early, session_of
from tests.attacks.fortress import Fortress
from tests.attacks.in_clear import MARK, MARKED, in_clear, is_no_answer, logged, now_in
from tests.bridge.lan.wire import client_context, peer
from tests.support.scale import scale
from tests.support.tls13 import (
    CERTIFICATE,
    CLIENT_HELLO,
    DATA,
    HANDSHAKE,
    POST_HANDSHAKE_AUTH,
    Alert,
    HandMade,
    Hello,
    hand_made,
    message,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLAIN_GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
FLOOD = 10_000
SOON_S = 5.0  # seconds in which an attack must end its connection: before the deadline for becoming a WebSocket would
SECRET_NAME = b"clawdis-name-7f3a"  # what must be in no output


@pytest.fixture(params=["nodes", "apps"])
def port(request: pytest.FixtureRequest, castle: Fortress) -> int:
    """Each of the two ports."""
    return castle.node_port if request.param == "nodes" else castle.app_port


@asynccontextmanager
async def unmarked(castle: Fortress, port: int) -> AsyncIterator[bytes]:
    """Yield what leaves a mark when it is parsed; afterwards there must be none, and everything be well."""
    nodes = port == castle.node_port
    mark, marked = (MARK, MARKED) if nodes else (bare.APP_MARK, bare.APP_MARKED)
    async with castle.unharmed():
        since = now_in(castle)
        yield mark
        assert castle.events(marked, since) == [], "it reached the parser"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
class TestA1OldVersions:
    """A client that offers old versions only is refused, and the log says why.

    Guard: `minimum_version` in `_restrict` (certs/context.py); without it TLS 1.2 connects: DID NOT RAISE.
    """

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
    async def test_the_handshake_fails(self, castle: Fortress, port: int, version: ssl.TLSVersion) -> None:
        context = client_context(highest=version)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = version
        async with castle.unharmed():
            since = now_in(castle)
            with pytest.raises((ssl.SSLError, ConnectionError)):  # an alert, or the end of the connection
                async with peer(port, context):
                    pass
            (line,) = await logged(castle, "tls-refused", since)
            assert (line["reason"], line["address"]) == ("UNSUPPORTED_PROTOCOL", "127.0.0.1")


class TestA2NoTls:
    """Whoever does not speak TLS gets no byte of an application.

    Guard: `ssl=self._context` in `_shake_hands` (bridge/lan/listener.py), whatever comes. With TLS only for connections
    that begin with its first byte (`MSG_PEEK`), the GET is answered, with a 404, and the others stay open.
    """

    @pytest.mark.parametrize(
        "data", [PLAIN_GET, b"SSH-2.0-OpenSSH_9.9\r\n", bytes(65_536)], ids=["http", "ssh", "zeros"]
    )
    async def test_it_is_closed(self, castle: Fortress, port: int, data: bytes) -> None:
        async with castle.unharmed():
            since = now_in(castle)
            answer = await in_clear(port, data)
            assert is_no_answer(answer), answer
            (line,) = await logged(castle, "tls-refused", since)
            assert line["reason"] in {
                "HTTP_REQUEST",
                "WRONG_VERSION_NUMBER",
                "BAD_RECORD_TYPE",
                "PACKET_LENGTH_TOO_LONG",
            }


class TestA9BytesBeforeTls:
    """Bytes in clear never reach the parser, whatever follows them (CVE-2023-40217 and the class of start_tls).

    Guard: `ssl=self._context` in `_shake_hands` (bridge/lan/listener.py), whatever comes. With TLS only for connections
    that begin with its first byte (`MSG_PEEK`), the marks of "before the hello" and of "a reset" are in the log.

    Bytes behind the hello are OpenSSL's to refuse.
    """

    async def test_before_the_hello(self, castle: Fortress, port: int) -> None:
        async with unmarked(castle, port) as mark:
            since = now_in(castle)
            answer = await in_clear(port, mark, Hello().as_record())
            assert is_no_answer(answer), answer
            await logged(castle, "tls-refused", since)

    async def test_behind_the_hello(self, castle: Fortress, port: int) -> None:
        async with unmarked(castle, port) as mark:
            since = now_in(castle)
            async with hand_made(port) as client:
                with pytest.raises((Alert, EOFError, ConnectionError)):
                    await _shake_and_hear(client, behind=mark)
            await logged(castle, "tls-refused", since)

    async def test_and_a_reset(self, castle: Fortress, port: int) -> None:
        async with unmarked(castle, port) as mark:
            for _ in range(scale(2_000)):
                await asyncio.to_thread(bare.and_reset, port, mark)
            assert is_no_answer(await in_clear(port, PLAIN_GET))  # what came before has been dealt with

    async def test_the_mark_is_one(self, castle: Fortress, port: int) -> None:
        async def parsed() -> None:
            async with unmarked(castle, port) as mark, peer(port) as client:
                await client.say(mark)
                await client.rest()

        with pytest.raises(AssertionError, match="reached the parser"):
            await parsed()


class TestA10NamesInTheHello:
    """Names that a ClientHello asks for are ignored or refused; they are in no log and no path.

    Guard: none looks at them. With an `sni_callback` on the server's context that logs the name, its marks are in the
    log; with `h2` in `set_alpn_protocols` (certs/context.py) that is chosen.
    """

    @pytest.mark.parametrize(
        "name",
        [
            b"",
            SECRET_NAME.ljust(255, b"x"),
            SECRET_NAME.ljust(4096, b"x"),
            SECRET_NAME + b"\x00.local",
            b"../../" + SECRET_NAME,
            b"\x1b[2J\r\n" + SECRET_NAME + b"\xff\xfe",
        ],
        ids=["empty", "255", "4096", "nul", "path", "control"],
    )
    async def test_host_names(self, castle: Fortress, port: int, name: bytes) -> None:
        async with castle.unharmed():
            before = _files(castle.bridge.home)
            async with hand_made(port) as client:
                try:
                    await client.shake_hands(Hello.naming(name))
                    client.send(DATA, PLAIN_GET)
                    assert (await client.receive())[1].startswith(b"HTTP/1.1 404 ")
                except (Alert, EOFError, ConnectionError):
                    assert not 0 < len(name) <= 255 or b"\x00" in name, "a name that may be asked for"
            _check_nothing_of(castle, before)

    @pytest.mark.parametrize("name", ["h2", SECRET_NAME.decode(), "../x", "\x1b[2J\n"])
    async def test_protocols(self, castle: Fortress, port: int, name: str) -> None:
        async with castle.unharmed():
            before = _files(castle.bridge.home)
            async with peer(port, client_context(name)) as client:
                assert client.tls.selected_alpn_protocol() is None
                await client.say(PLAIN_GET)
                assert (await client.rest()).startswith(b"HTTP/1.1 404 ")
            async with peer(port, client_context(name, "http/1.1")) as client:
                assert client.tls.selected_alpn_protocol() == "http/1.1"
            _check_nothing_of(castle, before)


class TestA16AfterTheHandshake:
    """What TLS 1.3 offers beside its handshake: data before it, certificates, handshakes and key updates after it.

    Guards: early data: `num_tickets = 0` (certs/context.py) leaves no session to resume, and `ssl` never allows any;
    the client's own is accepted by `openssl s_server`, in the same test. Post-handshake messages: OpenSSL's own; with
    `post_handshake_auth = True` in `_server_context` the canary's certificate is not asked for in time, and it stays
    out. Flood: `_weigh` in certs/frugal.py; without it 10,000 updates are answered, and the connection stays.
    """

    @pytest.mark.skipif(not can_send_early(), reason="only on machines with OpenSSL's command line")
    async def test_early_data(self, castle: Fortress, tmp_path: Path) -> None:
        (tmp_path / "early").write_bytes(MARK)
        async with castle.unharmed(), session_of(tmp_path) as (session, elsewhere):
            assert "Early data was accepted" in await send_early(elsewhere, session, tmp_path / "early")
            for port in (castle.node_port, castle.app_port):
                since = now_in(castle)
                said = await send_early(port, session, tmp_path / "early")
                assert "Early data was rejected" in said
                assert "Reused" not in said
                assert castle.events(MARKED, since) == []

    @pytest.mark.parametrize("kind", [CERTIFICATE, CLIENT_HELLO], ids=["authentication", "renegotiation"])
    async def test_a_handshake_message_later(self, castle: Fortress, port: int, kind: int) -> None:
        async with castle.unharmed(), hand_made(port) as client:
            await client.shake_hands(Hello({POST_HANDSHAKE_AUTH: b""}))
            late = message(CERTIFICATE, bytes(4)) if kind == CERTIFICATE else Hello().message()
            client.send(HANDSHAKE, late)
            client.send(DATA, PLAIN_GET)
            with pytest.raises((Alert, EOFError, ConnectionError)):
                async with asyncio.timeout(SOON_S):
                    await client.receive()

    @pytest.mark.parametrize("requested", [True, False], ids=["both-sides", "one-side"])
    async def test_a_flood_of_key_updates(self, castle: Fortress, port: int, requested: bool) -> None:
        async with castle.unharmed(), hand_made(port) as client:
            await client.shake_hands(Hello())
            before = bare.cpu_seconds(castle.bridge.pid)
            with pytest.raises((EOFError, ConnectionError)):
                async with asyncio.timeout(SOON_S):
                    await _flood(client, requested=requested)
            assert bare.cpu_seconds(castle.bridge.pid) - before < 1.0


async def _shake_and_hear(client: HandMade, behind: bytes) -> None:
    await client.shake_hands(Hello(), behind)
    await client.receive()


async def _flood(client: HandMade, *, requested: bool) -> None:
    for _ in range(FLOOD):
        client.update_keys(requested=requested)
        await client.writer.drain()
    while client.receiving is not None:
        await client.receive()
        client.receiving = client.receiving.next()  # the server's answers are updates as well


def _files(home: Path) -> set[Path]:
    return {path for path in home.parent.rglob("*") if not path.name.startswith("bridge.sqlite3")}


def _check_nothing_of(castle: Fortress, before: set[Path]) -> None:
    assert SECRET_NAME not in castle.bridge.log_path.read_bytes()
    assert b"\x1b" not in castle.bridge.log_path.read_bytes()
    assert _files(castle.bridge.home) == before
