"""Owned tasks: a failure is logged and goes no further, and leaving ends everything in bounded time."""

from __future__ import annotations

import asyncio
import gc
import io
import json

import pytest

from bridge.log import make_log
from bridge.tasks import STOP_S, Tasks
from tests.support.waiting import eventually


class Logged:
    """A log and its lines."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.log = make_log("debug", "json", self.stream)

    @property
    def lines(self) -> list[dict[str, object]]:
        """What was logged."""
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def logged() -> Logged:
    return Logged()


async def fails() -> None:
    raise ZeroDivisionError("by a peer")


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_failure_is_logged_by_name_and_hurts_nobody(logged: Logged) -> None:
    done = asyncio.Event()

    async def works() -> None:
        done.set()

    async with Tasks(logged.log) as tasks:
        sibling = tasks.spawn("sibling", for_ever())
        failed = tasks.spawn("bad-one", fails())
        await asyncio.wait({failed})
        assert failed.exception() is None
        tasks.spawn("next", works())
        await done.wait()
        assert not sibling.done()
    line = next(line for line in logged.lines if line["event"] == "task-failed")
    assert (line["task"], line["level"]) == ("bad-one", "error")
    assert "ZeroDivisionError: by a peer" in str(line["exception"])


async def test_what_is_done_is_forgotten(logged: Logged) -> None:
    async with Tasks(logged.log) as tasks:
        for number in range(100):
            tasks.spawn(f"t{number}", asyncio.sleep(0, None))
        assert len(tasks) == 100
        await eventually(lambda: len(tasks) == 0)
    assert logged.lines == []


async def test_a_task_has_its_name(logged: Logged) -> None:
    async with Tasks(logged.log) as tasks:
        assert tasks.spawn("node-link", for_ever()).get_name() == "node-link"


async def test_leaving_cancels_and_waits_for_the_clean_up(logged: Logged) -> None:
    steps: list[str] = []

    async def careful() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("clean")

    async with Tasks(logged.log) as tasks:
        task = tasks.spawn("careful", careful())
        await asyncio.sleep(0)
    assert steps == ["clean"]
    assert task.cancelled()
    assert len(tasks) == 0


async def test_an_error_of_the_owner_passes_and_still_ends_the_tasks(logged: Logged) -> None:
    started: list[asyncio.Task[None]] = []

    async def owner() -> None:
        async with Tasks(logged.log) as tasks:
            started.append(tasks.spawn("one", for_ever()))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await owner()
    assert started[0].cancelled()


async def test_what_ends_may_start_something_and_that_ends_too(logged: Logged) -> None:
    late: list[asyncio.Task[None]] = []

    async def starts_another(tasks: Tasks) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            late.append(tasks.spawn("late", for_ever()))

    async with Tasks(logged.log) as tasks:
        tasks.spawn("parent", starts_another(tasks))
        await asyncio.sleep(0)
    assert late[0].cancelled()
    assert len(tasks) == 0


@pytest.mark.filterwarnings("error")
async def test_a_task_that_never_ran_leaves_no_warning(logged: Logged, recwarn: pytest.WarningsRecorder) -> None:
    async with Tasks(logged.log) as tasks:
        tasks.spawn("never-ran", for_ever())
    gc.collect()
    assert [str(warning.message) for warning in recwarn.list] == []


async def test_a_task_may_leave_its_own_owner(logged: Logged) -> None:
    tasks = Tasks(logged.log)
    async with tasks:
        ends_all = tasks.spawn("ends-all", tasks.__aexit__(None, None, None))
        other = tasks.spawn("other", for_ever())
        await asyncio.wait({ends_all})
        assert other.cancelled()


@pytest.mark.slow
async def test_a_task_that_will_not_end_is_named_and_left_after_a_bounded_time(logged: Logged) -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    loop = asyncio.get_running_loop()
    async with Tasks(logged.log) as tasks:
        task = tasks.spawn("stubborn", stubborn())
        await asyncio.sleep(0)
        began = loop.time()
    assert STOP_S * 0.9 < loop.time() - began < STOP_S * 1.5
    assert [line["task"] for line in logged.lines if line["event"] == "task-stuck"] == ["stubborn"]
    release.set()
    await asyncio.wait({task})
