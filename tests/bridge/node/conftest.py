"""The double of a bridge, for the tests of native nodes, which run on both loops: a node may use either."""

from __future__ import annotations

from asyncio import AbstractEventLoop, SelectorEventLoop
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from tests.doubles.pairing_bridge import PairingBridge, pairing_bridge


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], AbstractEventLoop]]:
    """Run what connects on both loops: uvloop has a TLS of its own. The simulated phone keeps to the standard one."""
    both: dict[str, Callable[[], AbstractEventLoop]] = {"asyncio": SelectorEventLoop, "uvloop": uvloop.new_event_loop}
    return both if item.path.stem.startswith(("test_native", "test_pairing_http")) else {"asyncio": SelectorEventLoop}


@pytest.fixture
async def double(tmp_path: Path) -> AsyncIterator[PairingBridge]:
    """A bridge that answers as the page says, and can be twisted."""
    async with pairing_bridge(tmp_path) as made:
        yield made
