"""The gateway side of a bridge for each test, before a gateway of its own; a module overrides what it wants else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.demo.gateway import EmbeddedGateway
from tests.bridge.upstream.scripted import ScriptedGateway
from tests.bridge.upstream.stage import Stage, embedded, staged


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[EmbeddedGateway]:
    """The small gateway that knows the stage's token."""
    async with embedded() as running:
        yield running


@pytest_asyncio.fixture
async def scripted() -> AsyncIterator[ScriptedGateway]:
    """A gateway that says what a test wants."""
    async with ScriptedGateway() as running:
        yield running


@pytest.fixture
def url(gateway: EmbeddedGateway) -> str:
    """Where the stage's links go; a module may say that it is `scripted`."""
    return gateway.url


@pytest.fixture
def linger_s() -> float:
    """Seconds for which the link of a phone that has gone stays; a module may say otherwise."""
    return 0.0


@pytest_asyncio.fixture
async def stage(url: str, tmp_path: Path, linger_s: float) -> AsyncIterator[Stage]:
    """The gateway side of a bridge, with its operator link."""
    async with staged(url, tmp_path / "home", linger_s=linger_s) as built:
        yield built
