"""Bytes that many sockets share: large messages on their way up, and what waits for peers that do not read."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from bridge import clock
from bridge.lan.events import Ended, Forward, FromGateway
from bridge.lan.inflow import Inflow, Pool
from bridge.lan.listener import Deadlines
from bridge.lan.outflow import Outflow
from bridge.lan.relay import Relay
from gateway_client.frames import Event
from tests.bridge.lan.conftest import Serve
from tests.bridge.lan.phones import ANDROID, IPHONE, Json
from tests.bridge.lan.playbook import book
from tests.bridge.lan.rooms import Caller, Rooms, call
from tests.bridge.lan.wire import CLOSE, TEXT, header, peer
from tests.support.waiting import eventually

QUICK = Deadlines(shutdown_s=0.2)
PICTURE = 2_000_000


def wake(size: int) -> FromGateway:
    return FromGateway(Event("voicewake.changed", {"triggers": ["x" * size]}))


@dataclass
class Crowd:
    """A phone that has got in while another has nearly all of the room for large messages."""

    rooms: Rooms
    pool: Pool
    other: Inflow
    phone: Caller


@asynccontextmanager
async def let_in(serve: Serve, rooms: Rooms, pool: Pool, deadlines: Deadlines = QUICK) -> AsyncIterator[Caller]:
    """A phone that is in, and whose large messages share the pool."""
    async with (
        serve(rooms.serve, deadlines=deadlines, frame_max_bytes=26_214_400, pool=pool) as listener,
        peer(listener.port) as wire,
    ):
        phone = Caller(wire, IPHONE)
        await wire.upgrade()
        await phone.gets_in()
        yield phone


@asynccontextmanager
async def crowded(serve: Serve, deadlines: Deadlines = QUICK) -> AsyncIterator[Crowd]:
    rooms, pool = Rooms(book(IPHONE.record())), Pool(limit=26_214_400)
    other = pool.open()
    other.belongs_to("another")
    assert other.claim(26_000_000)
    async with let_in(serve, rooms, pool, deadlines) as phone:
        yield Crowd(rooms, pool, other, phone)


def transcript() -> Json:
    return {"event": "voice.transcript", "payloadJSON": '{"text":"hello","pad":"' + "x" * PICTURE + '"}'}


async def test_the_slowest_goes_when_all_together_have_too_much(serve: Serve) -> None:
    """D12. Red without the bound for all: no peer reaches its own. The positive control is the one that reads."""
    rooms = Rooms(book(IPHONE.record()))
    rooms.outflow = flow = Outflow[Relay](limit=10_000_000)
    async with serve(rooms.serve, deadlines=QUICK) as listener, peer(listener.port) as one, peer(listener.port) as two:
        stuck, reading = Caller(one, IPHONE), Caller(two, IPHONE)
        for caller in (stuck, reading):
            await caller.wire.upgrade()
            await caller.gets_in()
        one.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads, too
        for _ in range(20):
            rooms.relays[0].post(wake(1_000_000))
            rooms.relays[1].post(wake(1_000))
            await reading.read()
        await eventually(lambda: rooms.left == [rooms.relays[0]], timeout_s=8.0)
        rooms.relays[1].post(wake(1_000))
        assert (await reading.read())["event"] == "voicewake.changed"
        await eventually(lambda: flow.total == 0)
    assert rooms.log.getvalue().count("slow-peer") == 1


@pytest.mark.parametrize("sent", [True, False])
async def test_a_message_is_in_the_budget_until_what_it_asked_for_is_sent_or_its_socket_ends(
    serve: Serve, sent: bool
) -> None:
    """Red when the bytes are given back as soon as the session has seen them."""
    rooms, pool = Rooms(book(IPHONE.record())), Pool()
    async with let_in(serve, rooms, pool) as phone:
        await phone.asks("node.event", transcript())
        await eventually(lambda: rooms.of(Forward))
        assert PICTURE < pool.budget.held < PICTURE + 1_000
        if sent:
            rooms.carried[0]()
            assert pool.budget.held == 0
    await eventually(lambda: pool.budget.held == 0)


async def test_a_phone_waits_for_room_and_is_answered_in_order(serve: Serve) -> None:
    async with crowded(serve) as crowd:
        rooms, pool, other, phone = crowd.rooms, crowd.pool, crowd.other, crowd.phone
        await phone.asks("health", request_id="first")
        sending = [phone.asks("node.event", transcript()), phone.asks("health", request_id="last")]
        assert (await phone.read())["id"] == "first"
        for each in sending:
            await each
        await eventually(lambda: pool.budget.waiting == 1)
        assert rooms.of(Forward) == []
        other.close()
        assert (await phone.read())["id"] == "last"
        assert len(rooms.of(Forward)) == 1


async def test_a_phone_that_waits_for_others_outlives_its_heartbeat(serve: Serve) -> None:
    """Pings that are not read cannot be answered. Red without `excuse` in bridge/lan/quiet.py."""
    deadlines = Deadlines(shutdown_s=0.2, ping_s=0.4)
    async with crowded(serve, deadlines) as crowd:
        rooms, pool, other, phone = crowd.rooms, crowd.pool, crowd.other, crowd.phone
        await phone.asks("node.event", transcript())
        await eventually(lambda: pool.budget.waiting == 1)
        await asyncio.sleep(4 * deadlines.ping_s)
        assert (pool.budget.waiting, rooms.left) == (1, [])
        other.close()
        await eventually(lambda: rooms.of(Forward))


async def test_a_phone_that_is_revoked_while_it_waits_for_room_is_told_and_waits_no_more(serve: Serve) -> None:
    async with crowded(serve) as crowd:
        rooms, pool, other, phone = crowd.rooms, crowd.pool, crowd.other, crowd.phone
        await phone.asks("node.event", transcript())
        await eventually(lambda: pool.budget.waiting == 1)
        rooms.relays[0].post(Ended(4001, "device removed"))
        assert await phone.ended() == (4001, "device removed")
        await eventually(lambda: rooms.left and pool.budget.waiting == 0, timeout_s=2.0)
        other.close()
    assert rooms.of(Forward) == []


async def test_a_phone_that_is_revoked_while_it_is_read_slowly_is_told_at_once(serve: Serve) -> None:
    """Red when the end waits behind what the phone has sent."""
    rooms = Rooms(book(IPHONE.record()))
    async with call(serve, rooms, IPHONE, QUICK) as phone:
        await phone.gets_in()
        for number in range(1_500):
            await phone.asks("health", request_id=f"h{number}")
        await eventually(lambda: rooms.relays[0].session.pause(clock.now()) > 0.0)
        began = clock.now().mono
        rooms.relays[0].post(Ended(4001, "device removed"))
        assert await phone.ended() == (4001, "device removed")
        assert clock.now().mono - began < 1.0
        await eventually(lambda: rooms.left, timeout_s=5.0)


async def test_what_waited_for_a_phone_that_has_gone_waits_no_more(serve: Serve) -> None:
    """Red without `forget` in `Relay.run`: phones that come and go would have the bridge cut those that stay."""
    rooms = Rooms(book(IPHONE.record()))
    rooms.outflow = flow = Outflow[Relay](limit=50_000_000)
    async with serve(rooms.serve, deadlines=QUICK) as listener, peer(listener.port) as wire:
        stuck = Caller(wire, IPHONE)
        await wire.upgrade()
        await stuck.gets_in()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads, too
        for _ in range(20):
            rooms.relays[0].post(wake(1_000_000))
        assert flow.total > 10_000_000
        wire.writer.transport.abort()
        await eventually(lambda: rooms.left)
        await eventually(lambda: flow.total == 0)


async def test_a_removed_device_gets_nothing_of_what_waited_for_it(serve: Serve) -> None:
    """Red without `clear` in `Relay._close`. The positive control is what it got before."""
    rooms = Rooms(book(IPHONE.record()))
    async with call(serve, rooms, IPHONE, QUICK) as phone:
        await phone.gets_in()
        rooms.relays[0].post(wake(1))
        assert (await phone.read())["event"] == "voicewake.changed"
        for event in (wake(1), wake(2), Ended(4001, "device removed")):
            rooms.relays[0].post(event)
        frame = await phone.wire.frame()
        assert (frame.opcode, frame.close) == (CLOSE, (4001, "device removed"))


async def test_the_sockets_of_one_phone_have_one_share_and_another_phone_its_own(serve: Serve) -> None:
    """Red without `belongs_to` in `Relay._do`: all phones together would have the share of one."""
    rooms, pool = Rooms(book(IPHONE.record(), ANDROID.record())), Pool(limit=26_214_400)
    async with (
        serve(rooms.serve, deadlines=QUICK, frame_max_bytes=26_214_400, pool=pool) as listener,
        peer(listener.port) as one,
        peer(listener.port) as two,
        peer(listener.port) as three,
    ):
        for wire, phone, waiting, held in (
            (one, IPHONE, 0, 10_000_000),
            (two, IPHONE, 1, 10_000_000),
            (three, ANDROID, 1, 20_000_000),
        ):
            await wire.upgrade()
            await Caller(wire, phone).gets_in()
            await wire.say(header(TEXT, 10_000_000) + b"mask")
            await eventually(functools.partial(is_as, pool, waiting, held), what=phone.name)


def is_as(pool: Pool, waiting: int, held: int) -> bool:
    """Whether so many wait and so many bytes are held."""
    return (pool.budget.waiting, pool.budget.held) == (waiting, held)
