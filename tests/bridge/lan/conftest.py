"""Real sockets for the shells of `lan`: one identity for all tests, and a listener on loopback."""

from __future__ import annotations

from asyncio import AbstractEventLoop, SelectorEventLoop
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import Protocol, TextIO

import pytest
import uvloop

from bridge.addresses import ListenAddress
from bridge.lan.door import Door
from bridge.lan.inflow import Pool
from bridge.lan.listener import Deadlines, Handler, Listener
from bridge.log import make_log, silent_log
from bridge.tasks import Tasks
from certs.context import app_server_context
from certs.store import BridgeIdentity, KeyFolder
from tests.bridge.lan.doors import door_of


class Serve(Protocol):
    """Starts a listener for a block."""

    def __call__(
        self,
        handler: Handler,
        *,
        door: Door | None = None,
        deadlines: Deadlines | None = None,
        frame_max_bytes: int = 1_048_576,
        log: TextIO | None = None,
        pool: Pool | None = None,
    ) -> AbstractAsyncContextManager[Listener]: ...


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    """Run what is asynchronous here on both loops: the daemon has uvloop, whose TLS is its own."""
    return {"asyncio": SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> BridgeIdentity:
    folder = tmp_path_factory.mktemp("bridge") / "keys"
    return KeyFolder(folder).load_or_create("clawdis-bridge-0a1b2c3d.local", now=datetime.now(UTC))


@pytest.fixture
def serve(identity: BridgeIdentity) -> Serve:
    @asynccontextmanager
    async def start(
        handler: Handler,
        *,
        door: Door | None = None,
        deadlines: Deadlines | None = None,
        frame_max_bytes: int = 1_048_576,
        log: TextIO | None = None,
        pool: Pool | None = None,
    ) -> AsyncIterator[Listener]:
        async with Tasks(silent_log()) as tasks:
            listener = Listener(
                "apps",
                app_server_context(identity),
                door or door_of(8, 64),
                handler,
                frame_max_bytes=frame_max_bytes,
                pool=pool,
                tasks=tasks,
                log=silent_log() if log is None else make_log("debug", "json", log),
                deadlines=deadlines or Deadlines(),
            )
            await listener.start([ListenAddress(IPv4Address("127.0.0.1"))], 0)
            try:
                yield listener
            finally:
                await listener.stop()

    return start
