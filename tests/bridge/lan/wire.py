"""A LAN peer without manners: TLS, HTTP and WebSocket frames (RFC 6455) written byte by byte."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Self

HOST = "127.0.0.1"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
UPGRADE = (
    b"GET %s HTTP/1.1\r\nHost: clawdis-bridge.local\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n"
)


def client_context(*alpn: str, highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """Returns a context that trusts anyone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = highest
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


@dataclass(frozen=True)
class Frame:
    """One WebSocket frame of the server."""

    opcode: int
    payload: bytes
    final: bool = True
    reserved: int = 0

    @property
    def close(self) -> tuple[int, str]:
        """Code and reason of a close frame."""
        assert self.opcode == CLOSE, self
        return int.from_bytes(self.payload[:2]), self.payload[2:].decode()


def header(opcode: int, size: int, *, final: bool = True, reserved: int = 0, mask: bool = True) -> bytes:
    """Returns the head of a frame, without the mask's own bytes."""
    head, bit = bytes([(0x80 if final else 0) | reserved << 4 | opcode]), 0x80 if mask else 0
    if size < 126:
        return head + bytes([bit | size])
    if size < 65_536:
        return head + bytes([bit | 126]) + size.to_bytes(2)
    return head + bytes([bit | 127]) + size.to_bytes(8)


def masked(opcode: int, payload: bytes, *, final: bool = True, reserved: int = 0, length: int | None = None) -> bytes:
    """Returns a client's frame; `length` is what the header says, if it shall lie."""
    head = header(opcode, len(payload) if length is None else length, final=final, reserved=reserved)
    mask = os.urandom(4)
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    mixed = int.from_bytes(payload) ^ int.from_bytes(repeated)
    return head + mask + mixed.to_bytes(len(payload))


class Peer:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @property
    def tls(self) -> ssl.SSLObject:
        found = self.writer.get_extra_info("ssl_object")
        assert isinstance(found, ssl.SSLObject)
        return found

    async def say(self, data: bytes) -> Self:
        """Writes bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()
        return self

    async def rest(self, timeout_s: float = 10.0) -> bytes:
        """Reads until the server ends the connection, however it does."""
        data = b""
        async with asyncio.timeout(timeout_s):
            with suppress(OSError):
                while chunk := await self.reader.read(65_536):
                    data += chunk
        return data

    async def head(self) -> str:
        """Reads the head of an HTTP answer."""
        async with asyncio.timeout(10):
            return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def upgrade(self, path: str = "/", headers: bytes = b"") -> Self:
        """Becomes a WebSocket."""
        await self.say(UPGRADE % (path.encode(), headers))
        head = await self.head()
        assert head.startswith("HTTP/1.1 101 "), head
        return self

    async def send(self, payload: bytes, opcode: int = TEXT) -> Self:
        """Sends one frame."""
        return await self.say(masked(opcode, payload))

    async def frame(self, timeout_s: float = 10.0) -> Frame:
        """Reads one frame of the server.

        Raises:
            EOFError, ConnectionError: the connection ended.
        """
        async with asyncio.timeout(timeout_s):
            first, second = await self.reader.readexactly(2)
            assert second < 128, "a server never masks"
            size = second
            if second == 126:
                size = int.from_bytes(await self.reader.readexactly(2))
            elif second == 127:
                size = int.from_bytes(await self.reader.readexactly(8))
            payload = await self.reader.readexactly(size)
        return Frame(first & 15, payload, bool(first & 128), first >> 4 & 7)

    async def end(self) -> None:
        """Goes away at once."""
        self.writer.transport.abort()
        with suppress(OSError):  # ssl.SSLError is one
            await self.writer.wait_closed()


@asynccontextmanager
async def peer(port: int, context: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """Connects with TLS for a block."""
    reader, writer = await asyncio.open_connection(
        HOST, port, ssl=context or client_context("http/1.1"), limit=2**22, server_hostname="clawdis-bridge.local"
    )
    connected = Peer(reader, writer)
    try:
        yield connected
    finally:
        await connected.end()


async def ask(port: int, request: bytes) -> bytes:
    """Returns everything that the server has to say to a request, up to the end of the connection."""
    async with peer(port) as stranger:
        await stranger.say(request)
        return await stranger.rest()
