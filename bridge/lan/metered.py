"""A protocol between the transport and aiohttp that bounds what a stranger can make the bridge keep in memory.

Until its peer is in, a connection may send `STRANGER_BYTES` in all and has to become a WebSocket in time; what comes
beyond that ends it. A WebSocket library's own limit would have to be that of the largest legal frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from bridge import clock
from bridge.lan.door import Visit

# A request head (8 KiB line, headers), the largest `connect` (64 KiB), early frames and pings. Times 64 places: 12 MiB.
STRANGER_BYTES = 192 * 1024


class MeteredProtocol(asyncio.Protocol):
    """Counts for the protocol that it wraps.

    Args:
        inner: aiohttp's protocol.
        visit: the connection as the door sees it.
        on_lost: called once when the connection has ended.
        deadline_s: seconds until the connection must be a WebSocket.
    """

    def __init__(self, inner: asyncio.Protocol, visit: Visit, on_lost: Callable[[], None], deadline_s: float) -> None:
        self.inner = inner
        self.visit = visit
        self.made = False
        self.promoted = False
        self._aborted = False
        self._on_lost = on_lost
        self._deadline_s = deadline_s
        self._left = STRANGER_BYTES
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._ends: list[Callable[[], None]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is done."""
        self.made = True
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's own class is no subclass of asyncio's
        self._timer = asyncio.get_running_loop().call_later(self._deadline_s, self.abort)
        self.inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Counts a stranger's bytes, then passes them on."""
        if not self.promoted:
            self._left -= len(data)
            if self._left < 0:
                self.abort()
                return
        self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Passes the end of the peer's bytes on."""
        return self.inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Passes the end on. A peer that saw the certificate and soon went without a word looked, and no more."""
        self._stop_timer()
        if self._left == STRANGER_BYTES and not self._aborted:
            self.visit.note_pace(clock.now().mono)
            self.visit.forgive()
        self.inner.connection_lost(exc)
        self._on_lost()
        for end in self._ends:
            end()

    def pause_writing(self) -> None:
        """Passes back-pressure on."""
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        """Passes the end of back-pressure on."""
        self.inner.resume_writing()

    def begin_socket(self) -> None:
        """The connection is a WebSocket: from here on the session's deadlines count."""
        self._stop_timer()

    def extend(self, seconds: float) -> None:
        """An answer may take this long: the deadline for becoming a WebSocket gives way to it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)

    def on_end(self, end: Callable[[], None]) -> None:
        """Calls `end` when the connection has ended."""
        self._ends.append(end)

    def promote(self) -> None:
        """The peer is in: its frames are bounded by the session's terms."""
        self.promoted = True

    def abort(self) -> None:
        """Ends the connection at once."""
        self._aborted = True
        self._stop_timer()
        if self._transport is not None:
            self._transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
