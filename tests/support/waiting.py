"""Waiting for a fact: poll a condition with a deadline, never sleep and hope."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

STEP_S = 0.02


@overload
async def eventually(
    check: Callable[[], Awaitable[T | None]], *, timeout_s: float = 10.0, step_s: float = STEP_S, what: str = ""
) -> T: ...
@overload
async def eventually(
    check: Callable[[], T | None], *, timeout_s: float = 10.0, step_s: float = STEP_S, what: str = ""
) -> T: ...
async def eventually(
    check: Callable[[], T | Awaitable[T | None] | None],
    *,
    timeout_s: float = 10.0,
    step_s: float = STEP_S,
    what: str = "",
) -> T:
    """Return the first truthy result of `check` (plain or coroutine function).

    Args:
        check: asked every `step_s` seconds.
        timeout_s: seconds after which waiting is given up.
        step_s: seconds between two questions.
        what: the fact waited for, for the error's text.

    Raises:
        TimeoutError: the condition stayed false; the text names it and the last result.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        result = check()
        value: T | None = await result if isinstance(result, Awaitable) else result
        if value:
            return value
        if loop.time() >= deadline:
            raise TimeoutError(f"{what or getattr(check, '__name__', check)}: still {value!r} after {timeout_s:g} s")
        await asyncio.sleep(step_s)
