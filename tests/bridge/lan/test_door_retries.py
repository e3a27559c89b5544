"""A key that waits for a person comes again and again: as an app does at no cost, without pause as anyone else."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from bridge.lan.door import TurnedAway
from bridge.lan.retries import RETRY_BURST
from tests.bridge.house import house
from tests.bridge.lan.doors import Recording
from tests.bridge.lan.phones import IPHONE
from tests.support.waiting import eventually

HANDSHAKES = 6


async def test_a_waiting_key_that_comes_without_pause_is_turned_away_and_writes_no_log(tmp_path: Path) -> None:
    """Red without the rate: each retry takes the hold over and is given back, so the next one may come."""
    door = Recording(handshakes=HANDSHAKES)
    async with house(tmp_path / "home", door=door) as bridge:
        with suppress(ConnectionError):
            for _ in range(60):
                async with bridge.call(IPHONE) as node:
                    await node.connects()
                    await eventually(lambda: bridge.reception.desk.pending())
                await eventually(lambda: door.count == 0)
        assert door.turned_away == [TurnedAway.OFTEN]
        assert HANDSHAKES + RETRY_BURST <= door.let_in < 30
        assert len(bridge.reception.desk.pending()) == 1
        door.ahead += 60.0
        async with bridge.call(IPHONE) as node:
            await node.connects()
            await eventually(lambda: door.count == 1)


async def test_a_socket_that_gives_its_place_to_the_next_is_a_line_of_debug(tmp_path: Path) -> None:
    async with house(tmp_path / "home") as bridge:
        async with bridge.call(IPHONE) as first, bridge.call(IPHONE) as second:
            await first.connects()
            await eventually(lambda: bridge.reception.desk.pending())
            await second.connects()
            assert (await first.read())["ok"] is False
        (line,) = bridge.stage.events("connect-refused")
        assert (line["level"], line["code"]) == ("debug", "PAIRING_REQUIRED")
