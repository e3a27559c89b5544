"""The shell over a loopback socket: what was asked is answered once, and every end is one of the package's errors."""

import asyncio
import json
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request
from websockets.http11 import Response as HttpResponse

from gateway_client.connection import GatewayConnection
from gateway_client.errors import (
    ConnectRefusedError,
    GatewayGoneError,
    GatewayUnreachableError,
    ProtocolViolationError,
    RequestTimeoutError,
    RequestTooLargeError,
    TooManyRequestsError,
)
from gateway_client.frames import Event, Response
from gateway_client.protocol import MAX_IN_FLIGHT
from tests.gateway_client.corpus import HELLO
from tests.gateway_client.gateway_double import Peer, connection, gateway, talking
from tests.support.waiting import eventually


async def test_it_shakes_hands_and_is_answered() -> None:
    async with gateway() as double, talking(connection(double.url)) as made:
        assert made.hello == HELLO
        response = await made.request("health", {"a": "ä"})
        assert (response.ok, response.payload) == (True, {"a": "ä"})
    assert [type(message) for message in double.peers[0].messages] == [str, str]
    assert double.closes == [1000]


async def test_the_upgrade_says_nothing_about_us() -> None:
    async with gateway() as double, connection(double.url):
        (peer,) = double.peers
        assert peer.socket.request is not None
        names = {name.lower() for name in peer.socket.request.headers}
    assert names == {"host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version"}


async def test_binary_mode_sends_binary_messages() -> None:
    async with gateway() as double, talking(connection(double.url, binary=True)) as made:
        assert (await made.request("health", {})).ok
    assert [type(message) for message in double.peers[0].messages] == [bytes, bytes]


async def test_a_failing_answer_is_an_answer() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.refuse(await peer.take(), "FORBIDDEN", details={"code": "MISSING_SCOPE"})
        await peer.echo()

    async with gateway(script) as double, talking(connection(double.url)) as made:
        response = await made.request("config.get", {})
    assert response.error is not None
    assert (response.ok, response.error.code, response.error.detail("code")) == (False, "FORBIDDEN", "MISSING_SCOPE")


async def test_an_agent_is_heard_of_twice_and_answered_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        while True:
            request = await peer.take()
            await peer.answer(request, {"status": "accepted"})
            await peer.answer(request, {"status": "ok"})

    heard: list[Response] = []
    async with gateway(script) as double, talking(connection(double.url)) as made:
        final = await made.request("agent", {}, on_interim=heard.append)
        assert (await made.request("agent", {})).payload == {"status": "ok"}, "without a listener too"
    assert [response.payload for response in heard] == [{"status": "accepted"}]
    assert final.payload == {"status": "ok"}


async def test_answers_find_their_requests_in_any_order() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        requests = [await peer.take() for _ in range(20)]
        for request in reversed(requests):
            await peer.answer(request, request["params"])
        await peer.echo()

    async with gateway(script) as double, talking(connection(double.url)) as made:
        answers = await asyncio.gather(*(made.request("health", {"n": n}) for n in range(20)))
    assert [answer.payload for answer in answers] == [{"n": n} for n in range(20)]


async def test_events_that_came_with_hello_are_delivered_first_and_in_order() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        for number in range(30):
            await peer.event("tick", number)
        await peer.echo()

    events: list[Event] = []
    async with gateway(script) as double, connection(double.url) as made:
        assert events == []
        async with asyncio.TaskGroup() as group:
            group.create_task(made.run(events.append))
            await made.request("health", {})
            await made.close()
    assert [event.payload for event in events] == list(range(30))


async def test_a_gateway_that_goes_fails_every_waiting_request_and_ends_the_pump() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        for _ in range(5):
            await peer.take()
        await peer.socket.close(1012, "service restart")

    async with gateway(script) as double, connection(double.url) as made:
        pump, *waiters = await asyncio.gather(
            made.run(lambda event: None), *(made.request("health", {}) for _ in range(5)), return_exceptions=True
        )
        with pytest.raises(GatewayGoneError):
            await made.request("health", {})
    for gone in (pump, *waiters):
        assert isinstance(gone, GatewayGoneError)
        assert (gone.code, gone.reason) == (1012, "service restart")


async def test_a_gateway_that_vanishes_is_gone_with_1006() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.take()
        peer.socket.transport.abort()

    async with gateway(script) as double, connection(double.url) as made:
        pump, waiter = await asyncio.gather(
            made.run(lambda event: None), made.request("health", {}), return_exceptions=True
        )
    assert [gone.code for gone in (pump, waiter) if isinstance(gone, GatewayGoneError)] == [1006, 1006]


async def test_closing_fails_what_waits_and_closing_again_is_harmless() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.take()
        await peer.socket.wait_closed()

    async with gateway(script) as double, connection(double.url) as made, asyncio.TaskGroup() as group:
        pump = group.create_task(made.run(lambda event: None))
        waiting = group.create_task(_gone(made))
        await eventually(lambda: len(double.peers[0].messages) == 2)
        await made.close(1001, "going away")
        assert (await waiting).code == 1001
        assert (await pump).code == 1001
        await made.close()
        with pytest.raises(GatewayGoneError) as late:
            await made.request("health", {})
        assert late.value.code == 1001
    assert double.closes == [1001]


async def _gone(made: GatewayConnection) -> GatewayGoneError:
    with pytest.raises(GatewayGoneError) as caught:
        await made.request("health", {}, wait_s=None)
    return caught.value


async def test_a_request_without_an_answer_times_out_and_the_late_answer_is_dropped() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        late = await peer.take()
        request = await peer.take()
        await peer.answer(late, "late")
        await peer.answer(request, "in time")
        await peer.echo()

    async with gateway(script) as double, talking(connection(double.url)) as made:
        with pytest.raises(RequestTimeoutError, match=r"health: no answer within 0\.05 s"):
            await made.request("health", {}, wait_s=0.05)
        assert (await made.request("health", {})).payload == "in time"


async def test_a_cancelled_request_is_forgotten() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        cancelled = [await peer.take() for _ in range(MAX_IN_FLIGHT)]
        request = await peer.take()
        for late in cancelled:
            await peer.answer(late, "late")
        await peer.answer(request, "in time")
        await peer.echo()

    async with gateway(script) as double, talking(connection(double.url)) as made:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(made.request("health", {})) for _ in range(MAX_IN_FLIGHT)]
            await eventually(lambda: len(double.peers[0].messages) == 1 + MAX_IN_FLIGHT)
            with pytest.raises(TooManyRequestsError):
                await made.request("health", {})
            for task in tasks:
                task.cancel()
        assert (await made.request("health", {})).payload == "in time"


async def test_a_request_beyond_the_gateways_limit_is_not_sent() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({"policy": {"maxPayload": 200}})
        await peer.echo()

    async with gateway(script) as double, talking(connection(double.url)) as made:
        with pytest.raises(RequestTooLargeError, match="at most 200"):
            await made.request("agent", {"message": "m" * 200})
        used = len(
            json.dumps({"type": "req", "id": "i" * 36, "method": "m", "params": {"p": ""}}, separators=(",", ":"))
        )
        assert (await made.request("m", {"p": "x" * (200 - used)})).ok, "exactly the limit"
        with pytest.raises(RequestTooLargeError):
            await made.request("m", {"p": "x" * (201 - used)})
    assert len(double.peers[0].messages) == 2


async def test_nobody_at_the_address() -> None:
    async with gateway() as double:
        url = double.url
    with pytest.raises(GatewayUnreachableError, match="127"):
        await connection(url).__aenter__()


@pytest.mark.parametrize("status", [HTTPStatus.FORBIDDEN, HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE])
async def test_a_refused_upgrade(status: HTTPStatus) -> None:
    def refuse(socket: ServerConnection, request: Request) -> HttpResponse:
        return socket.respond(status, "no")

    async with gateway(on_upgrade=refuse) as double:
        with pytest.raises(GatewayUnreachableError):
            await connection(double.url).__aenter__()
    assert double.peers == []


async def test_a_refused_connect_carries_the_gateways_error() -> None:
    async def script(peer: Peer) -> None:
        await peer.send({"type": "event", "event": "connect.challenge", "payload": {"nonce": "N", "ts": 1}})
        await peer.refuse(await peer.take(), "NOT_PAIRED", details={"code": "PAIRING_REQUIRED"}, retryAfterMs=7)
        await peer.socket.wait_closed()

    async with gateway(script) as double:
        with pytest.raises(ConnectRefusedError) as caught:
            await connection(double.url).__aenter__()
        assert (caught.value.detail_code, caught.value.error.retry_after_ms) == ("PAIRING_REQUIRED", 7)
        assert double.closes == [1000]


@pytest.mark.parametrize("before", [0, 1])
async def test_a_gateway_that_goes_before_hello(before: int) -> None:
    async def script(peer: Peer) -> None:
        if before:
            await peer.send({"type": "event", "event": "connect.challenge", "payload": {"nonce": "N", "ts": 1}})
            await peer.take()
        await peer.socket.close(1013, "gateway starting")

    async with gateway(script) as double:
        with pytest.raises(GatewayGoneError) as caught:
            await connection(double.url).__aenter__()
    assert (caught.value.code, caught.value.reason) == (1013, "gateway starting")


@pytest.mark.parametrize("hello", [{}, None, {"type": "hello-ok", "protocol": 4}], ids=["empty", "none", "short"])
async def test_the_least_hello_lets_it_in(hello: dict[str, str] | None) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({**hello} if hello is not None else None)
        await peer.echo()

    async with gateway(script) as double, asyncio.timeout(5), talking(connection(double.url)) as made:
        assert made.hello == (hello or {})
        assert (await made.request("health", {})).ok


@pytest.mark.parametrize("garbage", ["nonsense", b"\xff\xfe", '{"type":"event","event":"tick"}', "[]"])
async def test_garbage_instead_of_a_challenge(garbage: str | bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.socket.send(garbage)
        await peer.socket.wait_closed()

    async with gateway(script) as double:
        with pytest.raises(ProtocolViolationError):
            await connection(double.url).__aenter__()
        assert double.closes == [1002]
    assert double.peers[0].messages == []


async def test_silence_for_two_ticks_ends_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({"policy": {"tickIntervalMs": 40}})
        await peer.socket.wait_closed()

    async with gateway(script) as double, connection(double.url) as made:
        with pytest.raises(ProtocolViolationError, match="tick timeout"):
            await made.run(lambda event: None)
    assert double.closes == [4000]


async def test_a_connection_that_is_given_up_while_it_waits_is_closed() -> None:
    async def script(peer: Peer) -> None:
        await peer.socket.wait_closed()

    async with gateway(script) as double, asyncio.TaskGroup() as group:
        task = group.create_task(connection(double.url).__aenter__())
        await eventually(lambda: double.peers)
        task.cancel()
        await eventually(lambda: double.closes == [1000])
