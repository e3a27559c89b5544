"""Stands before aiohttp's WebSocket reader: bytes that break the rules of frames, or have no room, do not reach it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from bridge.lan.frame_rules import POLICY, TOO_LARGE, Breach, DataFrame, FrameWalker
from bridge.lan.inflow import Inflow
from bridge.lan.message_sizes import MessageSizes


class Reader(Protocol):
    """What aiohttp's protocol asks of the one that it feeds."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Takes bytes; returns whether it has come to its end, and what is left of them."""

    def feed_eof(self) -> None:
        """Takes the end."""


class Valve(Protocol):
    """What holds a transport back."""

    def hold(self) -> None:
        """Reads nothing more from the peer."""

    def let_go(self) -> None:
        """Reads again."""

    def excuse(self) -> None:
        """Puts the end of its patience off: the peer cannot answer a ping that is not read."""


@dataclass(frozen=True, slots=True)
class Metering:
    """How the large messages of one connection are bounded.

    Attributes:
        inflow: its account in the budget.
        valve: holds the peer back while there is no room.
        max_bytes: of the longest message.
        message_s: seconds that a large message may take from the moment at which there is room for it.
        excuse_s: seconds between excuses for a peer that is held back.
    """

    inflow: Inflow
    valve: Valve
    max_bytes: int
    message_s: float
    excuse_s: float


class FrameGate:
    """A reader before the reader.

    Args:
        reader: gets what is in order.
        on_breach: called once; from then on everything is dropped.
        metering: bounds large messages; None: they are not.
    """

    def __init__(self, reader: Reader, on_breach: Callable[[Breach], None], metering: Metering | None = None) -> None:
        self._reader = reader
        self._on_breach = on_breach
        self._metering = metering
        self._sizes = MessageSizes(metering.max_bytes if metering else 0)
        self._walker = FrameWalker()
        self._broken = False
        self._chunk, self._passed = b"", 0  # the bytes at hand, and how many of them the reader has
        self._frames: deque[DataFrame] = deque()
        self._waits = False
        self._later: list[bytes] = []
        """What came while there is no room; a read or two, because nothing more is read."""
        self._timer: asyncio.TimerHandle | None = None
        if metering is not None:
            metering.inflow.on_room(self._resume)

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Passes bytes on, as far as there is room for them; returns what the reader would."""
        if self._broken:
            return False, b""
        if self._waits:
            self._later.append(data)
            return False, b""
        breach = self._walker.feed(data, asyncio.get_running_loop().time())
        if breach is not None:
            self._break(breach)
            return False, b""
        if self._metering is None:
            return self._reader.feed_data(data)
        self._chunk, self._passed = data, 0
        self._frames.extend(self._walker.data_frames())
        return self._go_on(self._metering)

    def _go_on(self, metering: Metering) -> tuple[bool, bytes]:
        while self._frames:
            frame = self._frames.popleft()
            if self._sizes.at_start:
                self.stop()
            change = self._sizes.frame(frame.length, final=frame.final)
            if change < 0:
                metering.inflow.release(-change)
            if change <= 0:
                continue
            if not metering.inflow.admitted:
                self._break(Breach(TOO_LARGE, "too large before hello"))
                return False, b""
            if not metering.inflow.claim(change):
                self._wait(metering, frame)
                return False, b""
            self._watch(metering)
        rest, self._chunk = self._chunk[self._passed :], b""
        if self._walker.between_messages:
            self.stop()
        return self._reader.feed_data(rest)

    def _wait(self, metering: Metering, frame: DataFrame) -> None:
        """The reader gets what comes before: a message that is whole has to be worked on, or there is never room."""
        before, self._passed = self._chunk[self._passed : frame.at], frame.at
        self._waits = True
        metering.valve.hold()
        self._reader.feed_data(before)
        self._excuse(metering)

    def _excuse(self, metering: Metering) -> None:
        """Only while it waits for others: one that is held up by what it does not read itself gets no excuse."""
        if metering.inflow.is_empty:
            metering.valve.excuse()
        self._timer = asyncio.get_running_loop().call_later(metering.excuse_s, self._excuse, metering)

    def _watch(self, metering: Metering) -> None:
        """A peer that announced a large message and does not send it would keep others from sending theirs."""
        late = Breach(POLICY, "message not sent in time")
        self._timer = asyncio.get_running_loop().call_later(metering.message_s, self._break, late)

    def _resume(self) -> None:
        if self._metering is None or self._broken:
            return
        self._waits = False
        self.stop()
        self._watch(self._metering)
        self._go_on(self._metering)
        while self._later and not self._waits and not self._broken:
            self.feed_data(self._later.pop(0))
        if not self._waits:
            self._metering.valve.let_go()

    def _break(self, breach: Breach) -> None:
        self._broken = True
        self._chunk = b""
        self._later.clear()
        self.stop()
        self._on_breach(breach)

    def feed_eof(self) -> None:
        """Passes the end on."""
        self.stop()
        self._reader.feed_eof()

    def stop(self) -> None:
        """No large message is under way or waited for any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def cut(socket: web.WebSocketResponse, breach: Breach, abort: Callable[[], None], patience_s: float) -> None:
    """Closes a WebSocket with the breach's code, and ends its connection whether or not the peer reads that.

    Args:
        socket: the WebSocket.
        breach: what the peer did.
        abort: ends the connection at once.
        patience_s: seconds that the peer has.
    """
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await socket.close(code=breach.code, message=breach.reason.encode())
    finally:
        abort()
