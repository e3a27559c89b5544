"""What a stranger can hold of the bridge: places, seconds, bytes; and that all of it comes back."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from bridge.lan.listener import REFUSAL_LINES, Deadlines, Upgraded
from bridge.lan.metered import STRANGER_BYTES
from tests.bridge.lan.conftest import Serve
from tests.bridge.lan.doors import Recording, door_of
from tests.bridge.lan.guests import Guests, let_in
from tests.bridge.lan.wire import BINARY, HOST, PING, UPGRADE, Peer, client_context, peer
from tests.support.scale import scale
from tests.support.waiting import eventually

QUICK = Deadlines(handshake_s=0.4, request_s=0.4, shutdown_s=0.2)


async def turned_away(port: int) -> bool:
    """Whether nothing but the end of the connection comes of it."""
    try:
        async with peer(port):
            return False
    except OSError:
        return True


# Places.


async def test_one_address_has_eight_sockets_and_the_ninth_is_refused_before_tls(serve: Serve) -> None:
    door = door_of(8, 64)
    async with serve(Guests(), door=door) as listener, AsyncExitStack() as stack:
        guests = [await stack.enter_async_context(peer(listener.port)) for _ in range(8)]
        reader, writer = await asyncio.open_connection(HOST, listener.port)
        assert await reader.read() == b""
        writer.close()
        assert await turned_away(listener.port)
        await guests[3].end()
        await eventually(lambda: door.count == 7)
        await (await stack.enter_async_context(peer(listener.port))).upgrade()


async def test_a_crowd_that_is_turned_away_writes_twenty_lines_a_minute(serve: Serve) -> None:
    log, door = io.StringIO(), Recording(per_address=0)
    async with serve(Guests(), door=door, log=log) as listener:
        for number in range(1, 51):
            _, writer = await asyncio.open_connection(HOST, listener.port)
            await eventually(lambda: door.came == number)  # noqa: B023 - waited for in this very round
            writer.close()
    lines = [line["level"] for line in map(json.loads, log.getvalue().splitlines()) if line["event"] == "turned-away"]
    assert Counter(lines) == {"info": REFUSAL_LINES, "debug": 50 - REFUSAL_LINES}


async def test_strangers_together_have_thirty_two_and_known_addresses_the_rest(serve: Serve) -> None:
    door = door_of(1_000, 64)
    async with serve(Guests(), door=door) as listener, AsyncExitStack() as stack:
        for _ in range(32):
            await stack.enter_async_context(peer(listener.port))
        assert door.count == 32
        assert await turned_away(listener.port)
        door.remember(HOST, asyncio.get_running_loop().time())
        for _ in range(32):
            await stack.enter_async_context(peer(listener.port))
        assert door.count == 64
        assert await turned_away(listener.port)
    await eventually(lambda: door.count == 0)


async def test_who_is_in_holds_no_place(serve: Serve) -> None:
    door = door_of(1, 1)
    async with serve(Guests(), door=door) as listener, AsyncExitStack() as stack:
        for _ in range(5):
            await let_in(await stack.enter_async_context(peer(listener.port)))
            assert door.count == 0
    assert door.count == 0


async def test_a_peer_that_is_let_in_after_it_has_gone_frees_no_place_of_another(serve: Serve) -> None:
    door, done = door_of(8, 64), asyncio.Event()

    async def late(upgraded: Upgraded) -> None:
        async for _ in upgraded.socket:
            pass
        await eventually(lambda: door.count == 1)
        upgraded.promote()
        done.set()

    async with serve(late, door=door) as listener, peer(listener.port):
        async with peer(listener.port) as leaving:
            await leaving.upgrade()
        await asyncio.wait_for(done.wait(), 10)
        assert door.count == 1


async def test_both_ports_share_one_door(serve: Serve) -> None:
    door = door_of(1, 64)
    async with serve(Guests(), door=door) as apps, serve(Guests(), door=door) as nodes, peer(nodes.port):
        assert await turned_away(apps.port)


# Seconds.


async def trickle(port: int, data: bytes, *, tls: bool) -> float:
    """Sends a byte every 50 ms until the connection ends; returns how long that took."""
    started = time.monotonic()
    reader, writer = await asyncio.open_connection(
        HOST, port, ssl=client_context() if tls else None, server_hostname="x.local" if tls else None
    )
    ended = asyncio.get_running_loop().create_task(reader.read())
    try:
        with suppress(OSError):
            for number in range(400):
                writer.write(data[number : number + 1] or b"x")
                await writer.drain()
                if ended in (await asyncio.wait({ended}, timeout=0.05))[0]:
                    break
    finally:
        with suppress(OSError):
            await ended
        writer.transport.abort()
    return time.monotonic() - started


HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # the beginning of a ClientHello of 512 bytes


@pytest.mark.parametrize(
    ("data", "tls"),
    [
        (HELLO, False),
        (UPGRADE % (b"/", b""), True),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n", True),
    ],
    ids=["handshake", "head", "body"],
)
async def test_a_peer_that_drips_is_cut_by_the_absolute_deadline(serve: Serve, data: bytes, tls: bool) -> None:
    async with serve(Guests(), deadlines=QUICK) as listener:
        assert 0.3 < await trickle(listener.port, data, tls=tls) < 5.0


@pytest.mark.parametrize("tls", [False, True])
async def test_a_peer_that_says_nothing_is_cut_too(serve: Serve, tls: bool) -> None:
    door = door_of(100, 100)
    async with serve(Guests(), deadlines=QUICK, door=door) as listener, AsyncExitStack() as stack:
        for _ in range(20):
            if tls:
                await stack.enter_async_context(peer(listener.port))
            else:
                silent = Peer(*await asyncio.open_connection(HOST, listener.port))
                stack.push_async_callback(silent.end)
        assert door.count > 0
        await eventually(lambda: door.count == 0, timeout_s=5.0)


async def test_a_websocket_is_not_cut_by_the_deadline_of_the_upgrade(serve: Serve) -> None:
    async with serve(Guests(), deadlines=Deadlines(request_s=0.2)) as listener, peer(listener.port) as guest:
        await guest.upgrade()
        with pytest.raises(TimeoutError):
            await guest.frame(timeout_s=0.6)
        await guest.send(b"let me in")
        assert (await guest.frame()).payload == b"welcome"


# Bytes.


async def test_a_stranger_may_send_192_kib_and_no_more(serve: Serve) -> None:
    guests = Guests()
    async with serve(guests) as listener, peer(listener.port) as stranger:
        await stranger.upgrade()
        for _ in range(2):
            await stranger.send(b"x" * 65_536)
        await eventually(lambda: guests.bytes == 131_072)
        with suppress(OSError):
            for _ in range(100):
                await stranger.send(b"x" * 65_536)
        await stranger.rest()
    assert guests.bytes <= STRANGER_BYTES


async def test_pings_of_a_stranger_count_as_well(serve: Serve) -> None:
    async with serve(Guests()) as listener, peer(listener.port) as stranger:
        await stranger.upgrade()
        with suppress(OSError):
            for _ in range(3_000):
                await stranger.send(b"p" * 100, PING)
        assert len(await stranger.rest()) <= STRANGER_BYTES


async def test_who_is_in_may_send_more(serve: Serve) -> None:
    guests = Guests()
    async with serve(guests) as listener, peer(listener.port) as guest:
        await let_in(guest)
        for _ in range(8):
            await guest.send(b"x" * 65_536, BINARY)
        await eventually(lambda: guests.bytes > 8 * 65_536)


# All of it comes back.


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.slow
async def test_after_a_lot_of_coming_and_going_nothing_is_left(serve: Serve) -> None:
    door, guests = door_of(200, 200), Guests()
    async with serve(guests, door=door, deadlines=QUICK) as listener:
        await churn(listener.port, 8)
        gc.collect()
        await eventually(lambda: door.count == 0)
        before, tasks = descriptors(), len(asyncio.all_tasks())
        await churn(listener.port, scale(3_000))
        await eventually(lambda: door.count == 0 and not guests.inside)
        gc.collect()
        await eventually(lambda: descriptors() <= before and len(asyncio.all_tasks()) <= tasks)


async def churn(port: int, count: int) -> None:
    """Comes and goes in every way there is."""
    for number in range(count):
        match number % 4:
            case 0:
                _, writer = await asyncio.open_connection(HOST, port)
                writer.close()
            case 1:
                _, writer = await asyncio.open_connection(HOST, port)
                writer.write(HELLO)
                writer.transport.abort()
            case 2:
                async with peer(port) as stranger:
                    await stranger.say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    await stranger.rest()
            case _:
                async with peer(port) as guest:
                    await guest.upgrade()
                    if number % 8 == 3:
                        await guest.send(b"let me in")
