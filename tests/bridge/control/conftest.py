"""The control server and its home, for every test of this folder."""

from __future__ import annotations

from asyncio import AbstractEventLoop, SelectorEventLoop
from collections.abc import Callable

import uvloop

from tests.doubles.control_daemon import daemon, home, operations

__all__ = ["daemon", "home", "operations"]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    """Run what is asynchronous here on both loops: the daemon has uvloop."""
    return {"asyncio": SelectorEventLoop, "uvloop": uvloop.new_event_loop}
