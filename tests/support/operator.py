"""A raw operator client of the gateway, on `websockets` alone: an independent witness of what the gateway says.

It shares no code with `gateway_client` on purpose.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.waiting import eventually

Json = dict[str, Any]

ALL_SCOPES = ("operator.read", "operator.write", "operator.pairing", "operator.admin")
MAX_FRAME = 26_214_400  # bytes
PLATFORM = "linux"


class OperatorError(Exception):
    """The gateway answered `ok: false`; `error` is its error object, `payload` the payload beside it if any."""

    def __init__(self, method: str, error: Json, payload: Any = None) -> None:
        super().__init__(f"{method}: {error.get('code')}: {error.get('message')}")
        self.method = method
        self.error = error
        self.payload = payload

    @property
    def code(self) -> str:
        """The error's `code`."""
        return str(self.error.get("code"))

    @property
    def details(self) -> Json:
        """The error's `details`, empty when absent."""
        return dict(self.error.get("details") or {})


class Operator:
    """One authenticated operator connection; make it with `operator`."""

    def __init__(self, socket: ClientConnection) -> None:
        self.hello: Json = {}
        self.frames: list[Json] = []  # everything received, in order
        self.methods: dict[str, str] = {}
        self._events: list[Json] = []
        self._answers: dict[str, asyncio.Queue[Json]] = {}
        self._socket = socket

    @property
    def closed(self) -> tuple[int, str] | None:
        """Close code and reason once the connection is closed, else None."""
        code = self._socket.close_code
        return None if code is None else (code, self._socket.close_reason or "")

    async def request(
        self, method: str, params: Json | None = None, *, timeout_s: float = 30.0, final: bool = False
    ) -> Json:
        """Send one request and return the payload of its answer (`{}` when there is none).

        Args:
            method: the gateway's method.
            params: left out when None.
            timeout_s: seconds to wait for the answer.
            final: skip answers with `status: "accepted"`; `agent` is answered twice.

        Raises:
            OperatorError: the answer was `ok: false`.
            TimeoutError: no answer in time.
        """
        identifier = str(uuid.uuid4())
        answers = self._answers[identifier] = asyncio.Queue()
        self.methods[identifier] = method
        frame: Json = {"type": "req", "id": identifier, "method": method}
        try:
            await self._socket.send(json.dumps(frame if params is None else {**frame, "params": params}))
            async with asyncio.timeout(timeout_s):
                while True:
                    answer = await answers.get()
                    payload = answer.get("payload")
                    if not answer["ok"]:
                        raise OperatorError(method, answer.get("error") or {}, payload)
                    if not (final and isinstance(payload, dict) and payload.get("status") == "accepted"):
                        return payload if isinstance(payload, dict) else {}
        finally:
            del self._answers[identifier]

    def events(self, name: str | None = None) -> list[Json]:
        """Return the event frames that nobody took yet, of one event or of all."""
        return [frame for frame in self._events if name is None or frame["event"] == name]

    async def event(
        self, name: str, where: Callable[[Json], bool] = lambda payload: True, *, timeout_s: float = 10.0
    ) -> Json:
        """Take the first event `name` whose payload fulfils `where`, waiting for it; return the payload.

        Raises:
            TimeoutError: none came within `timeout_s` seconds.
        """

        def matching() -> list[Json]:
            return [frame for frame in self.events(name) if where(frame.get("payload") or {})]

        frame = (await eventually(matching, timeout_s=timeout_s, what=f"event {name}"))[0]
        self._events.remove(frame)
        return dict(frame.get("payload") or {})

    async def read(self) -> None:
        """Receive until the connection ends; `operator` runs this beside its block."""
        with contextlib.suppress(ConnectionClosed):
            async for message in self._socket:
                self._received(json.loads(message))
        for answers in self._answers.values():
            answers.put_nowait(
                {"ok": False, "error": {"code": "CLOSED", "message": f"connection closed {self.closed}"}}
            )

    def _received(self, frame: Json) -> None:
        self.frames.append(frame)
        if frame["type"] == "event":
            self._events.append(frame)
        elif frame["type"] == "res" and frame["id"] in self._answers:
            self._answers[frame["id"]].put_nowait(frame)


@contextlib.asynccontextmanager
async def operator(
    url: str,
    token: str | None,
    *,
    scopes: Sequence[str] = ALL_SCOPES,
    password: str | None = None,
    timeout_s: float = 30.0,
) -> AsyncIterator[Operator]:
    """Connect as a backend operator (`gateway-client`, no device key) and yield the connection.

    Args:
        url: `ws://127.0.0.1:<port>` of the gateway.
        token: shared token; None sends none (auth mode none).
        scopes: operator scopes to ask for; the default asks for everything tests need.
        password: shared password instead of a token.
        timeout_s: seconds for the handshake.

    Raises:
        OperatorError: the gateway refused `connect`.
    """
    async with connect(url, max_size=MAX_FRAME, compression=None, proxy=None) as socket:
        client = Operator(socket)
        # Not a TaskGroup: it would wrap the block's own errors in an ExceptionGroup.
        reader = asyncio.get_running_loop().create_task(client.read(), name="operator-reader")
        try:
            await client.event("connect.challenge", timeout_s=timeout_s)
            client.hello = await client.request("connect", _connect(token, password, scopes), timeout_s=timeout_s)
            yield client
        finally:
            await socket.close()
            await reader


def _connect(token: str | None, password: str | None, scopes: Sequence[str]) -> Json:
    auth = {key: value for key, value in (("token", token), ("password", password)) if value}
    return {
        "minProtocol": 4,
        "maxProtocol": 4,
        "client": {"id": "gateway-client", "mode": "backend", "version": "0.1.0", "platform": PLATFORM},
        "role": "operator",
        "scopes": list(scopes),
        **({"auth": auth} if auth else {}),
    }
