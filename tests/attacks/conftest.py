"""One fortress for all attacks of a module, and one for all attacks on pairing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.attacks.fortress import Fortress, fortress
from tests.attacks.insiders import Insider, inside
from tests.attacks.strangers import open_anew
from tests.support.bridge_process import WIDE_LIMITS

OFTEN = {
    "refusals_per_minute": 100_000,
    "calls_per_second": 10_000,
    "calls_burst": 100_000,
    "events_per_minute": 100_000,
    "voice_per_minute": 100_000,
    "agent_per_minute": 100_000,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def castle() -> AsyncIterator[Fortress]:
    """A bridge with wide limits: what is attacked here is not how often one may try."""
    async with fortress() as made:
        yield made


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def shared_gate() -> AsyncIterator[Fortress]:
    """A bridge that begins as many ceremonies as its settings allow, for hundreds of sockets at once."""
    limits = {**WIDE_LIMITS, "sockets_per_address": 256, "sockets_unauthenticated": 1024}
    async with fortress(limits=limits, pairing={"ceremonies_per_window": "100"}) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="package")
async def gate(shared_gate: Fortress) -> Fortress:
    """The same with an empty desk, after a person has invited devices."""
    await open_anew(shared_gate)
    return shared_gate


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def keep() -> AsyncIterator[Fortress]:
    """A bridge for attackers that are in, and may call and be refused as often as they like."""
    async with fortress(limits={**WIDE_LIMITS, **OFTEN}) as made:
        yield made


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def mallory(keep: Fortress) -> AsyncIterator[Insider]:
    """A paired phone gone bad that may speak, chat and invoke."""
    async with inside(keep, "voice", "chat", "nodes", "device", name="Mallory") as made:
        yield made


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def victim(keep: Fortress) -> AsyncIterator[Insider]:
    """Another phone."""
    async with inside(keep, "device", "chat", name="Victim") as made:
        yield made
