"""Counting a stranger's bytes and seconds, with a transport that only remembers."""

from __future__ import annotations

import asyncio

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


def connected(deadline_s: float = 60.0) -> tuple[MeteredProtocol, Inner, Wire, list[str]]:
    inner, wire, lost = Inner(), Wire(), list[str]()
    metered = MeteredProtocol(inner, "192.0.2.1", lambda: lost.append("lost"), deadline_s)
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
    assert (inner.received, wire.aborts, lost, metered.lost) == (5, 0, ["lost"], True)


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
    MeteredProtocol(Inner(), "192.0.2.1", lambda: None, 1.0).abort()
