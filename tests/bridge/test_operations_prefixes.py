"""What a person typed names one request, also when another of the same beginning was decided a moment ago."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge import clock
from bridge.errors import AlreadyDecided, AmbiguousId
from bridge.pairing.desk import Filed
from tests.bridge.house import House, house
from tests.bridge.pairing.native import NativePhone
from tests.bridge.pairing.samples import NOON

DECIDED, WAITS = "aaaa1111", "aaaa2222"


def files(built: House, number: int, name: str) -> None:
    """Lay the request of a native node on the desk."""
    asked = built.reception.desk.file(
        NativePhone(number).revealed(name), f"10.0.0.{number}", clock.now().mono, NOON, name
    )
    assert isinstance(asked, Filed)


async def test_a_beginning_of_a_decided_request_is_not_the_one_that_waits(tmp_path: Path) -> None:
    async with house(tmp_path / "home") as built:
        files(built, 1, DECIDED)
        files(built, 2, WAITS)
        await built.operations.deny(DECIDED)
        for typed in ("aaaa", "aaaa1"):
            with pytest.raises(AmbiguousId if typed == "aaaa" else AlreadyDecided):
                await built.operations.deny(typed)
        assert [each.id for each in built.reception.desk.pending()] == [WAITS]
        await built.operations.deny(WAITS[:5])
        assert built.reception.desk.pending() == []
