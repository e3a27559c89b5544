"""An operator that calls a node, and a node that answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.conformance.wire import Json, Wire
from tests.support.schema import validate_frame

COMMANDS = ("device.info", "screen.show", "screen.navigate", "talk.ptt.start")


async def invoke(
    operator: Wire, node: Wire, params: Json, answer: Callable[[Json], Awaitable[None]] | None
) -> tuple[Json, list[Json]]:
    """Send `node.invoke`, let `answer` deal with each request at the node, return the answer and the requests."""
    seen: list[Json] = []

    async def serve() -> None:
        while True:
            event = await node.event("node.invoke.request")
            validate_frame(event)
            seen.append(event["payload"])
            if answer is not None:
                await answer(event["payload"])

    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(serve())
        result = await operator.ask("node.invoke", {"idempotencyKey": "k", **params})
        serving.cancel()
    return result, seen


def answering(node: Wire, **result: Any) -> Callable[[Json], Awaitable[None]]:
    """Return an `answer` for `invoke` that sends this result and demands that it is taken."""

    async def answer(request: Json) -> None:
        got = await node.ok("node.invoke.result", {"id": request["id"], "nodeId": request["nodeId"], **result})
        assert got == {"ok": True}

    return answer
