"""How many connections a listener serves at a time, and for how long each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

MAX_CONNECTIONS = 32
"""Simultaneous connections. A person has a few terminals and a script or two open; each connection may hold a body
of 64 KiB and an answer of some 100 KiB, so 32 are at most about 5 MiB. The peers are our own user's processes: the
cap is there so that a runaway script cannot take the daemon's descriptors, of which macOS gives a process 256."""

LIFETIME_S = 120.0
"""Seconds that one connection may last: twice the longest operation. Bounds every wait for a peer's bytes."""

_BODY = b'{"error":{"code":"BUSY","message":"Too many commands talk to the daemon at once.","fix":"Try again."}}'
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


class Seats:
    """Hands out at most `limit` seats; a connection without one is answered 503 and closed.

    Args:
        serve: makes the protocol that serves one connection.
        limit: simultaneous connections.
        lifetime_s: seconds after which a connection is aborted.
    """

    def __init__(
        self, serve: Callable[[], asyncio.Protocol], *, limit: int = MAX_CONNECTIONS, lifetime_s: float = LIFETIME_S
    ) -> None:
        self._serve = serve
        self._limit = limit
        self._lifetime_s = lifetime_s
        self._taken: set[_Seat] = set()

    @property
    def taken(self) -> int:
        """Connections that are being served."""
        return len(self._taken)

    def __call__(self) -> asyncio.Protocol:
        """The protocol for a connection that was just accepted."""
        return _Seat(self)

    def admit(self, seat: _Seat) -> asyncio.Protocol | None:
        """Gives a seat away; None when there is none."""
        if len(self._taken) >= self._limit:
            return None
        self._taken.add(seat)
        seat.deadline = asyncio.get_running_loop().call_later(self._lifetime_s, seat.abort)
        return self._serve()

    def close(self) -> None:
        """Ends every connection that is left, and refuses those that come. Idempotent."""
        self._limit = 0
        for seat in self._taken:
            seat.abort()

    def release(self, seat: _Seat) -> None:
        """Takes a seat back. Idempotent."""
        self._taken.discard(seat)
        if seat.deadline is not None:
            seat.deadline.cancel()


class _Seat(asyncio.Protocol):
    """One connection: passes everything on to the protocol that serves it."""

    def __init__(self, seats: Seats) -> None:
        self._seats = seats
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.WriteTransport | None = None
        self.deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes a seat, or says that there is none and closes."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's own class is no subclass of asyncio's
        self._inner = self._seats.admit(self)
        if self._inner is not None:
            self._inner.connection_made(transport)
        elif self._transport is not None:
            self._transport.write(_REFUSAL)
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Passes bytes on; without a seat they are dropped."""
        if self._inner is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Passes the end of the peer's bytes on."""
        return None if self._inner is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        """Passes back-pressure on."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Passes the end of back-pressure on."""
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives the seat back."""
        self._seats.release(self)
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()
