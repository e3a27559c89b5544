"""The simulated phone: an app that pairs with a bridge, runs commands, speaks, and goes to the background.

It keeps its connections by itself, as an app does: two sockets, the app's own patience, its own key. What it received
is in `received`, what it was refused in `refusals`; every wait has a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bridge.log import Log, silent_log
from bridge.node.phone_facts import WAIT_S, PhoneFacts
from bridge.node.phone_probe import ingress
from bridge.node.phone_retry import wait_after
from bridge.node.phone_state import (
    CommandError,
    CommandHandler,
    PhoneSetup,
    Tokens,
    handlers_of,
    node_profile,
    operator_profile,
    result_params,
    run_command,
)
from bridge.node.simulated_screen import SimulatedScreen
from bridge.tasks import Tasks
from certs.context import PinMismatch, pinned_client_context, require_pin
from gateway_client.connection import GatewayConnection, Tls
from gateway_client.errors import ConnectRefusedError, GatewayError, GatewayGoneError, GatewayUnreachableError
from gateway_client.frames import Event, Json, JsonObject, Response, object_of, text_of
from gateway_client.identity import DeviceIdentity
from gateway_client.protocol import Credentials

PENDING_S = 6.0  # seconds for node.pending.*, as in the app
HEALTH_FAILURES = 3  # failed health checks in a row after which both sockets are dropped
OPERATOR_START: tuple[tuple[str, JsonObject], ...] = (
    ("config.get", {}),
    ("agents.list", {}),
    ("sessions.list", {"limit": 80}),
    ("voicewake.get", {}),
)
"""What the app asks on its operator socket after hello-ok; failures are borne."""


class Phone(PhoneFacts):
    """One phone. Use as `async with Phone(setup) as phone`; it connects by itself.

    Args:
        setup: which phone, and where its bridge is.
        identity: its key; None makes one.
        handlers: commands beside, or instead of, the built-in ones.
        log: where it tells what it does.
    """

    def __init__(
        self,
        setup: PhoneSetup,
        *,
        identity: DeviceIdentity | None = None,
        handlers: Mapping[str, CommandHandler] | None = None,
        log: Log | None = None,
    ) -> None:
        super().__init__(setup.name)
        self.setup = setup
        self.identity = identity or DeviceIdentity(Ed25519PrivateKey.generate())
        """The phone's Ed25519 key; its `device_id` is the node id."""
        self.screen = SimulatedScreen()
        """What its screen shows."""
        self.tokens = Tokens(bootstrap=setup.bootstrap_token)
        """What the bridge issued."""
        self._handlers = {**handlers_of(setup, self.screen), **(handlers or {})}
        self._tls = Tls(pinned_client_context(), lambda tls: require_pin(tls, setup.pin))
        self._instance_id = str(uuid.uuid4())
        self._log = log or silent_log()
        self._tasks = Tasks(self._log)
        self._resume = asyncio.Event()
        self._grace: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._tasks.spawn("phone-node", self._keep_node())
        self._tasks.spawn("phone-operator", self._keep_operator())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._drop()
        await self._tasks.__aexit__(kind, exc, trace)

    # -- what its user does

    async def say(self, text: str, *, session_key: str | None = None, event_id: str | None = None) -> Response:
        """Speaks: sends a voice transcript.

        Raises:
            GatewayError: it is not connected, or there was no answer.
        """
        payload: JsonObject = {"text": text, "eventId": event_id or str(uuid.uuid4())}
        return await self.event(
            "voice.transcript", payload if session_key is None else {**payload, "sessionKey": session_key}
        )

    async def background(self) -> None:
        """Leaves the app: tells the bridge, and after the grace time drops both sockets."""
        self.in_background = True
        if self._node is not None:
            await self._presence("background")
        self._grace = self._tasks.spawn("phone-grace", self._drop_after_grace())

    async def foreground(self) -> None:
        """Comes back to the app: runs what waited for it, or reconnects."""
        self.in_background = False
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        if self._node is not None:
            await self._pull_pending(self._node)
        self.resume()

    def resume(self) -> None:
        """Taps Retry: a paused app connects again."""
        self.paused = False
        self._resume.set()

    async def event(self, name: str, payload: JsonObject) -> Response:
        """Sends a `node.event`.

        Raises:
            GatewayError: it is not connected, or there was no answer.
        """
        return await self.node_request("node.event", {"event": name, "payloadJSON": orjson.dumps(payload).decode()})

    async def node_request(self, method: str, params: JsonObject) -> Response:
        """Sends any request on the node socket.

        Raises:
            GatewayError: it is not connected, or there was no answer.
        """
        return await _open(self._node).request(method, params, wait_s=WAIT_S)

    async def operator_request(self, method: str, params: JsonObject) -> Response:
        """Sends any request on the operator socket.

        Raises:
            GatewayError: it is not connected, or there was no answer.
        """
        return await _open(self._operator).request(method, params, wait_s=WAIT_S)

    # -- the node socket

    async def _keep_node(self) -> None:
        failures = 0
        while True:
            try:
                await ingress(self.setup.host, self.setup.port, self.setup.pin)
                ended: GatewayError = await self._serve_node()
                failures = 0
            except GatewayError as exc:
                ended, failures = exc, failures + 1
            except PinMismatch as exc:
                ended, failures = GatewayUnreachableError(str(exc)), failures + 1
            self._note_end(ended)
            await self._wait_before_retry(wait_after(ended, failures, self.setup))

    async def _serve_node(self) -> GatewayGoneError:
        connection = GatewayConnection(
            self.setup.url,
            node_profile(self.setup, self._instance_id),
            self.tokens.node_credentials(),
            self.identity,
            tls=self._tls,
            binary=self.setup.kind == "ios",
            payload_version=self.setup.payload_version,
        )
        async with connection:
            self.tokens.take_node_hello(connection.hello)
            self._node, self.paused = connection, False
            self._notify()
            self._tasks.spawn("phone-after-hello", self._after_node_hello(connection))
            try:
                return await connection.run(self._on_node_event)
            finally:
                self._node = None
                self._notify()

    async def _after_node_hello(self, connection: GatewayConnection) -> None:
        stats: JsonObject = {"cpuCount": 6, "memoryTotalBytes": 8_000_000_000, "memoryFreeBytes": 2_000_000_000}
        with contextlib.suppress(GatewayError):
            params: JsonObject = {"event": "node.host.stats", "payloadJSON": orjson.dumps(stats).decode()}
            await connection.request("node.event", params, wait_s=WAIT_S)
            if not self.in_background:
                await self._pull_pending(connection)

    def _on_node_event(self, event: Event) -> None:
        self.received.append(event)
        if event.event == "node.invoke.request" and self._node is not None:
            request = object_of(event.payload)
            self.commands.append(request)
            self._tasks.spawn("phone-command", self._answer(self._node, request))
        self._notify()

    async def _answer(self, connection: GatewayConnection, request: JsonObject) -> None:
        outcome = self._run(text_of(request, "command") or "", request.get("paramsJSON"))
        with contextlib.suppress(GatewayError):
            await connection.request("node.invoke.result", result_params(request, self.setup, outcome), wait_s=WAIT_S)

    def _run(self, command: str, params_json: Json) -> JsonObject | CommandError:
        try:
            return run_command(self._handlers, command, params_json, background=self.in_background)
        except CommandError as exc:
            return exc
        finally:
            self._notify()

    async def _pull_pending(self, connection: GatewayConnection) -> None:
        """Runs what waited for the foreground, and acknowledges it; a failure is borne."""
        with contextlib.suppress(GatewayError):
            answer = await connection.request("node.pending.pull", {}, wait_s=PENDING_S)
            actions = object_of(answer.payload).get("actions")
            for action in actions if answer.ok and isinstance(actions, list) else []:
                fields = object_of(action)
                self._run(text_of(fields, "command") or "", fields.get("paramsJSON"))
                await connection.request("node.pending.ack", {"ids": [fields.get("id")]}, wait_s=PENDING_S)

    async def _presence(self, trigger: str) -> None:
        with contextlib.suppress(GatewayError):
            await self.event("node.presence.alive", {"trigger": trigger, "displayName": self.setup.name})

    # -- the operator socket

    async def _keep_operator(self) -> None:
        failures = 0
        while True:
            await self._when(lambda: self.tokens.operator is not None and self.connected)
            try:
                ended: GatewayError = await self._serve_operator()
                failures = 0
            except (GatewayError, PinMismatch) as exc:
                ended = exc if isinstance(exc, GatewayError) else GatewayUnreachableError(str(exc))
                failures += 1
            self._note_end(ended)
            await self._wait_before_retry(wait_after(ended, failures, self.setup))

    async def _serve_operator(self) -> GatewayGoneError:
        connection = GatewayConnection(
            self.setup.url,
            operator_profile(self.setup, self._instance_id, self.tokens.operator_scopes),
            Credentials("token", self.tokens.operator or ""),
            self.identity,
            tls=self._tls,
            binary=self.setup.kind == "ios",
            payload_version=self.setup.payload_version,
        )
        async with connection:
            self._operator = connection
            self.operator_answers = {}
            self._notify()
            checks = self._tasks.spawn("phone-health", self._watch_operator(connection))
            try:
                return await connection.run(self._on_operator_event)
            finally:
                checks.cancel()
                self._operator = None
                self._notify()

    async def _watch_operator(self, connection: GatewayConnection) -> None:
        for method, params in OPERATOR_START:
            with contextlib.suppress(GatewayError):
                self.operator_answers[method] = await connection.request(method, params, wait_s=WAIT_S)
                self._notify()
        failures = 0
        while failures < HEALTH_FAILURES:
            healthy = False
            with contextlib.suppress(GatewayError):
                answer = await connection.request("health", {}, wait_s=PENDING_S)
                self.operator_answers["health"] = answer
                healthy = answer.ok or answer.error is None or answer.error.detail("code") == "MISSING_SCOPE"
            self._notify()
            failures = 0 if healthy else failures + 1
            await asyncio.sleep(self.setup.health_s)
        await self._drop()

    def _on_operator_event(self, event: Event) -> None:
        self.received.append(event)
        self._notify()

    # -- both

    async def _drop(self) -> None:
        for connection in (self._node, self._operator):
            if connection is not None:
                await connection.close(1001, "")

    async def _drop_after_grace(self) -> None:
        await asyncio.sleep(self.setup.background_grace_s)
        await self._drop()

    def _note_end(self, ended: GatewayError) -> None:
        if isinstance(ended, ConnectRefusedError):
            self.refusals.append(ended.error)
        if isinstance(ended, GatewayGoneError):
            self.closes.append(ended)
        self._log.info("phone-ended", phone=self.setup.name, why=str(ended))
        self._notify()

    async def _wait_before_retry(self, wait_s: float | None) -> None:
        """Waits; without an end while the app is paused or in the background, until `resume`."""
        self._resume.clear()
        if wait_s is None:
            self.paused = True
            self._notify()
        if wait_s is None or self.in_background:
            await self._resume.wait()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._resume.wait()


def _open(connection: GatewayConnection | None) -> GatewayConnection:
    if connection is None:
        raise GatewayGoneError(1006, "not connected")
    return connection
