"""Who is told of a pairing by code, and that telling harms nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bridge.log import silent_log
from bridge.notices import MAX_TELLING, Notices
from bridge.pairing.reception import PairedByCode, WindowOpened
from bridge.tasks import Tasks
from tests.bridge.pairing.samples import record
from tests.support.waiting import eventually


class Listener:
    """A notifier that remembers, and takes as long as it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.told: list[str] = []
        self.go_on = asyncio.Event()
        self._error = error

    async def tell(self, text: str) -> None:
        self.told.append(text)
        if self._error is not None:
            raise self._error
        await self.go_on.wait()


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    async with Tasks(silent_log()) as owned:
        yield owned


async def test_every_notifier_is_told_of_a_pairing_by_code_and_of_nothing_else(tasks: Tasks) -> None:
    one, other = Listener(), Listener(OSError("gone"))
    notices = Notices((one, other), tasks, silent_log())
    notices.on_desk(WindowOpened())
    notices.on_desk(PairedByCode(record()))
    await eventually(lambda: bool(one.told and other.told))
    assert len(one.told) == len(other.told) == 1
    assert record().labels.display_name in one.told[0]


async def test_a_crowd_is_not_told_one_by_one(tasks: Tasks) -> None:
    slow = Listener()
    notices = Notices((slow,), tasks, silent_log())
    for _ in range(10 * MAX_TELLING):
        notices.on_desk(PairedByCode(record()))
    await eventually(lambda: len(slow.told) == MAX_TELLING)
    slow.go_on.set()
    await eventually(lambda: len(tasks) == 0)
    notices.on_desk(PairedByCode(record()))
    await eventually(lambda: len(slow.told) == MAX_TELLING + 1)
