"""Requests to the pairing routes of a bridge: pinned TLS, bounded answers, no redirects, no second try.

The key is checked inside the handshake by the context (`certs.context.node_client_context`), on every connection.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
from aiohttp.connector import Connection

from bridge.node.pairing_answers import MAX_ANSWER_BYTES, read_body, read_refusal
from bridge.node.pairing_errors import BadAnswer, BridgeMismatch, BridgeUnreachable
from bridge.pairing.hosts import url_host
from certs.spki_pin import SpkiMismatch
from gateway_client.frames import Json, JsonObject

REQUEST_S = 15.0  # seconds for connecting, TLS, the request and its answer
_NO_CONTENT = 204


class _Connector(aiohttp.TCPConnector):
    """Can cut what is still being closed: TLS waits half a minute for a goodbye, which a bridge may keep to itself."""

    def __init__(self, **options: Any) -> None:  # Any: aiohttp's own options, passed on
        super().__init__(**options)
        self._made: list[asyncio.BaseTransport] = []

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:  # Any: aiohttp's own signature, passed on
        """Connects, and keeps hold of what has to be closed."""
        connection = await super().connect(*args, **kwargs)
        if connection.transport is not None:
            self._made.append(connection.transport)
        return connection

    async def cut(self) -> None:
        """Ends every connection; their sockets are closed when it returns."""
        for transport in self._made:
            with suppress(AttributeError):  # a transport that was closed twice cannot be aborted (Python 3.11.2)
                transport.abort()  # type: ignore[attr-defined]  # aiohttp names the base class; all of them write
        await asyncio.sleep(0)


class PairingHttp(AbstractAsyncContextManager["PairingHttp"]):
    """The pairing routes of one bridge. Use as `async with`; connections are kept between requests.

    Args:
        host: the bridge's name or address, IPv6 without brackets.
        port: its node port.
        context: a client context that checks the bridge's key in the handshake.

    Raises:
        ValueError: `host` is no name or address.
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext) -> None:
        self._where = f"{url_host(host)}:{port}"
        self._context = context
        self._connector: _Connector
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        # The resolver that uses the system's: another one would not know what `.local` is.
        self._connector = _Connector(ssl=self._context, limit=1, resolver=aiohttp.ThreadedResolver())
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # a few bytes could become many
            trust_env=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        await self._connector.cut()

    async def ask(
        self,
        method: str,
        path: str,
        body: JsonObject | None = None,
        *,
        expect: int = 200,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        wait_s: float = REQUEST_S,
    ) -> Json:
        """Sends one request; returns the JSON of its answer, None for one without content.

        Args:
            method: GET or POST.
            path: below `/pair/v1/`.
            body: the JSON to send.
            expect: the HTTP status of success.
            headers: further headers.
            query: the query, if any.
            wait_s: seconds for all of it.

        Raises:
            BridgeMismatch: another key than the pinned one; nothing was sent.
            BridgeUnreachable: no answer.
            Refused: the answer is an error.
            BadAnswer: the answer is none that the protocol knows.
        """
        status, data = await self._exchange(
            method,
            f"https://{self._where}/pair/v1/{path}",
            query=query,
            data=None if body is None else orjson.dumps(body),
            headers={**(headers or {}), **({} if body is None else {"Content-Type": "application/json"})},
            wait_s=wait_s,
        )
        if status >= 400:
            raise read_refusal(status, data)
        if status != expect:
            raise BadAnswer(f"HTTP status {status}, not {expect}")
        return None if status == _NO_CONTENT else read_body(data)

    async def _exchange(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, str] | None,
        data: bytes | None,
        headers: Mapping[str, str],
        wait_s: float,
    ) -> tuple[int, bytes]:
        timeout = aiohttp.ClientTimeout(total=wait_s)
        try:
            async with self._session.request(
                method, url, params=query, data=data, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                return response.status, await _read(response)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as exc:
            mismatch = mismatch_behind(exc)
            if mismatch is not None:
                raise BridgeMismatch(mismatch.expected, mismatch.seen) from exc
            raise BridgeUnreachable(self._where, _why(exc)) from exc


def mismatch_behind(error: BaseException | None) -> SpkiMismatch | None:
    """Returns the refusal of a bridge's key that a library wrapped into an error of its own; None: there was none."""
    while error is not None:
        if isinstance(error, SpkiMismatch):
            return error
        error = error.__cause__ or error.__context__
    return None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > MAX_ANSWER_BYTES:
            raise BadAnswer(f"more than {MAX_ANSWER_BYTES} bytes")
    return bytes(data)


def _why(error: Exception) -> str:
    """The library's words for it; a time-out has none."""
    return "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
