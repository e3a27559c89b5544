"""Attacks D13 and D14: HTTP that two readers could read differently, and paths, at both ports of the daemon.

The listener alone, with shorter deadlines: `tests/bridge/lan/test_listener.py`.
"""

from __future__ import annotations

import pytest

from tests.attacks.fortress import Fortress
from tests.bridge.lan.wire import UPGRADE, ask, peer

pytestmark = pytest.mark.asyncio(loop_scope="package")

END = b"Host: x\r\nConnection: close\r\n\r\n"
INNER = b"GET /inner HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /pair/v1/enroll HTTP/1.1\r\nHost: x\r\n"
SMUGGLED = {
    "length-and-chunked": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER,
    "chunked-and-length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + INNER,
    "two-lengths": POST + b"Content-Length: 0\r\nContent-Length: 6\r\n\r\n" + INNER,
    "two-lengths-in-one": POST + b"Content-Length: 0, 6\r\n\r\n" + INNER,
    "length-with-plus": POST + b"Content-Length: +0\r\n\r\n" + INNER,
    "length-negative": POST + b"Content-Length: -1\r\n\r\n" + INNER,
    "length-is-hex": POST + b"Content-Length: 0x0\r\n\r\n" + INNER,
    "chunk-no-number": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n" + INNER,
    "chunk-negative": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + INNER,
    "chunk-huge": POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + INNER,
    "chunked-twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + INNER,
    "chunked-misspelt": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + INNER,
    "space-before-colon": POST + b"Content-Length : 0\r\n\r\n" + INNER,
    "folded": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n" + INNER,
    "no-colon": b"GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n" + INNER,
    "129-headers": b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % number for number in range(129)) + END + INNER,
    "9-kib-header": b"GET / HTTP/1.1\r\nX: " + b"a" * 9_216 + b"\r\n" + END + INNER,
    "9-kib-target": b"GET /" + b"a" * 9_216 + b" HTTP/1.1\r\n" + END + INNER,
    "nul-in-header": b"GET / HTTP/1.1\r\nX: a\x00b\r\n" + END + INNER,
    "bare-cr": b"GET / HTTP/1.1\r\nX: a\rY: b\r\n" + END + INNER,
    "absolute-target": b"GET http://127.0.0.1:18789/ HTTP/1.1\r\n" + END + INNER,
    "options-all": b"OPTIONS * HTTP/1.1\r\n" + END + INNER,
    "connect": b"CONNECT 127.0.0.1:18789 HTTP/1.1\r\n" + END + INNER,
    "pipelined": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + INNER * 5,
    "pipelined-upgrade": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + UPGRADE % (b"/", b""),
    "http-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}
UPGRADES = {
    "upgrade-twice": UPGRADE % (b"/", b"Upgrade: websocket\r\nUpgrade: h2c\r\n"),
    "h2c": (UPGRADE % (b"/", b"")).replace(b"Upgrade: websocket", b"Upgrade: h2c"),
    "key-twice": UPGRADE % (b"/", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"),
    "with-a-body": UPGRADE % (b"/", b"Content-Length: 5\r\n") + b"hello" + INNER,
}
PATHS = (
    *("/v1/../console", "/%2e%2e/console", "/%2e%2e%2fconsole", "//console", "/;console", "/%00", "/console%00"),
    *("/CONSOLE", "/Console/", "/console", "/v1/status", "/status", "/metrics", "/pair/v1/../../console", "/\\console"),
    *("/.well-known/x", "/healthz", "/readyz", "/__openclaw__/worker", "/favicon.ico", "/?x=" + "a" * 7_900),
)


@pytest.fixture(params=["nodes", "apps"])
def port(request: pytest.FixtureRequest, keep: Fortress) -> int:
    """Each of the two ports."""
    return keep.node_port if request.param == "nodes" else keep.app_port


def status_of(answer: bytes) -> int:
    """The status of an answer; 0: it hung up without a word."""
    return int(answer.split(b" ", 2)[1]) if answer else 0


class TestD13:
    """One request is read, at most; what comes after it is nobody's.

    Guard: the reader of aiohttp, and `Connection: close` on every answer (`empty_answer`, bridge/lan/quiet.py): without
    it the second request of `pipelined` is answered.
    """

    @pytest.mark.parametrize("request_", SMUGGLED.values(), ids=SMUGGLED)
    async def test_an_ambiguous_request_is_refused_and_the_connection_ends(
        self, keep: Fortress, port: int, request_: bytes
    ) -> None:
        answer = await ask(port, request_)
        assert status_of(answer) in (0, 400, 403, 404, 411, 413, 415), answer
        assert answer.count(b"HTTP/1.1 ") <= 1, "a second request was read"
        assert b"inner" not in answer
        assert b"aiohttp" not in answer.lower()

    @pytest.mark.parametrize("request_", UPGRADES.values(), ids=UPGRADES)
    async def test_an_ambiguous_upgrade_is_none_at_the_port_of_nodes(self, keep: Fortress, request_: bytes) -> None:
        answer = await ask(keep.node_port, request_)
        assert status_of(answer) in (0, 400, 403, 404)
        assert answer.count(b"HTTP/1.1 ") <= 1

    async def test_the_bridge_is_as_it_was(self, keep: Fortress, port: int) -> None:
        """The afterwards, for all of them at once; the canary's own requests are the positive control."""
        async with keep.unharmed():
            for request in (*SMUGGLED.values(), *UPGRADES.values()):
                if request not in UPGRADES.values() or port == keep.node_port:
                    await ask(port, request)


class TestD14:
    """Nothing but an empty 404 is at any path, whatever it is called; there is no console on the LAN.

    Guard: `_answer` of bridge/lan/listener.py answers by the exact path; with `ROOT` compared by prefix an upgrade at
    `//` is one.
    """

    @pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:24])
    async def test_a_path_is_not_found(self, port: int, path: str) -> None:
        for method in ("GET", "HEAD", "POST"):
            answer = await ask(port, f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
            head, _, body = answer.partition(b"\r\n\r\n")
            assert status_of(head) in (0, 400, 404), head
            assert body == b"" or path.startswith("/pair/v1/"), "only pairing has words for what it does not know"
            assert b"location" not in head.lower()

    @pytest.mark.parametrize("path", [path for path in PATHS if len(path) < 100], ids=str)
    async def test_nor_is_a_websocket_there(self, keep: Fortress, path: str) -> None:
        answer = await ask(keep.app_port, UPGRADE % (path.encode(), b""))
        assert status_of(answer) in (400, 403, 404)

    async def test_the_root_is_one(self, keep: Fortress) -> None:
        """The positive control."""
        async with keep.unharmed(), peer(keep.app_port) as app:
            await app.upgrade("/")
