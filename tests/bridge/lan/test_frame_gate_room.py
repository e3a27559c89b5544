"""The gate and the budget of large messages: who finds no room is held back, in order, and nobody is closed for it."""

from __future__ import annotations

import asyncio
import functools

import pytest

from bridge.lan.byte_budget import SMALL_BYTES
from bridge.lan.frame_gate import FrameGate, Metering
from bridge.lan.frame_rules import POLICY, TOO_LARGE, Breach
from bridge.lan.inflow import Pool
from tests.bridge.lan.wire import CONTINUATION, PING, TEXT, header, masked
from tests.support.waiting import eventually

LARGE = 100_000
MAX = 1_000_000
SLOW_S = 0.1
EXCUSE_S = 0.02
MASK = b"mask"


class Peer:
    """One connection: its gate, what reached the reader, and whether it is held back."""

    def __init__(self, pool: Pool, owner: str, *, admitted: bool = True, message_s: float = 60.0) -> None:
        self.inflow = pool.open()
        self.inflow.belongs_to(owner)
        self.inflow.admitted = admitted
        self.got = b""
        self.held = False
        self.excuses = 0
        self.breaches: list[Breach] = []
        self.gate = FrameGate(self, self.breaches.append, Metering(self.inflow, self, MAX, message_s, EXCUSE_S))

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.got += data
        return False, b""

    def feed_eof(self) -> None:
        self.got += b"<end>"

    def hold(self) -> None:
        self.held = True

    def let_go(self) -> None:
        self.held = False

    def excuse(self) -> None:
        assert self.held
        self.excuses += 1

    def done(self, size: int = LARGE) -> None:
        """The bridge has worked on a message."""
        self.inflow.load(size).carry()()


@functools.cache  # each time it is made it has another mask
def message(size: int = LARGE) -> bytes:
    return masked(TEXT, b"x" * size)


@pytest.fixture
def pool() -> Pool:
    return Pool(2 * LARGE)


async def test_who_finds_no_room_is_held_and_goes_on_where_it_was(pool: Pool) -> None:
    """Red when the gate passes on what has no room, and when it loses what came meanwhile."""
    first, second, third = (Peer(pool, name) for name in "abc")
    for peer in (first, second):
        peer.gate.feed_data(message())
    small = masked(TEXT, b"small")
    third.gate.feed_data(small + message() + small)
    third.gate.feed_data(small)
    assert third.held
    assert len(third.got) < len(small) + 20
    first.done()
    assert third.got == small + message() + small + small
    assert (third.held, third.breaches, pool.budget.held) == (False, [], 2 * LARGE)
    for peer in (second, third):
        peer.done()
    assert pool.budget.held == 0


async def test_a_whole_message_is_passed_on_when_the_next_has_no_room(pool: Pool) -> None:
    """Red when a read is held as one: two such peers would wait for each other for ever."""
    peers = [Peer(pool, name) for name in "ab"]
    for peer in peers:
        half = message()[:50_000]
        peer.gate.feed_data(half)
    for peer in peers:
        peer.gate.feed_data(message()[50_000:] + message() + message())
        assert peer.held
        assert len(peer.got) >= len(message())
    for _ in range(3):
        for peer in peers:
            peer.done()
    assert [peer.got for peer in peers] == [message() * 3] * 2
    assert [peer.held for peer in peers] == [False, False]


async def test_small_messages_pass_when_there_is_no_room_at_all(pool: Pool) -> None:
    greedy, other = Peer(pool, "a"), Peer(pool, "b")
    greedy.gate.feed_data(message(2 * LARGE))
    calls = masked(TEXT, b"x" * SMALL_BYTES) * 10 + masked(PING, b"")
    other.gate.feed_data(calls)
    assert other.got == calls


async def test_a_header_alone_takes_nothing_beyond_the_largest_message(pool: Pool) -> None:
    """D8: a length of 2^63 - 1 is refused by the reader; here it neither waits nor takes room."""
    peer = Peer(pool, "a")
    peer.gate.feed_data(header(TEXT, 2**63 - 1) + MASK)
    assert peer.got == header(TEXT, 2**63 - 1) + MASK
    assert pool.budget.held == 0


async def test_who_announces_and_does_not_send_is_cut_by_the_clock(pool: Pool) -> None:
    """Red without the timer, and when each byte that comes starts it anew."""
    slow, waiting = Peer(pool, "a", message_s=SLOW_S), Peer(pool, "b")
    slow.gate.feed_data(header(TEXT, 2 * LARGE) + MASK)
    waiting.gate.feed_data(message())
    began = asyncio.get_running_loop().time()
    while not slow.breaches:
        slow.gate.feed_data(b"x")
        await asyncio.sleep(SLOW_S / 20)
        assert asyncio.get_running_loop().time() - began < 50 * SLOW_S
    assert slow.breaches == [Breach(POLICY, "message not sent in time")]
    slow.inflow.close()  # the connection ends
    assert waiting.got == message()
    waiting.done()


async def test_the_clock_stands_still_while_the_peer_is_held_back(pool: Pool) -> None:
    first, second = Peer(pool, "a"), Peer(pool, "b", message_s=SLOW_S)
    first.gate.feed_data(message(2 * LARGE))
    second.gate.feed_data(message())
    await asyncio.sleep(3 * SLOW_S)
    first.done(2 * LARGE)
    assert (second.breaches, second.got) == ([], message())


async def test_a_message_that_has_come_is_not_cut_later(pool: Pool) -> None:
    peer = Peer(pool, "a", message_s=SLOW_S)
    peer.gate.feed_data(message()[:-1])
    peer.gate.feed_data(message()[-1:] + masked(TEXT, b"x")[:-1])
    await asyncio.sleep(3 * SLOW_S)
    assert peer.breaches == []


async def test_a_message_that_has_come_whole_is_not_cut_when_nothing_follows_it(pool: Pool) -> None:
    """Red without `between_messages`: a phone that has sent a picture and rests is closed."""
    peer = Peer(pool, "a", message_s=SLOW_S)
    peer.gate.feed_data(message())
    await asyncio.sleep(3 * SLOW_S)
    assert peer.breaches == []


async def test_one_that_was_held_back_is_not_cut_after_its_message_has_come(pool: Pool) -> None:
    """Red when its excuses go on while it is read: they take the place of the clock that the message's end stops."""
    first, second = Peer(pool, "a"), Peer(pool, "b", message_s=SLOW_S)
    first.gate.feed_data(message(2 * LARGE))
    second.gate.feed_data(message()[:50_000])
    first.done(2 * LARGE)
    await asyncio.sleep(2 * EXCUSE_S)
    second.gate.feed_data(message()[50_000:])
    await asyncio.sleep(3 * SLOW_S)
    assert (second.breaches, second.got) == ([], message())


async def test_one_whose_next_message_has_no_room_stays_held_back(pool: Pool) -> None:
    """Red when it is let go with the first: what it sends on would be kept for as long as it waits."""
    first, second = Peer(pool, "a"), Peer(pool, "b")
    first.gate.feed_data(message(2 * LARGE))
    second.gate.feed_data(message(2 * LARGE) * 2)
    first.done(2 * LARGE)
    assert second.held
    assert len(message(2 * LARGE)) <= len(second.got) < len(message(2 * LARGE)) + 20
    second.done(2 * LARGE)
    assert (second.held, second.got) == (False, message(2 * LARGE) * 2)


async def test_parts_take_what_the_longest_would_and_give_back_what_they_were_not() -> None:
    pool = Pool(MAX)
    peer = Peer(pool, "a")
    peer.gate.feed_data(masked(TEXT, b"x" * LARGE, final=False))
    assert pool.budget.held == MAX
    peer.gate.feed_data(masked(CONTINUATION, b"x" * LARGE))
    assert pool.budget.held == 2 * LARGE
    peer.done(2 * LARGE)
    assert pool.budget.held == 0


async def test_a_stranger_takes_nothing(pool: Pool) -> None:
    stranger = Peer(pool, "", admitted=False)
    stranger.gate.feed_data(header(TEXT, SMALL_BYTES + 1) + MASK)
    assert stranger.breaches == [Breach(TOO_LARGE, "too large before hello")]
    assert (stranger.got, pool.budget.held) == (b"", 0)


async def test_a_connection_that_ends_while_it_waits_keeps_nothing(pool: Pool) -> None:
    first, second = Peer(pool, "a"), Peer(pool, "b")
    first.gate.feed_data(message(2 * LARGE))
    second.gate.feed_data(message())
    second.gate.feed_eof()
    second.inflow.close()
    first.inflow.close()
    await eventually(lambda: pool.budget.held == 0)
    assert pool.budget.waiting == 0


async def test_who_waits_for_others_is_excused_from_answering_pings_and_who_waits_for_itself_is_not() -> None:
    """Red without `_excuse`: its heartbeat ends; red without `is_empty`: who reads nothing keeps its bytes for ever."""
    pool = Pool(3 * LARGE)
    greedy, other = Peer(pool, "a"), Peer(pool, "b")
    greedy.gate.feed_data(message(2 * LARGE))
    other.gate.feed_data(message(2 * LARGE))
    greedy.gate.feed_data(message(2 * LARGE))
    assert (greedy.held, other.held) == (True, True)
    await eventually(lambda: other.excuses >= 3)
    assert greedy.excuses == 0
    greedy.done(2 * LARGE)
    assert not other.held
    seen = other.excuses
    other.gate.feed_data(masked(TEXT, b"x"))
    await asyncio.sleep(5 * EXCUSE_S)
    assert other.excuses == seen, "it is read again"


async def test_nobody_is_excused_when_the_connection_has_ended(pool: Pool) -> None:
    first, second = Peer(pool, "a"), Peer(pool, "b")
    first.gate.feed_data(message(2 * LARGE))
    second.gate.feed_data(message())
    second.gate.feed_eof()
    seen = second.excuses
    await asyncio.sleep(5 * EXCUSE_S)
    assert second.excuses == seen
