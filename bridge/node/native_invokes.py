"""The commands that a native node is asked to run: one handler each, one result each, bounded in number and time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

import orjson

from bridge.log import Log
from bridge.node.phone_state import CommandError
from bridge.tasks import Tasks
from gateway_client.connection import GatewayConnection
from gateway_client.errors import GatewayError
from gateway_client.frames import Event, FrameError, Json, JsonObject, is_count, object_of, parse_json, text_of
from gateway_client.protocol import GATEWAY_BOUNDS

MAX_RUNNING = (
    64  # commands at once; a bridge sends 8 and lets 32 wait, so a bridge that keeps its limits never meets it
)
DEFAULT_TIMEOUT_MS = 30_000  # of a command that says nothing else (gateway-protocol §5.2)
MAX_TIMEOUT_MS = 600_000  # ten minutes; nobody waits longer for a command

Handler = Callable[[JsonObject], Awaitable[JsonObject]]
"""From parameters to the result. Raising `CommandError` fails the command with its code; any other exception fails it
without telling why, and is logged. It is cancelled when the caller gives up."""


class Invokes:
    """The commands of one connection.

    Args:
        handlers: from a command to what runs it.
        node_id: our id, which every result carries.
        connection: where results go.
        tasks: the owner of what runs.
        log: where failures of handlers are told.
    """

    def __init__(
        self, handlers: Mapping[str, Handler], node_id: str, connection: GatewayConnection, tasks: Tasks, log: Log
    ) -> None:
        self._handlers = handlers
        self._node_id = node_id
        self._connection = connection
        self._tasks = tasks
        self._log = log
        self._running: dict[str, asyncio.Task[None]] = {}

    def take(self, event: Event) -> bool:
        """Starts or cancels a command; tells whether the event was about one."""
        payload = object_of(event.payload)
        match event.event:
            case "node.invoke.request":
                self._start(payload)
            case "node.invoke.cancel":
                task = self._running.get(text_of(payload, "invokeId") or "")
                if task is not None:
                    task.cancel()
            case _:
                return False
        return True

    def cancel_all(self) -> None:
        """Stops what still runs: its results could not be told any more."""
        for task in self._running.values():
            task.cancel()

    def _start(self, request: JsonObject) -> None:
        invoke_id = text_of(request, "id")
        if invoke_id is None or invoke_id in self._running or len(self._running) >= 2 * MAX_RUNNING:
            return  # no id to answer to, a second copy, or a bridge that does not even read refusals
        full = len(self._running) >= MAX_RUNNING
        work = self._refuse_busy(invoke_id) if full else self._answer(invoke_id, request)
        task = self._tasks.spawn("native-command", work)
        self._running[invoke_id] = task
        task.add_done_callback(lambda _: self._running.pop(invoke_id, None))

    async def _refuse_busy(self, invoke_id: str) -> None:
        await self._tell(invoke_id, CommandError("UNAVAILABLE", f"{MAX_RUNNING} commands are running already"))

    async def _answer(self, invoke_id: str, request: JsonObject) -> None:
        outcome: str | CommandError
        timeout_ms = request.get("timeoutMs")
        wait_ms = min(timeout_ms, MAX_TIMEOUT_MS) if is_count(timeout_ms) else DEFAULT_TIMEOUT_MS
        try:
            async with asyncio.timeout(wait_ms / 1000):
                outcome = await self._run(text_of(request, "command") or "", request.get("paramsJSON"))
        except TimeoutError:
            outcome = CommandError("TIMEOUT", f"it was not done within {wait_ms} ms")
        except CommandError as exc:
            outcome = exc
        await self._tell(invoke_id, outcome)

    async def _run(self, command: str, params_json: Json) -> str:
        """Runs a command; returns its result as JSON text."""
        handler = self._handlers.get(command)
        if handler is None:
            raise CommandError("INVALID_REQUEST", "INVALID_REQUEST: unknown command")
        try:
            params = parse_json(params_json.encode("utf-8"), GATEWAY_BOUNDS) if isinstance(params_json, str) else None
        except (FrameError, UnicodeEncodeError):
            raise CommandError("INVALID_REQUEST", "INVALID_REQUEST: paramsJSON is no JSON") from None
        try:
            return orjson.dumps(await handler(object_of(params))).decode()
        except (CommandError, TimeoutError):
            raise
        except Exception:
            self._log.exception("command-failed", command=command)
            raise CommandError("UNAVAILABLE", "the command failed; the node's log says why") from None

    async def _tell(self, invoke_id: str, outcome: str | CommandError) -> None:
        result: JsonObject = {"id": invoke_id, "nodeId": self._node_id}
        if isinstance(outcome, CommandError):
            result |= {"ok": False, "error": {"code": outcome.code, "message": str(outcome)}}
        else:
            result |= {"ok": True, "payloadJSON": outcome}
        with contextlib.suppress(GatewayError):  # the connection has ended, so nobody waits for it
            await self._connection.request("node.invoke.result", result)
