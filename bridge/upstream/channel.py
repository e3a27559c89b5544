"""What both kinds of links to the gateway are: a connection that may be open, kept up for as long as it is wanted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from bridge.log import Log
from gateway_client.connection import GatewayConnection
from gateway_client.errors import (
    ConnectRefusedError,
    GatewayError,
    GatewayGoneError,
    GatewayUnreachableError,
    NotLoopbackError,
)
from gateway_client.frames import JsonObject, Response
from gateway_client.protocol import Dropped
from gateway_client.retry import backoff

STABLE_S = 10.0  # seconds a connection has to live before the back-off starts anew


class LinkDownError(Exception):
    """The link is not open: nothing was sent."""


class Channel:
    """A link's connection, and the requests over it."""

    def __init__(self) -> None:
        self._connection: GatewayConnection | None = None

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return self._connection is not None

    def request(
        self,
        method: str,
        params: JsonObject,
        *,
        wait_s: float | None = 30.0,
        on_interim: Callable[[Response], None] | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> Coroutine[Any, Any, Response]:
        """Sends a request; see `GatewayConnection.request`. The parameters are not kept beyond that.

        Raises:
            LinkDownError: the link is not open.
            GatewayError: it ended, there was no answer in time, or the request could not be sent.
        """
        if self._connection is None:
            raise LinkDownError
        connection = self._connection
        return connection.request(method, params, wait_s=wait_s, on_interim=on_interim, on_sent=on_sent)


def note_dropped(log: Log, dropped: Dropped) -> None:
    """Logs a frame of the gateway that could not be taken: what it was, never what it said."""
    what = dropped.head.event or dropped.head.kind or "?"
    log.info("frame-dropped", what=what, fault=dropped.fault.value, bytes=dropped.size)


async def keep_up(
    once: Callable[[float], Awaitable[float]], rest: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Makes a connection again and again until it is cancelled.

    Args:
        once: makes one connection and stays until it ends; gets the seconds that the back-off plans to wait after it,
            and returns those that shall be waited.
        rest: waits, at most that long.
    """
    loop = asyncio.get_running_loop()
    waits = backoff(random.random)
    while True:
        started = loop.time()
        pause = await once(next(waits))
        if loop.time() - started > STABLE_S:
            waits = backoff(random.random)
        await rest(pause)


def explain(exc: GatewayError, url: str, origin: str) -> str:
    """Returns why a link is not up, and what to do about it.

    Args:
        exc: what ended it, or kept it from being.
        url: the gateway.
        origin: where the credentials were found, in words.
    """
    if isinstance(exc, GatewayUnreachableError):
        return f"no gateway answers at {url}. Start it (openclaw gateway), or set gateway.url in bridge.toml"
    if isinstance(exc, NotLoopbackError):
        return f"{exc}. Set gateway.url in bridge.toml to an address of this machine, like ws://127.0.0.1:18789"
    if isinstance(exc, ConnectRefusedError) and exc.detail_code.startswith("AUTH_"):
        what = origin or "the bridge's token"
        return f"the gateway refused {what} ({exc.detail_code}). Correct it, or set gateway.token_source in bridge.toml"
    if isinstance(exc, ConnectRefusedError) and exc.detail_code == "PROTOCOL_MISMATCH":
        what = f"the gateway and the bridge speak different protocols (PROTOCOL_MISMATCH: {exc.error.message})"
        return f"{what}. Update the older of the two: npm install -g openclaw@latest, pipx upgrade clawdis-bridge"
    if isinstance(exc, ConnectRefusedError):
        return f"the gateway refused the bridge ({exc.detail_code}: {exc.error.message})"
    if isinstance(exc, GatewayGoneError):
        return f"the gateway closed the connection ({exc.code} {exc.reason})".replace(" )", ")")
    return str(exc)
