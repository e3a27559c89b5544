"""The gate before the reader, with a reader that only remembers."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from bridge.lan.frame_gate import FrameGate, cut
from bridge.lan.frame_rules import POLICY, Breach
from tests.bridge.lan.wire import TEXT, header, masked


class Reader:
    """Remembers what reaches it."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.got.append(data)
        return True, b"rest"

    def feed_eof(self) -> None:
        self.got.append(b"<end>")


async def test_what_is_in_order_is_passed_on_as_it_came() -> None:
    reader, breaches = Reader(), list[Breach]()
    gate = FrameGate(reader, breaches.append)
    data = masked(TEXT, b"hello")
    assert gate.feed_data(data) == (True, b"rest")
    gate.feed_eof()
    assert reader.got[0] is data
    assert (reader.got[1:], breaches) == ([b"<end>"], [])


async def test_a_breach_is_told_once_and_nothing_follows_it() -> None:
    reader, breaches = Reader(), list[Breach]()
    gate = FrameGate(reader, breaches.append)
    for data in (header(TEXT, 0, mask=False), header(TEXT, 0, mask=False), masked(TEXT, b"hello")):
        assert gate.feed_data(data) == (False, b"")
    assert len(breaches) == 1
    assert reader.got == []


class Stuck(web.WebSocketResponse):
    """A WebSocket whose peer does not read."""

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        await asyncio.Event().wait()
        return True


class Broken(web.WebSocketResponse):
    """A WebSocket that cannot be closed any more."""

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        raise ConnectionError("gone")


async def test_a_peer_that_does_not_read_is_cut_all_the_same() -> None:
    aborts = list[str]()
    await cut(Stuck(), Breach(POLICY, "x"), lambda: aborts.append("abort"), 0.01)
    assert aborts == ["abort"]


async def test_so_is_one_that_cannot_be_told() -> None:
    aborts = list[str]()
    with pytest.raises(ConnectionError):
        await cut(Broken(), Breach(POLICY, "x"), lambda: aborts.append("abort"), 1.0)
    assert aborts == ["abort"]
