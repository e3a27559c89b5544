"""Visits that hold a place without a word, over TLS: an app's looks are over at once, and who stays pays for it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from bridge.lan.door import QUICK_S, TurnedAway
from bridge.lan.listener import Upgraded
from tests.bridge.house import house
from tests.bridge.lan.conftest import Serve
from tests.bridge.lan.doors import Recording
from tests.bridge.lan.phones import IPHONE
from tests.bridge.lan.wire import HOST, ask, peer
from tests.support.waiting import eventually

ATTEMPTS = 3
ROUNDS = 6
Visitor = Callable[[int], Awaitable[None]]


async def nobody(upgraded: Upgraded) -> None:
    """Reads what comes and lets nobody in."""
    async for _ in upgraded.socket:
        pass


async def connects_and_closes(port: int) -> None:
    socket.create_connection((HOST, port)).close()


async def aborts_the_handshake(port: int) -> None:
    with suppress(ssl.SSLError):
        await asyncio.open_connection(HOST, port, ssl=ssl.create_default_context(), server_hostname="x.local")


async def sees_the_certificate_and_goes(port: int) -> None:
    async with peer(port):
        pass


async def asks(port: int) -> None:
    assert (await ask(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(b"HTTP/1.1 404 ")


VISITORS = [connects_and_closes, aborts_the_handshake, sees_the_certificate_and_goes, asks]


async def come(port: int, door: Recording, visitor: Visitor) -> None:
    """Six visits, one after the other."""
    for number in range(1, ROUNDS + 1):
        with suppress(OSError, EOFError):
            await visitor(port)
        await eventually(lambda: door.came == number and door.count == 0)  # noqa: B023 - awaited in the same round


@pytest.mark.parametrize("visitor", VISITORS)
async def test_a_look_is_given_back(serve: Serve, visitor: Visitor) -> None:
    door = Recording(handshakes=ATTEMPTS)
    async with serve(nobody, door=door) as listener:
        await come(listener.port, door, visitor)
    assert door.turned_away == []


@pytest.mark.parametrize("visitor", VISITORS)
async def test_what_held_its_place_before_it_looked_is_not(serve: Serve, visitor: Visitor) -> None:
    """Each came so long ago that an app would be through. Red without its `note_pace`: nobody is turned away."""
    door = Recording(handshakes=ATTEMPTS)
    door.ahead = -QUICK_S - 0.1
    async with serve(nobody, door=door) as listener:
        await come(listener.port, door, visitor)
    assert door.turned_away == [TurnedAway.OFTEN] * (ROUNDS - ATTEMPTS)


async def test_a_paired_phone_may_take_its_time(tmp_path: Path) -> None:
    door = Recording(handshakes=ATTEMPTS)
    door.ahead = -QUICK_S - 0.1
    async with house(tmp_path / "home", door=door) as bridge:
        await bridge.pair(IPHONE)
        for _ in range(ROUNDS):
            async with bridge.call(IPHONE) as phone:
                await phone.gets_in()
    assert door.turned_away == []


async def test_a_waiting_phone_may_not(tmp_path: Path) -> None:
    """Else one key that waits holds its address's places, ten seconds at a time, before it says what it wants."""
    door = Recording(handshakes=ATTEMPTS)
    door.ahead = -QUICK_S - 0.1
    async with house(tmp_path / "home", door=door) as bridge:
        for _ in range(ATTEMPTS):
            async with bridge.call(IPHONE) as phone:
                await phone.connects()
                await eventually(lambda: bridge.reception.desk.pending())
            await eventually(lambda: door.count == 0)
        with pytest.raises(ConnectionError):
            async with bridge.call(IPHONE):
                pass
