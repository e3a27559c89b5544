"""TLS 1.3 early data (RFC 8446 section 2.3) by OpenSSL's own command line, which sends it where a session allows it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.bridge.lan.wire import HOST
from tests.support.waiting import eventually


def can_send_early() -> bool:
    """Tell whether this machine's `openssl` is OpenSSL, and new enough."""
    command = shutil.which("openssl")
    if command is None:
        return False
    said = subprocess.run([command, "version"], capture_output=True, text=True, check=False, timeout=20).stdout
    return said.startswith("OpenSSL ") and not said.startswith(("OpenSSL 0.", "OpenSSL 1.0", "OpenSSL 1.1.0"))


@asynccontextmanager
async def session_of(folder: Path) -> AsyncIterator[tuple[Path, int]]:
    """Run a server that takes early data; yield a session with it, and its port."""
    key, certificate, session = folder / "key.pem", folder / "certificate.pem", folder / "session.pem"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    made = await _openssl("req", "-x509", *curve, "-nodes", "-subj", "/CN=x", "-keyout", key, "-out", certificate)
    await made.communicate()
    files = ("-cert", certificate, "-key", key)
    server = await _openssl("s_server", "-accept", f"{HOST}:0", *files, "-early_data", "-tls1_3", "-no_anti_replay")
    try:
        port = await _port_of(server)
        client = await _client(port, "-sess_out", session)
        await eventually(lambda: session.exists() and session.stat().st_size > 0, what="a session ticket")
        await client.communicate(b"Q\n")
        yield session, port
    finally:
        with suppress(ProcessLookupError):
            server.kill()
        await server.communicate()


async def send_early(port: int, session: Path, data: Path) -> str:
    """Send a file as early data of a resumed session; return what the client tells of it."""
    client = await _client(port, "-sess_in", session, "-early_data", data)
    said, _ = await client.communicate(b"Q\n")
    return said.decode(errors="replace")


async def _port_of(server: Process) -> int:
    if server.stdout is None:
        raise AssertionError("the server's output is a pipe")
    async with asyncio.timeout(10):
        while not (line := (await server.stdout.readline()).decode()).startswith("ACCEPT"):
            pass
    return int(line.rpartition(":")[2])


async def _client(port: int, *arguments: str | Path) -> Process:
    return await _openssl("s_client", "-connect", f"{HOST}:{port}", "-tls1_3", *arguments)


async def _openssl(*arguments: str | Path) -> Process:
    stdin = DEVNULL if arguments[0] == "req" else PIPE
    return await asyncio.create_subprocess_exec("openssl", *arguments, stdin=stdin, stdout=PIPE, stderr=STDOUT)
