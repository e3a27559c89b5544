"""HTTP without words for strangers: no banner, no body, no reason why."""

from __future__ import annotations

import asyncio

from aiohttp import hdrs, web


class QuietHandler(web.RequestHandler):
    """aiohttp's HTTP protocol without words for strangers: an error is an empty answer."""

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


def empty_answer(status: int) -> web.Response:
    """Returns an answer that is nothing but its status, after which the connection closes."""
    response = web.Response(status=status, headers={hdrs.SERVER: "", hdrs.CONNECTION: "close"})
    response.force_close()
    return response
