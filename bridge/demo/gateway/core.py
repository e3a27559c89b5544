"""The embedded gateway's state and the steps that span it: connect, broadcast, invoke, agent turns.

No sockets: `peer` writes, `server` reads, `handlers` answer one method each.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from bridge.demo.gateway import sessions as chats
from bridge.demo.gateway.connect import Proven, check_connect
from bridge.demo.gateway.devices import Device, Devices
from bridge.demo.gateway.hello import DEFAULT_TRIGGERS, hello_ok
from bridge.demo.gateway.invokes import (
    READINESS_RETRY_MS,
    Answer,
    Call,
    ForegroundQueue,
    check_allowed,
    failed,
    not_connected,
    outcome,
    queued,
    read_call,
)
from bridge.demo.gateway.methods import PAIRING, READ, satisfies
from bridge.demo.gateway.model import Client, GatewaySetup
from bridge.demo.gateway.node_events import NodeEvents
from bridge.demo.gateway.nodes import Nodes, Session
from bridge.demo.gateway.peer import Peer
from bridge.demo.gateway.policy import admitted, allowed_commands, fulfilled_caps
from bridge.demo.gateway.refusals import ConnectRefusal, pairing_changed
from bridge.demo.gateway.surfaces import Surface, Surfaces
from bridge.log import Log
from bridge.tasks import Tasks
from gateway_client.frames import ErrorShape, Json, JsonObject


class Invoke(Protocol):
    """The agent's `nodes` tool."""

    async def __call__(self, node_id: str, command: str, params: Json = None, *, timeout_ms: int = 30_000) -> Json:
        """Runs a command on a node and returns its payload.

        Raises:
            Refusal: the gateway or the node refused, with the gateway's error object.
        """


Turn = Callable[[str, Invoke], Awaitable[str]]
"""The agent: gets what was said and the `nodes` tool, returns the reply; raising fails the turn."""


def new_id() -> str:
    """Returns a fresh identifier."""
    return str(uuid.uuid4())


def now_ms() -> int:
    """Returns wall-clock milliseconds."""
    return time.time_ns() // 1_000_000


class Core:
    """Everything the gateway knows; see the module's text."""

    def __init__(self, setup: GatewaySetup, turn: Turn, tasks: Tasks, log: Log) -> None:
        self.setup = setup
        self.starting = False
        """Whether connects are put off, as a gateway does while it starts."""
        self.peers: dict[str, Peer] = {}
        """Admitted connections by connection id."""
        self.devices = Devices(new_id, _new_token, auto_approve_local=setup.auto_approve_local)
        self.surfaces = Surfaces(new_id)
        self.nodes = Nodes()
        self.foreground = ForegroundQueue(new_id)
        self.node_events = NodeEvents()
        self.sessions = chats.Sessions(new_id)
        self.triggers = list(DEFAULT_TRIGGERS)
        self.boot_id = new_id()
        self._turn = turn
        self._tasks = tasks
        self._log = log
        self._started_ms = now_ms()
        self._waiting: dict[str, tuple[Client, asyncio.Future[Answer]]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    # -- connect

    def connect(self, peer: Peer, request_id: str, params: Json, nonce: str) -> None:
        """Admits a client and says hello.

        Raises:
            ConnectRefusal: it is not admitted.
        """
        now = now_ms()
        if self.starting:
            error = ErrorShape(
                "UNAVAILABLE", "gateway starting; retry shortly", {"reason": "startup-sidecars"}, True, 500
            )
            raise ConnectRefusal(error, 1013, reason="gateway starting")
        proven = check_connect(params, nonce, now, self.setup, self.devices.token_ok, peer.origin)
        device = self._pair(proven, now)
        client = Client(new_id(), proven.role, proven.scopes, dict(proven.client), proven.device_id)
        client.connected_at_ms = now
        peer.client = client
        self.peers[client.conn_id] = peer
        if client.role == "node":
            self._attach_node(client, proven, silent=device is not None and device.approved_via == "silent")
        uptime, tick = now - self._started_ms, self.setup.tick_interval_ms
        peer.answer(request_id, hello_ok(client, proven.method, device, self.boot_id, uptime, now, tick))
        if client.role == "node":
            peer.event("voicewake.changed", {"triggers": [*self.triggers]})
            peer.event("voicewake.routing.changed", {"config": routing()})

    def _pair(self, proven: Proven, now: int) -> Device | None:
        try:
            device, request = self.devices.admit(proven, now)
        except ConnectRefusal as refusal:
            details = refusal.error.detail("requestId")
            for item in self.devices.pending(now):
                if item.request_id == details and item.ts == now:
                    self.broadcast("device.pair.requested", item.as_json(), PAIRING)
            raise
        if device is not None and request is not None:
            self.resolved("device.pair.resolved", request.request_id, "deviceId", device.device_id, "approved")
            for old in self.devices.superseded(device, now, self._is_connected):
                self.surfaces.forget(old.device_id)
                self.resolved("node.pair.resolved", "", "nodeId", old.device_id, "removed")
        return device

    def _attach_node(self, client: Client, proven: Proven, *, silent: bool) -> None:
        caps, commands = _names(proven.params.get("caps")), _names(proven.params.get("commands"))
        allowed = allowed_commands(client.client, caps, commands, self.setup.commands_allow)
        kept = admitted(commands, allowed)
        withheld = [name for name in commands if name not in kept]
        permissions = proven.params.get("permissions")
        declared = Surface(
            tuple(fulfilled_caps(caps, kept, withheld)),
            tuple(kept),
            dict(sorted(permissions.items())) if isinstance(permissions, dict) else {},
        )
        result = self.surfaces.declare(
            client.node_id, client.client, declared, silent=silent, now_ms=client.connected_at_ms
        )
        if result.dropped is not None:
            self.resolved("node.pair.resolved", result.dropped.request_id, "nodeId", client.node_id, "rejected")
        if result.requested is not None:
            self.broadcast("node.pair.requested", result.requested.as_json(), PAIRING)
        session = Session(client, declared, result.effective)
        previous = self.nodes.register(session, client.connected_at_ms)
        if previous is not None:
            self._fail_invokes(previous.conn_id)

    def detach(self, peer: Peer) -> None:
        """Forgets a connection that ended; its running invokes end as disconnected."""
        client = peer.client
        if client is None or self.peers.pop(client.conn_id, None) is None:
            return
        self.nodes.unregister(client.conn_id, now_ms())
        self._fail_invokes(client.conn_id)

    # -- events

    def broadcast(self, name: str, payload: JsonObject, scope: str | None = None) -> None:
        """Sends an event to every client, or to the operators that hold `scope`."""
        for peer in list(self.peers.values()):
            client = peer.client
            if client is None or (
                scope is not None and (client.role != "operator" or not satisfies(client.scopes, scope))
            ):
                continue
            peer.broadcast(name, payload)

    def resolved(self, event: str, request_id: str, key: str, subject: str, decision: str) -> JsonObject:
        """Tells the operators how a pairing request ended; returns the event's payload."""
        payload: JsonObject = {"requestId": request_id, key: subject, "decision": decision, "ts": now_ms()}
        self.broadcast(event, payload, PAIRING)
        return payload

    def follow(self, name: str, payload: JsonObject, session_key: str) -> None:
        """Sends a conversation's event to the operators that may read and to the nodes that follow it."""
        self.broadcast(name, payload, READ)
        for peer in list(self.peers.values()):
            if peer.client is not None and session_key in peer.client.subscriptions:
                peer.event(name, payload)

    def peer_of(self, conn_id: str) -> Peer | None:
        """Returns a live connection."""
        return self.peers.get(conn_id)

    def disconnect(self, device_id: str, role: str | None = None) -> None:
        """Closes the sockets of an unpaired device (4001)."""
        for peer in list(self.peers.values()):
            client = peer.client
            if client is not None and client.device_id == device_id and role in {None, client.role}:
                peer.close(4001, "device removed")

    def _is_connected(self, device_id: str) -> bool:
        return any(peer.client is not None and peer.client.device_id == device_id for peer in self.peers.values())

    # -- invoke

    async def invoke(self, call: Call) -> JsonObject:
        """Runs a command on a node and returns what the caller gets.

        Raises:
            Refusal: any other outcome.
        """
        if call.node_id not in self.surfaces.approved:
            raise pairing_changed()
        session = self.nodes.sessions.get(call.node_id)
        if session is None:
            raise not_connected()
        client = session.client
        surface = session.effective
        allowed = allowed_commands(client.client, surface.caps, surface.commands, self.setup.commands_allow)
        check_allowed(call, session, allowed)
        answer = await self._dispatch(call, session)
        platform = str(client.client.get("platform", ""))
        if self.foreground.wants(call, platform, answer):
            raise queued(self.foreground.put(call, now_ms()), answer)
        return outcome(answer, call)

    async def _dispatch(self, call: Call, session: Session) -> Answer:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + call.timeout_ms / 1000 if call.timeout_ms else None
        answer = failed("TIMEOUT", "node invoke timed out")
        try:
            async with asyncio.timeout_at(deadline):
                for pause_ms in (*READINESS_RETRY_MS, None):
                    left = None if deadline is None else max(0, round((deadline - loop.time()) * 1000))
                    answer = await self._ask(call, session, 0 if left is None else left)
                    if answer.ok or answer.code != "NODE_NOT_READY" or pause_ms is None:
                        break
                    await asyncio.sleep(pause_ms / 1000)
        except TimeoutError:
            return failed("TIMEOUT", "node invoke timed out")
        return answer

    async def _ask(self, call: Call, session: Session, left_ms: int) -> Answer:
        peer = self.peer_of(session.conn_id)
        if peer is None or self.nodes.of(session.client) is not session:
            return failed("DISCONNECTED", f"node disconnected ({call.command})")
        invoke_id = new_id()
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[invoke_id] = (session.client, future)
        try:
            peer.event("node.invoke.request", call.event(invoke_id, left_ms))
            answer = await future
        finally:
            del self._waiting[invoke_id]
        if answer.error == {"code": "DISCONNECTED"}:
            return failed("DISCONNECTED", f"node disconnected ({call.command})")
        return answer

    def settle(self, client: Client, invoke_id: str, answer: Answer) -> bool:
        """Delivers a node's result; False when nobody waits for it from this connection."""
        asked, future = self._waiting.get(invoke_id, (None, None))
        if asked is not client or future is None or future.done():
            return False
        future.set_result(answer)
        return True

    def _fail_invokes(self, conn_id: str) -> None:
        for client, future in self._waiting.values():
            if client.conn_id == conn_id and not future.done():
                future.set_result(Answer(ok=False, error={"code": "DISCONNECTED"}))

    # -- agent

    def start_turn(self, run_id: str, session_key: str, text: str) -> tuple[chats.Run, asyncio.Task[None]]:
        """Begins an agent turn in the background."""
        run = self.sessions.start(run_id, session_key, text, now_ms())
        task = self._tasks.spawn(f"demo-turn-{run_id}", self._run(run, text))
        self._running[run_id] = task
        return run, task

    async def _run(self, run: chats.Run, text: str) -> None:
        self.follow("agent", chats.agent_event(run, "start", 1, now_ms()), run.session_key)
        try:
            status, reply = "ok", await self._turn(text, self._nodes_tool(run))
        except asyncio.CancelledError:
            status, reply = "aborted", "aborted"
        except Exception as exc:  # the scripted agent is the owner's code: its failure is a failed turn
            self._log.info("turn-failed", run=run.run_id, error=repr(exc))
            status, reply = "error", str(exc)
        del self._running[run.run_id]
        self.sessions.finish(run, status, reply, now_ms())
        self.follow("chat", chats.chat_final(run, now_ms()), run.session_key)
        self.follow("agent", chats.agent_event(run, "end", 2, now_ms()), run.session_key)

    def _nodes_tool(self, run: chats.Run) -> Invoke:
        async def invoke(node_id: str, command: str, params: Json = None, *, timeout_ms: int = 30_000) -> Json:
            """Calls a node on behalf of the turn; returns the payload of its answer."""
            fields: JsonObject = {"nodeId": node_id, "command": command, "idempotencyKey": new_id()}
            fields |= {"params": params, "timeoutMs": timeout_ms, "sessionKey": run.session_key}
            result = await self.invoke(replace(read_call(fields), by_agent=True))
            return result.get("payload")

        return invoke

    def turn_of(self, run_id: str) -> asyncio.Task[None] | None:
        """Returns the running turn, None when it ended or never was."""
        return self._running.get(run_id)


def routing() -> JsonObject:
    """Returns the voice wake routing of a gateway where nobody configured any."""
    return {"version": 1, "defaultTarget": {"mode": "current"}, "routes": [], "updatedAtMs": 0}


def _new_token() -> str:
    return secrets.token_urlsafe(32)


def _names(value: Json) -> list[str]:
    return [str(item).strip() for item in value if str(item).strip()] if isinstance(value, list) else []
