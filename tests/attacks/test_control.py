"""The fortress itself: without an attack everything holds, and each thing that it checks is seen when it does not."""

from __future__ import annotations

import pytest

from tests.attacks.fortress import Fortress
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_without_an_attack_everything_holds(castle: Fortress) -> None:
    async with castle.unharmed():
        pass


async def test_a_change_of_the_store_is_seen(castle: Fortress) -> None:
    with pytest.raises(AssertionError, match="store has changed"):
        async with castle.unharmed(heard=frozenset({"connect", "node.pair.remove", "device.pair.remove"})):
            await castle.paired()


async def test_what_the_gateway_hears_is_seen(castle: Fortress) -> None:
    async def speak() -> None:
        async with castle.node(castle.canary) as node:
            await node.connect()
            await eventually(castle.is_ready, timeout_s=10)
            await node.event("node.presence.alive", {"trigger": "manual"})

    with pytest.raises(AssertionError, match=r"the gateway heard {'node.event'}"):
        async with castle.unharmed(heard=frozenset({"connect"})):
            await speak()


async def test_a_secret_in_the_log_is_seen(castle: Fortress) -> None:
    castle.secrets.append("listening")
    with pytest.raises(AssertionError, match="secret"):
        castle.check_output()
    castle.secrets.remove("listening")
