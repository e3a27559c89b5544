"""The control API: one table of routes over a Unix socket, one middleware in front of all of them.

The table and the middleware know nothing of the socket, so that a second listener can serve the same API behind
its own admission.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from pydantic import ValidationError

from bridge.audit.errors import AuditError
from bridge.control.document import Document
from bridge.control.operations import Operations
from bridge.control.peer import peer_uid
from bridge.control.requests import first_problem, require_id
from bridge.control.routes import ROUTES, B, Route, Text
from bridge.control.seats import Seats
from bridge.control.socket_file import bind_private
from bridge.errors import BridgeError, NotAllowed, RefusedError, UsageError, http_answer

MAX_BODY_BYTES = 65536  # the longest sensible body lists 256 ids of 64 characters: 17 KiB
OPERATION_S = 60.0  # seconds for one operation; an approval talks to the gateway several times
LINGER_S = 1.0  # seconds for which the rest of a refused body is read, so that the refusal is
STOP_S = 2.0  # seconds for running operations to end when the server stops

_log = structlog.get_logger("bridge.control")


Settled = Callable[[], Awaitable[None]]
"""Brings the traces of what was done to disk; raises `AuditError`."""
Admit = Callable[[web.Request], None]
"""Raises `NotAllowed` unless the request may reach the API at all."""


async def nothing_to_settle() -> None:
    """For operations that leave no trace."""


def control_app(operations: Operations, admit: Admit, settled: Settled = nothing_to_settle) -> web.Application:
    """The API as an aiohttp application.

    Args:
        operations: what the routes call.
        admit: asked before anything else of a request is looked at, for unknown paths too.
        settled: awaited between whatever may have changed something and its answer.
    """
    app = web.Application(middlewares=[_middleware(admit)], client_max_size=MAX_BODY_BYTES)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, _handler(route, operations, settled))
    return app


def own_user_only(uid_of: Callable[[int], int | None] = peer_uid) -> Admit:
    """Admits processes of our own user, as the kernel names them; what cannot be told is refused.

    Args:
        uid_of: from a socket's descriptor to the user id of its peer.
    """
    own = os.geteuid()

    def admit(request: web.Request) -> None:
        sock = None if request.transport is None else request.transport.get_extra_info("socket")
        if sock is None or uid_of(sock.fileno()) != own:
            raise NotAllowed("The daemon takes commands only from the user it runs as.", "Run this as that user.")

    return admit


def _middleware(admit: Admit) -> Middleware:
    """Admission before the route, JSON errors after it."""

    @web.middleware
    async def control(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answers whatever comes of a request, within `OPERATION_S` seconds."""
        try:
            admit(request)
            async with asyncio.timeout(OPERATION_S):
                return await handler(request)
        except Exception as error:  # every failure of an operation becomes an answer
            return _failure(request, error)

    return control


def _failure(request: web.Request, error: Exception) -> web.Response:
    """The answer for an exception; what is not meant for people is logged and not told."""
    known = _as_bridge_error(error)
    if not isinstance(known, BridgeError):
        _log.error("control.failed", method=request.method, path=request.path, exc_info=error)
    status, document = http_answer(known)
    if isinstance(error, web.HTTPException):
        status = error.status
    response = web.json_response(document, status=status, headers={"Cache-Control": "no-store"})
    if status in (401, 403, 413):
        response.force_close()
    return response


def _as_bridge_error(error: Exception) -> Exception:
    match error:
        case web.HTTPNotFound():
            return RefusedError("There is no such operation.", code="UNKNOWN_ROUTE")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return RefusedError(f"This path does not take {error.method}; it takes {allowed}.", code="METHOD")
        case web.HTTPRequestEntityTooLarge():
            return RefusedError(f"The body is longer than {MAX_BODY_BYTES} bytes.", code="TOO_LARGE")
        case web.HTTPUnsupportedMediaType():
            return UsageError("The body must be application/json.", code="CONTENT_TYPE")
        case web.HTTPException():
            return RefusedError(f"Refused: {error.reason}.")
        case AuditError(why=why, mend=mend):
            return BridgeError("AUDIT", f"It is done, but {why}. It is written down when that works again.", mend)
        case TimeoutError():
            return BridgeError("TIMED_OUT", f"The daemon did not finish this within {OPERATION_S:.0f} seconds.")
        case _:
            return error


def _handler(route: Route[Any], operations: Operations, settled: Settled) -> Handler:
    settle = nothing_to_settle if route.method == hdrs.METH_GET else settled

    async def handle(request: web.Request) -> web.Response:
        """Reads the path and the body, runs the operation, and writes what it returns."""
        id = require_id(request.match_info["id"]) if "id" in request.match_info else ""
        body = None if route.body is None else await _read(request, route.body)
        try:
            answer = await route.run(operations, id, body)
        except BridgeError:
            with suppress(AuditError):  # a part of it may be in force; what failed first is what is told
                await settle()
            raise
        await settle()
        if isinstance(answer, Text):
            headers = {"Content-Type": answer.content_type, "Cache-Control": "no-store"}
            return web.Response(body=answer.content.encode(), headers=headers)
        document = answer.to_json() if isinstance(answer, Document) else [each.to_json() for each in answer]
        return web.json_response(document, headers={"Cache-Control": "no-store"})

    return handle


async def _read(request: web.Request, body: type[B]) -> B:
    """The body of a request, by size and type before it is parsed."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    data = await request.read()
    try:
        return body.model_validate_json(data)
    except ValidationError as error:
        problem = first_problem(error)
    raise UsageError(problem)


class ControlServer:
    """Serves the control API at `path` for as long as the `async with` block runs. Used once.

    Args:
        path: the socket's file, in a 0700 folder of ours.
        operations: what the routes call.
        admit: who may; our own user's processes unless told otherwise.
        settled: see `control_app`.

    Raises:
        ControlSocketError: on entering, when the socket cannot be made as it must be.
    """

    def __init__(
        self,
        path: Path,
        operations: Operations,
        *,
        admit: Admit | None = None,
        settled: Settled = nothing_to_settle,
    ) -> None:
        self._path = path
        self._app = control_app(operations, admit or own_user_only(), settled)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            runner = web.AppRunner(
                self._app, access_log=None, handle_signals=False, shutdown_timeout=STOP_S, lingering_time=LINGER_S
            )
            await runner.setup()
            if runner.server is None:
                raise RuntimeError("a runner that was set up has a server")
            seats = Seats(runner.server)
            stack.callback(seats.close)  # last: whoever was accepted while everything ended
            stack.push_async_callback(runner.cleanup)
            file = bind_private(self._path)
            stack.callback(file.close)
            server = await asyncio.get_running_loop().create_unix_server(seats, sock=file.sock)
            stack.callback(server.close)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * STOP_S + 1):
                await self._stack.aclose()
