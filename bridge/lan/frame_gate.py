"""Stands before aiohttp's WebSocket reader: bytes that break the rules of frames do not reach it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from aiohttp import web

from bridge.lan.frame_rules import Breach, FrameWalker


class Reader(Protocol):
    """What aiohttp's protocol asks of the one that it feeds."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Takes bytes; returns whether it has come to its end, and what is left of them."""

    def feed_eof(self) -> None:
        """Takes the end."""


class FrameGate:
    """A reader before the reader.

    Args:
        reader: gets what is in order.
        on_breach: called once; from then on everything is dropped.
    """

    def __init__(self, reader: Reader, on_breach: Callable[[Breach], None]) -> None:
        self._reader = reader
        self._on_breach = on_breach
        self._walker = FrameWalker()
        self._broken = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Passes bytes on; returns what the reader would."""
        if self._broken:
            return False, b""
        breach = self._walker.feed(data, asyncio.get_running_loop().time())
        if breach is None:
            return self._reader.feed_data(data)
        self._broken = True
        self._on_breach(breach)
        return False, b""

    def feed_eof(self) -> None:
        """Passes the end on."""
        self._reader.feed_eof()


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
