"""The control API: one table of routes over a Unix socket, one middleware in front of all of them.

The table and the middleware know nothing of the socket, so that a second listener can serve the same API behind
its own admission.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import ValidationError

from bridge.control.documents import Document
from bridge.control.operations import Operations
from bridge.control.peer import peer_uid
from bridge.control.requests import (
    ApproveBody,
    Body,
    ChangeNodeBody,
    ExplainBody,
    NoBody,
    PairBody,
    RevokeBody,
    RotateBody,
    first_problem,
    require_id,
)
from bridge.control.seats import Seats
from bridge.control.socket_file import bind_private
from bridge.errors import BridgeError, NotAllowed, RefusedError, UsageError, http_answer

MAX_BODY_BYTES = 65536  # the longest sensible body lists 256 ids of 64 characters: 17 KiB
OPERATION_S = 60.0  # seconds for one operation; an approval talks to the gateway several times
LINGER_S = 1.0  # seconds for which the rest of a refused body is read, so that the refusal is
STOP_S = 2.0  # seconds for running operations to end when the server stops

Answer = Document | Sequence[Document]
B = TypeVar("B", bound=Body)

_log = structlog.get_logger("bridge.control")


@dataclass(frozen=True, slots=True)
class Route(Generic[B]):
    """One operation of the API.

    Attributes:
        method: HTTP method.
        path: with `{id}` where the id of a request or node stands.
        body: what the body must be; None: there is none.
        run: performs it; gets the id ("" when the path has none) and the body.
    """

    method: str
    path: str
    body: type[B] | None
    run: Callable[[Operations, str, B], Awaitable[Answer]]


async def _change_node(operations: Operations, id: str, body: ChangeNodeBody) -> Document:
    """Both changes in one request: the permissions first, because they can be refused."""
    row: Document | None = None
    if body.permissions is not None:
        row = await operations.set_permissions(id, body.permissions)
    if body.name is not None:
        row = await operations.rename(id, body.name)
    return await operations.node(id) if row is None else row


def _mint(operations: Operations, _id: str, body: PairBody) -> Awaitable[Document]:
    return operations.codes.mint_setup_code(body.permissions, body.profile, body.ttl_s, body.address)


def _mint_native(operations: Operations, _id: str, body: PairBody) -> Awaitable[Document]:
    return operations.codes.mint_native_link(body.permissions, body.profile, body.ttl_s, body.address)


def _approve(operations: Operations, id: str, body: ApproveBody) -> Awaitable[Document]:
    return operations.approve(id, body.permissions, body.name, body.code)


def _explain(operations: Operations, _id: str, body: ExplainBody) -> Awaitable[Document]:
    return operations.explain(body.node, body.method, body.command)


ROUTES: tuple[Route[Any], ...] = (
    Route("GET", "/v1/status", None, lambda operations, _id, _body: operations.status()),
    Route("GET", "/v1/pending", None, lambda operations, _id, _body: operations.pending()),
    Route("GET", "/v1/pending/{id}", None, lambda operations, id, _body: operations.request(id)),
    Route("POST", "/v1/pending/{id}/approve", ApproveBody, _approve),
    Route("POST", "/v1/pending/{id}/deny", NoBody, lambda operations, id, _body: operations.deny(id)),
    Route("GET", "/v1/nodes", None, lambda operations, _id, _body: operations.nodes()),
    Route("GET", "/v1/nodes/{id}", None, lambda operations, id, _body: operations.node(id)),
    Route("PATCH", "/v1/nodes/{id}", ChangeNodeBody, _change_node),
    Route("POST", "/v1/nodes/revoke", RevokeBody, lambda operations, _id, body: operations.revoke(body)),
    Route("POST", "/v1/pair", PairBody, _mint),
    Route("POST", "/v1/pair/native", PairBody, _mint_native),
    Route("POST", "/v1/pair/open", NoBody, lambda operations, _id, _body: operations.codes.open_window()),
    Route("GET", "/v1/tokens", None, lambda operations, _id, _body: operations.codes.tokens()),
    Route("POST", "/v1/tokens/{id}/revoke", NoBody, lambda operations, id, _body: operations.codes.revoke_token(id)),
    Route("GET", "/v1/certs", None, lambda operations, _id, _body: operations.certs.show()),
    Route("POST", "/v1/certs/renew", NoBody, lambda operations, _id, _body: operations.certs.renew()),
    Route("POST", "/v1/certs/rotate", RotateBody, lambda operations, _id, body: operations.certs.rotate(body.commit)),
    Route("POST", "/v1/certs/reload", NoBody, lambda operations, _id, _body: operations.certs.reload()),
    Route("POST", "/v1/acl/explain", ExplainBody, _explain),
)
"""Everything that local control can do."""

Admit = Callable[[web.Request], None]
"""Raises `NotAllowed` unless the request may reach the API at all."""


def control_app(operations: Operations, admit: Admit) -> web.Application:
    """The API as an aiohttp application.

    Args:
        operations: what the routes call.
        admit: asked before anything else of a request is looked at, for unknown paths too.
    """
    app = web.Application(middlewares=[_middleware(admit)], client_max_size=MAX_BODY_BYTES)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, _handler(route, operations))
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
        case TimeoutError():
            return BridgeError("TIMED_OUT", f"The daemon did not finish this within {OPERATION_S:.0f} seconds.")
        case _:
            return error


def _handler(route: Route[Any], operations: Operations) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        """Reads the path and the body, runs the operation, and writes what it returns."""
        id = require_id(request.match_info["id"]) if "id" in request.match_info else ""
        body = None if route.body is None else await _read(request, route.body)
        answer = await route.run(operations, id, body)
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

    Raises:
        ControlSocketError: on entering, when the socket cannot be made as it must be.
    """

    def __init__(self, path: Path, operations: Operations, *, admit: Admit | None = None) -> None:
        self._path = path
        self._app = control_app(operations, admit or own_user_only())
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
