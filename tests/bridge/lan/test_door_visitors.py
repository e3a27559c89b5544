"""The door in front of a whole bridge: who is let in again and again, and who is not, over real TLS."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.lan.admission import Challenge
from bridge.lan.door import TurnedAway
from bridge.lan.listener import Deadlines, Upgraded
from bridge.pairing.desk import BUSY_RETRY_MS
from tests.bridge.house import House, house
from tests.bridge.lan.conftest import Serve
from tests.bridge.lan.doors import Recording
from tests.bridge.lan.phones import ANDROID, IPHONE, Phone
from tests.bridge.lan.rooms import Caller
from tests.bridge.lan.wire import HOST, UPGRADE, Peer, ask, client_context, peer
from tests.support.waiting import eventually

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
ROUNDS = 25
RETRY_S = 6.0  # seconds between two tries of an iPhone that waits for its approval


@asynccontextmanager
async def comes_from(address: str, port: int) -> AsyncIterator[Peer]:
    """A TLS connection from one of this machine's loopback addresses, for a block."""
    reader, writer = await asyncio.open_connection(
        HOST, port, ssl=client_context(), server_hostname="x.local", local_addr=(address, 0)
    )
    connected = Peer(reader, writer)
    try:
        yield connected
    finally:
        await connected.end()


def other_addresses() -> None:
    """Skips where 127.0.0.2 is no address."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only on Linux: 127.0.0.2 and the others are addresses of every machine there")


# An unmodified app.


async def looks(port: int) -> None:
    """What comes before an app's first question: connect-and-close, then a handshake that it aborts."""
    socket.create_connection((HOST, port)).close()
    with suppress(ssl.SSLError):
        await asyncio.open_connection(HOST, port, ssl=ssl.create_default_context(), server_hostname="x.local")


async def asks(bridge: House, phone: Phone) -> None:
    """One round of an app that waits for its approval: GET, a node socket, an operator socket."""
    assert (await ask(bridge.apps.port, GET)).startswith(b"HTTP/1.1 404 ")
    async with bridge.call(phone) as node, bridge.call(phone) as operator:
        await node.connects()
        await eventually(lambda: bridge.reception.desk.pending())
        await operator.connects(role="operator", scopes=["operator.read"])
        assert (await operator.read())["error"]["details"]["code"] == "PAIRING_REQUIRED"
    await eventually(lambda: bridge.door.count == 0)


async def test_an_app_that_gets_acquainted_and_waits_is_never_turned_away(tmp_path: Path) -> None:
    """25 rounds, 6 seconds apart, at a door of 4 attempts a minute. Red when any kind of visit is not given back."""
    door = Recording(handshakes=4)
    async with house(tmp_path / "home", door=door) as bridge:
        for _ in range(ROUNDS):
            await looks(bridge.apps.port)
            await asks(bridge, IPHONE)
            door.ahead += RETRY_S
        (request,) = bridge.reception.desk.pending()
        async with bridge.call(IPHONE) as node:
            await node.connects()
            await eventually(lambda: door.count == 1)
            await bridge.reception.approve(request, None, None)
            assert (await node.read())["ok"] is True
        await eventually(lambda: door.count == 0)
    assert door.turned_away == []
    assert door.let_in == 5 * ROUNDS + 1


async def test_a_paired_phone_may_come_as_often_as_it_likes(tmp_path: Path) -> None:
    door = Recording(handshakes=3)
    async with house(tmp_path / "home", door=door) as bridge:
        await bridge.pair(IPHONE)
        for _ in range(20):
            async with bridge.call(IPHONE) as node, bridge.call(IPHONE) as operator:
                await node.gets_in()
                await operator.gets_in("operator")
    assert door.turned_away == []


# What counts.


async def turned_away(port: int) -> bool:
    """Whether the door closes before TLS."""
    try:
        async with peer(port):
            return False
    except ConnectionError:
        return True


async def test_bad_proofs_count(tmp_path: Path) -> None:
    door = Recording()
    async with house(tmp_path / "home", door=door) as bridge:
        await bridge.pair(IPHONE)
        for _ in range(20):
            async with bridge.call(IPHONE) as thief:
                challenge = (await thief.read())["payload"]
                await thief.send(IPHONE.connect("node", None, [], Challenge("of another socket", challenge["ts"])))
                assert (await thief.read())["error"]["details"]["code"] == "DEVICE_AUTH_NONCE_MISMATCH"
            await eventually(lambda: door.count == 0)
        assert await turned_away(bridge.apps.port)
        door.ahead += 60.0
        async with bridge.call(IPHONE) as phone:
            await phone.gets_in()


async def test_a_wrong_token_of_a_good_key_counts_too(tmp_path: Path) -> None:
    door = Recording(handshakes=3)
    async with house(tmp_path / "home", door=door) as bridge:
        await bridge.pair(IPHONE)
        for _ in range(3):
            async with bridge.call(IPHONE) as phone:
                await phone.connects({"token": "wrong"})
                assert (await phone.read())["error"]["details"]["code"] == "AUTH_TOKEN_MISMATCH"
        assert await turned_away(bridge.apps.port)


async def nobody(upgraded: Upgraded) -> None:
    """Reads what comes and lets nobody in."""
    async for _ in upgraded.socket:
        pass


async def says_nothing(port: int) -> None:
    async with peer(port) as stranger:
        await stranger.rest()


async def says_it_slowly(port: int) -> None:
    async with peer(port) as stranger:
        await stranger.say(UPGRADE[:20])
        await stranger.rest()


async def leaves_in_the_middle(port: int) -> None:
    async with peer(port) as stranger:
        await stranger.say(UPGRADE[:20])


async def never_connects(port: int) -> None:
    async with peer(port) as stranger:
        await stranger.upgrade()


async def posts(port: int) -> None:
    await ask(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")


async def talks_nonsense(port: int) -> None:
    await ask(port, b"GET / HTTP/9.9\r\n\r\n")


async def is_a_browser(port: int) -> None:
    await ask(port, UPGRADE % (b"/", b"Origin: https://evil.example\r\n"))


async def upgrades_wrongly(port: int) -> None:
    await ask(port, (UPGRADE % (b"/", b"")).replace(b"Version: 13", b"Version: 12"))


async def gone(door: Recording, came: int) -> None:
    """Waits until so many have come and nobody is there."""
    await eventually(lambda: door.came == came and door.count == 0)


COSTLY: list[Callable[[int], Awaitable[None]]] = [
    says_nothing,
    says_it_slowly,
    leaves_in_the_middle,
    never_connects,
    posts,
    talks_nonsense,
    is_a_browser,
    upgrades_wrongly,
]


@pytest.mark.parametrize("visitor", COSTLY)
async def test_what_comes_to_nothing_counts(serve: Serve, visitor: Callable[[int], Awaitable[None]]) -> None:
    door = Recording(handshakes=3)
    async with serve(nobody, door=door, deadlines=Deadlines(request_s=0.2)) as listener:
        for number in range(1, 4):
            await visitor(listener.port)
            await gone(door, number)
        assert await turned_away(listener.port)
    assert door.turned_away == [TurnedAway.OFTEN]


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("path", [b"/", b"/console", b"/" + b"a" * 8_000])
async def test_a_plain_request_that_is_answered_does_not(serve: Serve, method: bytes, path: bytes) -> None:
    door = Recording(handshakes=1)
    async with serve(nobody, door=door) as listener:
        for _ in range(5):
            await ask(listener.port, method + b" " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            await eventually(lambda: door.count == 0)
    assert door.turned_away == []


# Floods.


async def holds(stack: AsyncExitStack, port: int, address: str = HOST) -> None:
    """Connects and says nothing until the end of the test."""
    silent = Peer(*await asyncio.open_connection(HOST, port, local_addr=(address, 0)))
    stack.push_async_callback(silent.end)


async def test_of_a_thousand_connections_twenty_are_spoken_to(serve: Serve) -> None:
    door = Recording()
    async with serve(nobody, door=door) as listener:
        for _ in range(1_000):
            before = door.came
            reader, writer = await asyncio.open_connection(HOST, listener.port)
            with suppress(ConnectionError):
                writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
                await reader.read()
            writer.transport.abort()
            await gone(door, before + 1)
    assert (door.let_in, door.turned_away) == (20, [TurnedAway.OFTEN] * 980)


async def test_of_three_hundred_at_once_eight_are_held(serve: Serve) -> None:
    door = Recording()
    async with serve(nobody, door=door) as listener, AsyncExitStack() as stack:
        for _ in range(300):
            await holds(stack, listener.port)
        await eventually(lambda: door.came == 300)
        assert door.count == 8
    assert door.turned_away == [TurnedAway.FULL] * 292


async def test_a_crowd_does_not_keep_a_known_phone_out(tmp_path: Path) -> None:
    """99 addresses hold all that they can. Red without places that are kept for known addresses."""
    other_addresses()
    door = Recording()
    async with house(tmp_path / "home", door=door) as bridge, AsyncExitStack() as stack:
        await bridge.pair(IPHONE)
        async with bridge.call(IPHONE) as phone:
            await phone.gets_in()
        await eventually(lambda: door.count == 0)
        for number in range(2, 101):
            for _ in range(3):
                await holds(stack, bridge.apps.port, f"127.0.0.{number}")
        await eventually(lambda: door.came == 99 * 3 + 1)
        assert door.count == 32
        async with bridge.call(IPHONE) as phone:
            await phone.gets_in()
            await phone.asks("health")
            assert (await phone.read())["ok"] is True
        with pytest.raises(ConnectionError):
            async with comes_from("127.0.0.200", bridge.apps.port):
                pass


async def test_a_stranger_s_failures_are_its_own(tmp_path: Path) -> None:
    other_addresses()
    door = Recording(handshakes=3)
    async with house(tmp_path / "home", door=door) as bridge:
        await bridge.pair(ANDROID)
        for _ in range(3):
            await posts(bridge.apps.port)
        assert await turned_away(bridge.apps.port)
        async with comes_from("127.0.0.2", bridge.apps.port) as wire:
            await Caller(await wire.upgrade(), ANDROID).gets_in()


# Pairing requests.


async def test_the_fourth_request_within_a_minute_is_told_to_come_later(tmp_path: Path) -> None:
    """Red without the budget of pairings. A busy answer never says AUTH_RATE_LIMITED: apps would pause for good."""
    door = Recording()
    async with house(tmp_path / "home", door=door) as bridge:
        for number in range(3):
            async with bridge.call(changed(number)) as phone:
                await phone.connects()
                await offered(bridge, number + 1)
        async with bridge.call(changed(3)) as phone:
            await phone.connects()
            error = (await phone.read())["error"]
            assert await phone.ended() == (1013, error["message"])
        assert (error["code"], error["retryable"], error["details"]) == ("UNAVAILABLE", True, {"reason": "busy"})
        assert 0 < error["retryAfterMs"] <= 60_000
        assert "AUTH_RATE_LIMITED" not in json.dumps(error)
        assert offers(bridge) == [3]
        async with bridge.call(changed(2)) as phone:  # a retry of the open request costs nothing
            await phone.connects()
            with pytest.raises(TimeoutError):
                await phone.wire.frame(timeout_s=0.3)


async def test_a_request_that_nobody_is_asked_about_is_none(tmp_path: Path) -> None:
    """A second key of an address waits for the desk (5 s), and its tries use up no pairing attempts (up to 60 s)."""
    async with house(tmp_path / "home", door=Recording()) as bridge:
        async with bridge.call(IPHONE) as first:
            await first.connects()
            await offered(bridge, len(IPHONE.commands))
        for _ in range(5):
            async with bridge.call(ANDROID) as second:
                await second.connects()
                assert (await second.read())["error"]["retryAfterMs"] == BUSY_RETRY_MS


def changed(number: int) -> Phone:
    """One key that offers something else each time."""
    return replace(IPHONE, commands=IPHONE.commands[: number + 1])


async def offered(bridge: House, commands: int) -> None:
    """Waits until one request is pending that offers so many commands."""
    await eventually(lambda: offers(bridge) == [commands])


def offers(bridge: House) -> list[int]:
    """How many commands the pending requests offer."""
    return [len(request.draft.declared.commands) for request in bridge.reception.desk.pending()]
