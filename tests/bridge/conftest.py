"""A bridge for a test, and what a person at its machine can ask of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.operations import BridgeOperations
from tests.bridge.house import House, house


@pytest_asyncio.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[House]:
    """A bridge whose gateway is not there."""
    async with house(tmp_path / "home") as built:
        yield built


@pytest.fixture
def operations(bridge: House) -> BridgeOperations:
    """What can be asked of that bridge."""
    return bridge.operations
