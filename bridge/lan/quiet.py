"""HTTP with few words for strangers: no banner, and no reason why; a node without access is told just that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from aiohttp import hdrs, web
from aiohttp.http import WebSocketReader

from bridge.lan.frame_gate import FrameGate, Metering
from bridge.lan.frame_rules import Breach


class QuietHandler(web.RequestHandler):
    """aiohttp's HTTP protocol without words for strangers: an error is an empty answer."""

    on_breach: Callable[[Breach], None]
    """Called when the frames of a WebSocket break the rules."""
    metering: Metering | None = None
    """Bounds the large messages of a WebSocket."""

    def hold(self) -> None:
        """Reads nothing more from the peer: there is no room for what it announced."""
        self._pause_reading_for_buffer()

    def let_go(self) -> None:
        """Reads again, unless what was read still waits to be worked on."""
        self._resume_reading_for_buffer()

    def excuse(self) -> None:
        """Lets the WebSocket believe that the peer has just been heard."""
        if self._data_received_cb is not None:
            self._data_received_cb()

    def set_parser(self, parser: WebSocketReader, data_received_cb: Callable[[], None] | None = None) -> None:
        """Puts the rules of frames before the reader of a WebSocket."""
        gate = FrameGate(parser, self.on_breach, self.metering)
        super().set_parser(cast("WebSocketReader", gate), data_received_cb)  # aiohttp asks no more of it than `Reader`

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers a malformed request with its status and nothing else."""
        self.force_close()
        return empty_answer(status)


class QuietServer(web.Server):
    """Makes a `QuietHandler` for each connection."""

    def __call__(self) -> web.RequestHandler:
        """Returns the protocol of one connection."""
        return QuietHandler(self, loop=asyncio.get_running_loop(), **self._kwargs)


def no_access() -> web.Response:
    """Returns the answer to a node that is not paired, which its owner understands; it says nothing about why."""
    response = empty_answer(403)
    response.content_type = "application/json"
    response.body = b'{"error":{"code":"NOT_PAIRED","message":"this node is not paired with this bridge"}}'
    return response


def empty_answer(status: int) -> web.Response:
    """Returns an answer that is nothing but its status, after which the connection closes."""
    response = web.Response(status=status, headers={hdrs.SERVER: "", hdrs.CONNECTION: "close"})
    response.force_close()
    return response
