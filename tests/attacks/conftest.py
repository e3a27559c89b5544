"""One fortress for all attacks of a module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.attacks.fortress import Fortress, fortress


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def castle() -> AsyncIterator[Fortress]:
    """A bridge with wide limits: what is attacked here is not how often one may try."""
    async with fortress() as made:
        yield made
