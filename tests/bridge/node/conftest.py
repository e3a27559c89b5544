"""The double of a bridge, for the tests of native nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.doubles.pairing_bridge import PairingBridge, pairing_bridge


@pytest.fixture
async def double(tmp_path: Path) -> AsyncIterator[PairingBridge]:
    """A bridge that answers as the page says, and can be twisted."""
    async with pairing_bridge(tmp_path) as made:
        yield made
