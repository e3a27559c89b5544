"""WebSocket frames over real TLS: what is too long, against the rules, or a flood of them."""

from __future__ import annotations

from contextlib import suppress

import pytest

from bridge.lan.frame_rules import CONTROL_BURST
from bridge.lan.listener import Deadlines
from tests.bridge.lan.conftest import Serve
from tests.bridge.lan.frame_cases import OUT_OF_ORDER
from tests.bridge.lan.guests import Guests, let_in
from tests.bridge.lan.wire import CLOSE, CONTINUATION, PING, TEXT, UPGRADE, header, masked, peer
from tests.support.waiting import eventually

QUICK = Deadlines(handshake_s=0.4, request_s=0.4, shutdown_s=0.2)


async def test_a_frame_of_the_limit_passes_and_one_byte_more_closes_with_1009(serve: Serve) -> None:
    guests = Guests()
    async with serve(guests, frame_max_bytes=300_000) as listener, peer(listener.port) as guest:
        await let_in(guest)
        await guest.send(b"x" * 300_000)
        await eventually(lambda: guests.bytes == len("let me in") + 300_000)
        await guest.send(b"x" * 300_001)
        assert (await guest.frame()).close[0] == 1009
    assert guests.bytes == len("let me in") + 300_000


async def test_a_message_in_parts_has_the_same_limit(serve: Serve) -> None:
    guests = Guests()
    async with serve(guests, frame_max_bytes=300_000) as listener, peer(listener.port) as guest:
        await let_in(guest)
        await guest.say(masked(TEXT, b"x" * 150_000, final=False) + masked(CONTINUATION, b"x" * 150_000))
        await eventually(lambda: guests.bytes == len("let me in") + 300_000)
        await guest.say(masked(TEXT, b"x" * 150_000, final=False) + masked(CONTINUATION, b"x" * 150_001))
        assert (await guest.frame()).close[0] == 1009
    assert guests.bytes == len("let me in") + 300_000


async def test_a_header_that_promises_too_much_is_refused_before_anything_is_kept(serve: Serve) -> None:
    async with serve(Guests()) as listener, peer(listener.port) as guest:
        await let_in(guest)
        await guest.say(masked(TEXT, b"x", length=2**63 - 1))
        assert (await guest.frame()).close[0] == 1009


@pytest.mark.parametrize("frames", OUT_OF_ORDER.values(), ids=OUT_OF_ORDER)
async def test_a_frame_against_the_rules_closes_with_1002(serve: Serve, frames: bytes) -> None:
    guests = Guests()
    async with serve(guests) as listener, peer(listener.port) as guest:
        await let_in(guest)
        await guest.say(frames)
        assert (await guest.frame()).close[0] == 1002
        await eventually(lambda: not guests.inside)


async def test_so_does_a_close_frame_of_one_byte(serve: Serve) -> None:
    async with serve(Guests()) as listener, peer(listener.port) as guest:
        await let_in(guest)
        await guest.say(masked(CLOSE, b"x"))
        assert (await guest.frame()).close[0] == 1002


async def test_frames_that_come_with_the_upgrade_are_held_to_the_rules_too(serve: Serve) -> None:
    async with serve(Guests()) as listener, peer(listener.port) as hasty:
        await hasty.say(UPGRADE % (b"/", b"") + header(TEXT, 9, mask=False) + b"let me in")
        assert (await hasty.head()).startswith("HTTP/1.1 101 ")
        assert (await hasty.frame()).close == (1002, "frame without a mask")


async def test_fragments_make_one_message_and_a_flood_of_them_is_bounded(serve: Serve) -> None:
    guests = Guests()
    async with serve(guests) as listener, peer(listener.port) as guest:
        await let_in(guest)
        await guest.say(masked(TEXT, b"a", final=False) + masked(PING, b"p") + masked(CONTINUATION, b"b"))
        await eventually(lambda: guests.bytes == len("let me in") + 2)
        assert (await guest.frame()).payload == b"p"
        await guest.say(masked(TEXT, b"a", final=False) + masked(CONTINUATION, b"", final=False) * 1_000)
        assert (await guest.frame()).close == (1008, "too many fragments")
        await eventually(lambda: not guests.inside)


async def test_a_flood_of_pings_is_closed_and_answered_by_a_few_pongs_only(serve: Serve) -> None:
    guests = Guests()
    async with serve(guests) as listener, peer(listener.port) as guest:
        await let_in(guest)
        with suppress(OSError):
            for _ in range(1_000):
                await guest.say(masked(PING, b"p" * 125) * 100)
        answer = await guest.rest()
    assert len(answer) <= (CONTROL_BURST + 8) * 127
    await eventually(lambda: not guests.inside)


async def test_who_floods_and_does_not_read_is_cut_soon(serve: Serve) -> None:
    guests = Guests()
    async with serve(guests, deadlines=QUICK) as listener, peer(listener.port) as guest:
        await let_in(guest)
        guest.writer.write(masked(PING, b"p" * 125) * 10_000)
        await eventually(lambda: not guests.inside, timeout_s=5.0)
