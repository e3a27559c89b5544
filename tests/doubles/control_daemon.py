"""A control server in a thread of its own, for clients that are synchronous."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.control.api import Admit, ControlServer
from bridge.control.operations import Operations
from bridge.control.socket_file import SOCKET_NAME
from tests.doubles.operations import FakeOperations

START_S = 10.0


@dataclass(frozen=True)
class ControlDaemon:
    """What a test needs of it."""

    home: Path
    operations: FakeOperations

    @property
    def socket(self) -> Path:
        return self.home / SOCKET_NAME


@contextmanager
def short_home() -> Iterator[Path]:
    """A 0700 folder whose path leaves room for a socket's name on every system."""
    with tempfile.TemporaryDirectory(prefix="cb-", dir="/tmp") as folder:
        yield Path(folder)


@contextmanager
def control_daemon(home: Path, operations: FakeOperations, *, admit: Admit | None = None) -> Iterator[ControlDaemon]:
    """Serves the operations at `home` while the block runs."""
    ready = threading.Event()
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    typed: Operations = operations

    async def serve() -> None:
        finished = asyncio.Event()
        async with ControlServer(home / SOCKET_NAME, typed, admit=admit):
            stop.append((asyncio.get_running_loop(), finished))
            ready.set()
            await finished.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="control-daemon")
    thread.start()
    try:
        if not ready.wait(START_S):
            raise RuntimeError("the control server did not start")
        yield ControlDaemon(home, operations)
    finally:
        for loop, finished in stop:
            loop.call_soon_threadsafe(finished.set)
        thread.join(START_S)


@pytest.fixture
def home() -> Iterator[Path]:
    """A home folder that is thrown away."""
    with short_home() as folder:
        yield folder


@pytest.fixture
def operations() -> FakeOperations:
    """What the daemon of `daemon` offers."""
    return FakeOperations()


@pytest.fixture
def daemon(home: Path, operations: FakeOperations) -> Iterator[ControlDaemon]:
    """A running control server at `home`."""
    with control_daemon(home, operations) as running:
        yield running
