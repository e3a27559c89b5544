"""What attacks on the ports share: bytes in clear, a mark that any parser would leave, and looks at the log."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.attacks.fortress import Fortress
from tests.bridge.lan.wire import HOST, TEXT, UPGRADE, masked
from tests.support.waiting import eventually

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST
MARK = b"POST /pair/v1/enroll HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n{"
"""A request that leaves `MARKED` in the log as soon as it is parsed at the node port."""
MARKED = "pair-refused"
APP_MARK = UPGRADE % (b"/", b"") + masked(TEXT, b"no frame of ours")
"""The same for the app port: it leaves `APP_MARKED`."""
APP_MARKED = "frame-refused"
OLD_ALERT = 0x15  # content type of a TLS alert


def now_in(castle: Fortress) -> int:
    """Return the place in the log from which on to look."""
    return len(castle.bridge.log_lines())


async def logged(castle: Fortress, event: str, since: int, count: int = 1) -> list[dict[str, Any]]:
    """Wait for so many entries of an event since `now_in`; exactly so many must have come."""
    found = await eventually(
        lambda: entries if len(entries := castle.events(event, since)) >= count else None, what=f"{count} {event}"
    )
    assert len(found) == count, found
    return found


async def in_clear(port: int, *data: bytes) -> bytes:
    """Send bytes without TLS; return whatever comes back until the server closes."""
    answer = b""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        with suppress(OSError):
            for part in data:
                writer.write(part)
                await writer.drain()
            async with asyncio.timeout(10):
                while chunk := await reader.read(65_536):
                    answer += chunk
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
    return answer


def is_no_answer(data: bytes) -> bool:
    """Tell whether this is nothing, or one alert of TLS."""
    return data == b"" or (data[0] == OLD_ALERT and len(data) == 7)


def and_reset(port: int, data: bytes) -> None:
    """Send bytes without TLS and cut the connection in the same moment."""
    connection = socket.create_connection((HOST, port), timeout=10)
    connection.sendall(data)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


def cpu_seconds(pid: int) -> float:
    """Return how long a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
