"""Key updates, which OpenSSL counts not at all: a flood ends the connection, and nothing that carries content does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from certs.context import app_server_context
from certs.frugal import MAX_WASTE_BYTES
from certs.store import BridgeIdentity
from tests.support.tls13 import DATA, HandMade, Hello, hand_made

KEY_UPDATE_BYTES = 27
ENOUGH = MAX_WASTE_BYTES // KEY_UPDATE_BYTES


class Echo:
    """What a server heard, and how its connection ended."""

    def __init__(self) -> None:
        self.heard = 0
        self.ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read to the end."""
        end = None
        try:
            while data := await reader.read(65_536):
                self.heard += len(data)
        except OSError as exc:
            end = exc
        self.ended.set_result(end)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def served(bridge_identity: BridgeIdentity) -> AsyncIterator[tuple[Echo, HandMade]]:
    """Connect to a server with our context."""
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0, ssl=app_server_context(bridge_identity))
    async with server, hand_made(server.sockets[0].getsockname()[1]) as client:
        await client.shake_hands(Hello())
        yield echo, client


@pytest.mark.parametrize("requested", [True, False], ids=["both-sides", "one-side"])
async def test_a_flood_of_key_updates_ends_the_connection(bridge_identity: BridgeIdentity, requested: bool) -> None:
    async with served(bridge_identity) as (echo, client):
        for _ in range(2 * ENOUGH):
            client.update_keys(requested=requested)
        async with asyncio.timeout(5):
            end = await echo.ended
        assert "without content" in str(end)
        assert echo.heard == 0


async def test_key_updates_among_content_are_borne(bridge_identity: BridgeIdentity) -> None:
    async with served(bridge_identity) as (echo, client):
        for _ in range(2 * ENOUGH):
            client.update_keys(requested=False)
            client.send(DATA, b"x" * KEY_UPDATE_BYTES)
        client.writer.write_eof()
        async with asyncio.timeout(5):
            await echo.ended
        assert echo.heard == 2 * ENOUGH * KEY_UPDATE_BYTES


async def test_the_shortest_records_are_borne(bridge_identity: BridgeIdentity) -> None:
    async with served(bridge_identity) as (echo, client):
        for _ in range(10_000):
            client.send(DATA, b"x")
        client.writer.write_eof()
        async with asyncio.timeout(10):
            await echo.ended
        assert echo.heard == 10_000


async def test_so_are_the_longest_in_many_pieces(bridge_identity: BridgeIdentity) -> None:
    async with served(bridge_identity) as (echo, client):
        for _ in range(20):
            sealed = client.sending.seal(DATA, b"x" * 16_384)
            for start in range(0, len(sealed), 1400):
                client.writer.write(sealed[start : start + 1400])
                await client.writer.drain()
        client.writer.write_eof()
        async with asyncio.timeout(10):
            await echo.ended
        assert echo.heard == 20 * 16_384
