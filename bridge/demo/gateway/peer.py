"""One connection's outgoing side: frames leave in order, a close leaves after them, a slow client is cut off."""

from __future__ import annotations

import asyncio

import websockets
from websockets.asyncio.server import ServerConnection

from bridge.demo.gateway.model import Client
from gateway_client.frames import ErrorShape, Event, Frame, Json, Response, encode_frame

QUEUE_FRAMES = 1024  # frames that wait for a slow client before it is closed


class Peer:
    """A socket and, after hello-ok, the client behind it."""

    def __init__(self, socket: ServerConnection, origin: str | None) -> None:
        self.socket = socket
        self.origin = origin
        self.client: Client | None = None
        self.refused_in_a_row = 0
        """Answers `unauthorized role` since the last other answer."""
        self._seq = 0
        self._out: asyncio.Queue[bytes | tuple[int, str]] = asyncio.Queue(QUEUE_FRAMES)
        self.closing = False
        """Whether a close is on its way: nothing more is read or sent."""

    def send(self, frame: Frame) -> None:
        """Queues a frame; closes a client that does not read (1008)."""
        if self.closing:
            return
        try:
            self._out.put_nowait(encode_frame(frame))
        except asyncio.QueueFull:
            self.closing = True
            self.socket.transport.abort()

    def answer(self, request_id: str, payload: Json) -> None:
        """Answers a request."""
        self.send(Response(request_id, ok=True, payload=payload, has_payload=True))

    def refuse(self, request_id: str, error: ErrorShape, payload: Json = None) -> None:
        """Answers a request with an error."""
        self.send(Response(request_id, ok=False, payload=payload, error=error))

    def event(self, name: str, payload: Json) -> None:
        """Sends an event meant for this client alone: without `seq`."""
        self.send(Event(name, payload))

    def broadcast(self, name: str, payload: Json) -> None:
        """Sends this client's copy of a broadcast, counted by `seq`."""
        self._seq += 1
        self.send(Event(name, payload, self._seq))

    def close(self, code: int, reason: str) -> None:
        """Closes the socket after what is queued."""
        if self.closing:
            return
        self.closing = True
        try:
            self._out.put_nowait((code, reason))
        except asyncio.QueueFull:
            self.socket.transport.abort()

    def abort(self) -> None:
        """Drops the connection without a close frame, as a dying process does."""
        self.closing = True
        self.socket.transport.abort()

    async def write(self) -> None:
        """Sends what is queued until a close was sent or the connection ended."""
        while True:
            item = await self._out.get()
            try:
                if isinstance(item, tuple):
                    await self.socket.close(*item)
                    return
                await self.socket.send(item, text=True)
            except websockets.ConnectionClosed:
                return
