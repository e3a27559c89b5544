"""Both loops for what is asynchronous here, and the stand-in for osascript."""

from __future__ import annotations

from asyncio import AbstractEventLoop, SelectorEventLoop
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from tests.doubles.osascript import Osascript


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    """Run on both loops: the daemon has uvloop, whose processes and readers are its own."""
    return {"asyncio": SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def osascript(tmp_path: Path) -> Osascript:
    """The stand-in, told to say nothing."""
    return Osascript(tmp_path / "bin")
