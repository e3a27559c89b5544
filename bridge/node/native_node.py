"""A paired native node: mutual TLS to its bridge, commands answered by handlers, certificates renewed.

It does not reconnect by itself and waits for nobody: whoever owns it decides when.

    async with NativeNode(identity, device, wishes, handlers, keep=save) as node:
        await node.connect()
        await node.event("voice.transcript", {"text": "what is the time?"})
        ended = await node.wait_closed()
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Self, TypeVar

import orjson

from bridge import __version__
from bridge.log import Log, silent_log
from bridge.node.native_enrolment import DeviceFacts, Wishes
from bridge.node.native_identity import NodeIdentity
from bridge.node.native_invokes import Handler, Invokes
from bridge.node.native_renewal import bridge_keys, moved, prove, renewed
from bridge.node.pairing_errors import BridgeMismatch, EnrolmentError
from bridge.node.pairing_http import mismatch_behind
from bridge.pairing.hosts import url_host
from bridge.tasks import Tasks
from certs.spki_pin import SpkiPin
from gateway_client.connection import GatewayConnection, Tls
from gateway_client.errors import GatewayError, GatewayGoneError
from gateway_client.frames import Event, JsonObject, Response
from gateway_client.protocol import ConnectProfile, Credentials

REQUEST_S = 30.0  # seconds for an answer of the bridge
_OURS = "closed by this side"

T = TypeVar("T")


class NativeNode(AbstractAsyncContextManager["NativeNode"]):
    """One node of one bridge. Use as `async with`; leaving it closes the connection.

    Args:
        identity: what pairing gave.
        device: what the node says about itself.
        wishes: its capabilities and commands; the bridge admits what was granted of them.
        handlers: from a command to what runs it; see `bridge.node.native_invokes`.
        keep: called with the identity after each change, before anything relies on it; it must write it down.
        client_id: the Gateway protocol's word for this kind of client.
        os_permissions: what the operating system allows, e.g. `{"microphone": True}`.
        on_event: called with every event that is not a command.
        log: where it tells what it does.
        now: the wall clock, aware UTC.
    """

    def __init__(
        self,
        identity: NodeIdentity,
        device: DeviceFacts,
        wishes: Wishes,
        handlers: Mapping[str, Handler],
        *,
        keep: Callable[[NodeIdentity], None] = lambda identity: None,
        client_id: str = "node-host",
        os_permissions: Mapping[str, bool] | None = None,
        on_event: Callable[[Event], None] = lambda event: None,
        log: Log | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.state = identity
        """The node's identity, as it was last given to `keep`."""
        self._profile = _profile(device, wishes, client_id, os_permissions or {})
        self._handlers = handlers
        self._keep = keep
        self._on_event = on_event
        self._log = log or silent_log()
        self._now = now
        self._tasks = Tasks(self._log)
        self._connection: GatewayConnection | None = None
        self._ended: asyncio.Future[GatewayError] | None = None
        self._changing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
        await self._tasks.__aexit__(kind, exc, trace)
        if self._ended is not None and not self._ended.done():  # the pump was stopped before its first step
            self._ended.set_result(GatewayGoneError(1006, _OURS))

    @property
    def hello(self) -> JsonObject:
        """hello-ok of the open connection; empty when there is none."""
        return self._connection.hello if self._connection is not None else {}

    async def connect(self) -> JsonObject:
        """Opens the connection; returns hello-ok. Commands are answered from here on.

        Raises:
            BridgeMismatch: another bridge, by its key; nothing was sent.
            GatewayError: nothing answers, or the bridge refuses the node.
            RuntimeError: it is connected: a fault of the caller.
        """
        async with self._changing:
            if self._connection is not None:
                raise RuntimeError("the node is connected already")
            connection = await self._at_the_bridge(self._open)
            self._connection = connection
        self._ended = asyncio.get_running_loop().create_future()
        self._tasks.spawn("native-node", self._pump(connection, self._ended))
        return connection.hello

    async def wait_closed(self) -> GatewayError:
        """Waits until the connection has ended; returns how.

        Raises:
            RuntimeError: it was never connected: a fault of the caller.
        """
        if self._ended is None:
            raise RuntimeError("the node was never connected")
        return await asyncio.shield(self._ended)

    async def close(self) -> None:
        """Closes the connection; harmless when there is none."""
        if self._connection is not None:
            await self._connection.close()

    async def request(self, method: str, params: JsonObject) -> Response:
        """Sends a request; returns its answer, refusals included.

        Raises:
            GatewayError: it is not connected, or there was no answer.
        """
        if self._connection is None:
            raise GatewayGoneError(1006, "not connected")
        return await self._connection.request(method, params, wait_s=REQUEST_S)

    async def event(self, name: str, payload: JsonObject) -> Response:
        """Sends a `node.event`.

        Raises:
            GatewayError: it is not connected, or there was no answer.
        """
        return await self.request("node.event", {"event": name, "payloadJSON": orjson.dumps(payload).decode()})

    async def renew(self) -> NodeIdentity:
        """Gets a new certificate, also after the old one has expired; the open connection is not touched.

        Raises:
            EnrolmentError: no new certificate; the old one stays.
        """
        before = self.state.next_spki
        await self._changed(lambda state: renewed(state, self._now()))
        if self.state.next_spki not in (None, before):
            with suppress(EnrolmentError):  # the certificate is there; what we know is said with the next question
                await self._changed(bridge_keys)
        return self.state

    async def identity(self) -> NodeIdentity:
        """Asks the bridge for its keys, so that a key that it will have later is known in time.

        One that is new is kept, and then said back to the bridge, which counts only on what it hears.

        Raises:
            EnrolmentError: no answer, or not from our bridge.
        """
        before = self.state.next_spki
        await self._changed(bridge_keys)
        if self.state.next_spki not in (None, before):
            await self._changed(bridge_keys)
        return self.state

    async def _changed(self, ask: Callable[[NodeIdentity], Awaitable[NodeIdentity]]) -> NodeIdentity:
        async with self._changing:
            self._remember(await self._at_the_bridge(ask))
            return self.state

    async def _at_the_bridge(self, ask: Callable[[NodeIdentity], Awaitable[T]]) -> T:
        """Asks our bridge; one that shows the key it had announced is ours as well, and known by it from then on."""
        try:
            return await ask(self.state)
        except BridgeMismatch as mismatch:
            state = moved(self.state, mismatch.seen)
            if state is None:
                raise
        await prove(state)
        self._remember(state)
        self._log.info("bridge-key-moved", spki=state.spki)
        return await ask(state)

    def _remember(self, state: NodeIdentity) -> None:
        if state != self.state:
            self._keep(state)
            self.state = state

    async def _open(self, state: NodeIdentity) -> GatewayConnection:
        pin = SpkiPin(state.spki)
        context = await asyncio.to_thread(state.client_context, pin)
        url = f"wss://{url_host(state.host)}:{state.port}/"
        tls = Tls(context, lambda peer: pin.check(peer.getpeercert(binary_form=True)))
        try:
            return await GatewayConnection(url, self._profile, Credentials(), None, tls=tls).__aenter__()
        except GatewayError as exc:
            mismatch = mismatch_behind(exc)
            if mismatch is None:
                raise
            raise BridgeMismatch(mismatch.expected, mismatch.seen) from exc

    async def _pump(self, connection: GatewayConnection, ended: asyncio.Future[GatewayError]) -> None:
        how: GatewayError = GatewayGoneError(1006, _OURS)
        invokes = Invokes(self._handlers, self.state.node_id, connection, self._tasks, self._log)
        try:
            how = await connection.run(lambda event: self._on_event(event) if not invokes.take(event) else None)
        except GatewayError as exc:
            how = exc
        finally:
            self._connection = None
            invokes.cancel_all()
            ended.set_result(how)
            await connection.close()


def _profile(device: DeviceFacts, wishes: Wishes, client_id: str, os_permissions: Mapping[str, bool]) -> ConnectProfile:
    """What `connect` says: the labels and the surface; the certificate says who."""
    client = device.as_json()
    return ConnectProfile(
        client={"version": __version__, **client, "id": client_id, "mode": "node"},
        role="node",
        caps=wishes.caps,
        commands=wishes.commands,
        permissions=dict(os_permissions),
    )
