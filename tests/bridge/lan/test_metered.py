"""Counting a stranger's bytes and seconds, with a transport that only remembers."""

from __future__ import annotations

import asyncio

import pytest

from bridge import clock
from bridge.lan.door import QUICK_S, Door, TurnedAway, Visit
from bridge.lan.metered import STRANGER_BYTES, MeteredProtocol
from tests.support.waiting import eventually


class Inner(asyncio.Protocol):
    """Remembers what reaches it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        self.received += len(data)

    def eof_received(self) -> bool | None:
        self.calls.append("eof")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")


class Wire(asyncio.Transport):
    """A transport that counts how often it is aborted."""

    aborts = 0

    def abort(self) -> None:
        self.aborts += 1


def visit(door: Door | None = None, ago_s: float = 0.0) -> Visit:
    """A connection that the door let in."""
    entered = (door or Door(1, 1, 1, 1)).enter("192.0.2.1", clock.now().mono - ago_s)
    assert isinstance(entered, Visit)
    return entered


def connected(deadline_s: float = 60.0) -> tuple[MeteredProtocol, Inner, Wire, list[str]]:
    inner, wire, lost = Inner(), Wire(), list[str]()
    metered = MeteredProtocol(inner, visit(), lambda: lost.append("lost"), deadline_s)
    metered.connection_made(wire)
    return metered, inner, wire, lost


async def test_everything_is_passed_on() -> None:
    metered, inner, wire, lost = connected()
    metered.data_received(b"hello")
    metered.pause_writing()
    metered.resume_writing()
    assert metered.eof_received() is True
    metered.connection_lost(None)
    assert inner.calls == ["made", "pause", "resume", "eof", "lost"]
    assert (inner.received, wire.aborts, lost) == (5, 0, ["lost"])


async def test_the_last_byte_of_the_budget_passes_and_the_next_does_not() -> None:
    metered, inner, wire, _ = connected()
    metered.data_received(bytes(STRANGER_BYTES))
    assert wire.aborts == 0
    metered.data_received(b"x")
    assert wire.aborts == 1
    assert inner.received == STRANGER_BYTES


async def test_who_is_in_is_not_counted() -> None:
    metered, inner, wire, _ = connected()
    metered.promote()
    metered.data_received(bytes(STRANGER_BYTES + 1))
    assert wire.aborts == 0
    assert inner.received == STRANGER_BYTES + 1


async def test_a_connection_becomes_a_websocket_in_time_or_ends() -> None:
    _, _, late, _ = connected(0.01)
    metered, _, in_time, _ = connected(0.01)
    metered.begin_socket()
    gone, _, lost, _ = connected(0.01)
    gone.connection_lost(None)
    await eventually(lambda: late.aborts)
    assert in_time.aborts == 0
    assert lost.aborts == 0


async def test_aborting_without_a_connection_does_nothing() -> None:
    MeteredProtocol(Inner(), visit(), lambda: None, 1.0).abort()


async def test_a_peer_that_looked_and_went_without_a_word_is_forgiven() -> None:
    """What a client does that compares the certificate after the handshake."""
    door = Door(9, 9, 1, 1)
    for _ in range(100):
        metered = MeteredProtocol(Inner(), visit(door), lambda: None, 60.0)
        metered.connection_made(Wire())
        metered.connection_lost(None)
        metered.visit.leave()


@pytest.mark.parametrize("word", [b"", b"G"])
async def test_a_peer_that_was_cut_or_said_something_is_not(word: bytes) -> None:
    door = Door(9, 9, 1, 1)
    metered = MeteredProtocol(Inner(), visit(door), lambda: None, 60.0)
    metered.connection_made(Wire())
    if word:
        metered.data_received(word)
    else:
        metered.abort()
    metered.connection_lost(None)
    assert door.enter("192.0.2.1", clock.now().mono) is TurnedAway.OFTEN


@pytest.mark.parametrize(("ago_s", "forgiven"), [(QUICK_S - 0.5, True), (QUICK_S + 0.1, False), (9.9, False)])
async def test_a_peer_that_looked_for_long_is_not(ago_s: float, forgiven: bool) -> None:
    """Red when silence is enough: whoever goes just before the deadline holds places for ever at no cost."""
    door = Door(9, 9, 1, 1)
    metered = MeteredProtocol(Inner(), visit(door, ago_s), lambda: None, 60.0)
    metered.connection_made(Wire())
    metered.connection_lost(None)
    assert isinstance(door.enter("192.0.2.1", clock.now().mono), Visit) is forgiven
