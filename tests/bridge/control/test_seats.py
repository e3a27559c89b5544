"""The cap on connections holds under a flood, and nobody stays for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from bridge.control.api import ControlServer
from bridge.control.seats import MAX_CONNECTIONS, Seats
from bridge.control.socket_file import SOCKET_NAME
from tests.doubles.operations import FakeOperations
from tests.support.waiting import eventually

REQUEST = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
WAIT_S = 10.0


class Echo(asyncio.Protocol):
    """Sends back what it gets; counts what it was told of its connection."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)  # uvloop's own class is no subclass of asyncio's
        self.log.append("made")

    def data_received(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def eof_received(self) -> bool | None:
        self.log.append("eof")
        return False

    def pause_writing(self) -> None:
        self.log.append("pause")

    def resume_writing(self) -> None:
        self.log.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.log.append("lost")


@asynccontextmanager
async def seated(home: Path, seats: Seats) -> AsyncIterator[str]:
    path = str(home / "seats.sock")
    server = await asyncio.get_running_loop().create_unix_server(seats, path)
    try:
        yield path
    finally:
        server.close()
        await server.wait_closed()


async def test_a_flood_gets_the_cap_and_a_polite_refusal_beyond_it(home: Path) -> None:
    path = str(home / SOCKET_NAME)
    async with ControlServer(home / SOCKET_NAME, FakeOperations()), asyncio.timeout(3 * WAIT_S):
        served = [await asyncio.open_unix_connection(path) for _ in range(MAX_CONNECTIONS)]
        for _ in range(10):
            for reader, writer in [await asyncio.open_unix_connection(path) for _ in range(100)]:
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 503 ")
                assert json.loads(body)["error"]["code"] == "BUSY"
                writer.close()
        for reader, writer in served:
            writer.write(REQUEST)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            writer.close()


async def test_the_end_aborts_who_is_left_and_refuses_who_comes(home: Path) -> None:
    log: list[str] = []
    seats = Seats(lambda: Echo(log))
    async with seated(home, seats) as path, asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_unix_connection(path)
        await eventually(lambda: seats.taken == 1)
        seats.close()
        seats.close()
        assert await reader.read() == b""
        late, other = await asyncio.open_unix_connection(path)
        assert (await late.read()).startswith(b"HTTP/1.1 503 ")
        await eventually(lambda: seats.taken == 0)
        writer.close()
        other.close()
    assert log == ["made", "lost"]


async def test_a_seat_that_was_left_is_given_away_again(home: Path) -> None:
    log: list[str] = []
    seats = Seats(lambda: Echo(log), limit=1)
    async with seated(home, seats) as path, asyncio.timeout(WAIT_S):
        _, first = await asyncio.open_unix_connection(path)
        await eventually(lambda: seats.taken == 1)
        refused, other = await asyncio.open_unix_connection(path)
        assert (await refused.read()).startswith(b"HTTP/1.1 503 ")
        first.close()
        await eventually(lambda: seats.taken == 0)
        reader, second = await asyncio.open_unix_connection(path)
        second.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        second.close()
        other.close()
        await eventually(lambda: seats.taken == 0)
    assert log.count("made") == log.count("lost") == 2


async def test_a_connection_that_lasts_too_long_is_ended(home: Path) -> None:
    log: list[str] = []
    seats = Seats(lambda: Echo(log), lifetime_s=0.05)
    async with seated(home, seats) as path, asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.read() == b""
        writer.close()
        await eventually(lambda: seats.taken == 0)


async def test_end_of_file_and_back_pressure_reach_the_protocol_behind(home: Path) -> None:
    log: list[str] = []
    async with seated(home, Seats(lambda: Echo(log))) as path, asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"x" * 4_000_000)
        await eventually(lambda: "pause" in log)
        assert len(await reader.readexactly(4_000_000)) == 4_000_000
        writer.write_eof()
        await eventually(lambda: {"resume", "eof", "lost"} <= set(log))
        writer.close()


class Wire(asyncio.Transport):
    """A transport that keeps what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True


def test_a_refused_peer_that_talks_on_reaches_nothing() -> None:
    made: list[str] = []
    wire = Wire()
    protocol = Seats(lambda: Echo(made), limit=0)()
    assert isinstance(protocol, asyncio.Protocol)
    protocol.connection_made(wire)
    assert wire.written.startswith(b"HTTP/1.1 503 ")
    assert wire.closed
    protocol.data_received(REQUEST)
    protocol.pause_writing()
    protocol.resume_writing()
    assert protocol.eof_received() is None
    protocol.connection_lost(None)
    assert made == []
    assert wire.written.count(b"HTTP/1.1") == 1
