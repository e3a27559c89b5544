"""Requests to the pairing routes: what goes over the wire, and how each failure is named."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import threading
import warnings

import pytest
import trustme
from aiohttp import web

from bridge.node.pairing_errors import BridgeMismatch, BridgeUnreachable, Refused
from bridge.node.pairing_http import PairingHttp, mismatch_behind
from certs.context import node_client_context
from certs.spki_pin import SpkiMismatch, SpkiPin
from tests.doubles.pairing_bridge import PairingBridge, refused


def http(double: PairingBridge, pin: SpkiPin | None = None, port: int | None = None) -> PairingHttp:
    return PairingHttp(double.host, port or double.port, node_client_context(pin or SpkiPin()))


async def test_a_request_carries_path_query_body_and_headers(double: PairingBridge) -> None:
    double.answers["/pair/v1/a/b"] = lambda: web.json_response({"x": [1]})
    async with http(double) as bridge:
        answer = await bridge.ask("POST", "a/b", {"y": "z"}, headers={"X-Bridge-Proof": "p"}, query={"wait": "1"})
    assert answer == {"x": [1]}
    assert double.seen == [("POST", "/pair/v1/a/b?wait=1", {"y": "z"})]
    assert double.headers[0]["X-Bridge-Proof"] == "p"
    assert double.headers[0]["Content-Type"] == "application/json"


async def test_an_id_with_a_colon_stays_one_segment(double: PairingBridge) -> None:
    async with http(double) as bridge:
        with pytest.raises(Refused):
            await bridge.ask("GET", "enroll/a:b._-1")
    assert double.paths == ["/pair/v1/enroll/a:b._-1"]


async def test_an_answer_without_content_is_none(double: PairingBridge) -> None:
    double.answers["/pair"] = lambda: web.Response(status=204)
    async with http(double) as bridge:
        assert await bridge.ask("POST", "x", {}, expect=204) is None


async def test_a_pin_is_recorded_and_required(double: PairingBridge) -> None:
    double.answers["/pair"] = lambda: web.json_response({})
    pin = SpkiPin()
    async with http(double, pin) as bridge:
        await bridge.ask("GET", "x")
    assert pin.seen == double.spki
    with pytest.raises(BridgeMismatch) as caught:
        async with http(double, SpkiPin("ab" * 32)) as bridge:
            await bridge.ask("GET", "x")
    assert (caught.value.expected, caught.value.seen) == ("ab" * 32, double.spki)
    assert len(double.seen) == 1


async def test_a_bridge_that_stops_in_the_middle_is_unreachable(double: PairingBridge) -> None:
    double.cuts["/pair"] = 1
    async with http(double) as bridge:
        with pytest.raises(BridgeUnreachable):
            await bridge.ask("POST", "x", {})
    assert len(double.seen) == 1


async def test_a_time_out_is_said(double: PairingBridge) -> None:
    async with http(double) as bridge:
        with pytest.raises(BridgeUnreachable, match="in time"):
            await bridge.ask("GET", "x", wait_s=0.0001)


async def test_no_proxy_of_the_environment_is_used(double: PairingBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    double.answers["/pair"] = lambda: web.json_response({})
    async with http(double) as bridge:
        await bridge.ask("GET", "x")


async def test_a_cookie_is_not_sent_back(double: PairingBridge) -> None:
    double.answers["/pair"] = lambda: web.json_response({}, headers={"Set-Cookie": "a=b"})
    async with http(double) as bridge:
        await bridge.ask("GET", "x")
        await bridge.ask("GET", "x")
    assert all("Cookie" not in headers for headers in double.headers)


async def test_a_retry_time_is_kept(double: PairingBridge) -> None:
    double.answers["/pair"] = lambda: refused(429, "RATE_LIMITED", "later", retryAfterMs=2000)
    async with http(double) as bridge:
        with pytest.raises(Refused, match=r"429 RATE_LIMITED.*2 s"):
            await bridge.ask("GET", "x")


def test_nothing_is_left_of_a_connection_to_a_bridge_that_does_not_say_goodbye() -> None:
    """Red without `cut`: TLS waits half a minute for the goodbye, and the socket outlives the loop."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    over = threading.Event()

    def serve() -> None:
        with context.wrap_socket(listening.accept()[0], server_side=True) as accepted:
            accepted.recv(65_536)
            accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            over.wait(10)

    async def ask(port: int) -> None:
        async with PairingHttp("127.0.0.1", port, node_client_context(SpkiPin())) as bridge:
            assert await bridge.ask("GET", "x") == {}

    with socket.create_server(("127.0.0.1", 0)) as listening, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        server = threading.Thread(target=serve)
        server.start()
        asyncio.run(ask(listening.getsockname()[1]))
        over.set()
        server.join()
        gc.collect()
    assert [str(each.message) for each in told if each.category is ResourceWarning] == []


def test_a_mismatch_is_found_behind_other_errors() -> None:
    mismatch = SpkiMismatch("ab" * 32, None)
    wrapped = OSError("outer")
    wrapped.__cause__ = ssl.SSLError("middle")
    wrapped.__cause__.__context__ = mismatch
    assert mismatch_behind(wrapped) is mismatch
    assert mismatch_behind(OSError()) is None
