"""Both loops for what is asynchronous here, the stand-in for osascript, and a terminal."""

from __future__ import annotations

from asyncio import AbstractEventLoop, SelectorEventLoop
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from tests.bridge.pairing.approvers.terminals import Terminal
from tests.doubles.osascript import Osascript


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    """Run on both loops: the daemon has uvloop, whose processes and readers are its own."""
    return {"asyncio": SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def osascript(tmp_path: Path) -> Osascript:
    """The stand-in, told to say nothing."""
    return Osascript(tmp_path / "bin")


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal that speaks UTF-8."""
    made = Terminal()
    yield made
    made.close()
