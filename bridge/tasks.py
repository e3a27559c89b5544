"""Owned tasks: every task has a name, an owner that waits for it, and an error that is logged and goes no further."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self

from bridge.log import Log

STOP_S = 5.0  # seconds for cancelled tasks to finish


class Tasks(AbstractAsyncContextManager["Tasks"]):
    """The tasks of one owner. Leaving the context cancels what still runs and waits for it.

    A task that fails is logged under its name; it takes neither its siblings nor the owner down.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STOP_S
        while (running := self._others()) and loop.time() < deadline:  # what ends may start something that ends it
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=deadline - loop.time())
        for task in self._others():
            self._log.error("task-stuck", task=task.get_name())

    def _others(self) -> list[asyncio.Task[None]]:
        return [task for task in self._running if task is not asyncio.current_task() and not task.done()]

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Starts a task.

        Args:
            name: what logs call it.
            work: what it does; its exceptions end here.
        """
        task = asyncio.get_running_loop().create_task(self._guard(name, work), name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: work.close())  # a task that is cancelled before its first step never awaits it
        return task

    async def _guard(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            self._log.exception("task-failed", task=name)

    def __len__(self) -> int:
        return len(self._running)
