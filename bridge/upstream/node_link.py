"""One connected node at the gateway: a WebSocket with an identity that the bridge made for it (design §14)."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from typing import Protocol

from bridge.lan.events import FromGateway, Gap, LinkLost, LinkReady, Report, SessionEvent
from bridge.lan.recall import Replay
from bridge.log import Log
from bridge.pairing.records import NodeRecord, Surface, unique_name
from bridge.tasks import Tasks
from bridge.upstream.channel import Channel, LinkDownError, explain, keep_up, note_dropped
from bridge.upstream.secret import SecretError, SecretSource
from bridge.upstream.surface import SurfaceApproval, SurfaceError, SurfaceState
from gateway_client.connection import GatewayConnection
from gateway_client.errors import ConnectRefusedError, GatewayError, TooManyRequestsError
from gateway_client.frames import ErrorShape, Event, JsonObject, text_of
from gateway_client.identity import DeviceIdentity
from gateway_client.protocol import ConnectProfile, Dropped
from gateway_client.retry import REFUSED_S, backoff, needs_a_person, wait_before_retry

REPORT_TRIES = 3  # times a report is sent again that the gateway, or a full connection, refuses for a moment (§11)
REPORT_RETRY_S = 0.25  # seconds between them
_REPLAYED = frozenset({"voicewake.changed", "voicewake.routing.changed"})


class Attached(Protocol):
    """The phone's socket at the other end of a link."""

    def post(self, event: SessionEvent) -> None:
        """Gives the socket's session an event."""


def node_profile(record: NodeRecord, offer: Surface) -> ConnectProfile:
    """Returns what the link says: the phone's kind, a unique name, and exactly the offer."""
    labels = record.labels
    client: JsonObject = {
        "id": labels.client_id,
        "displayName": unique_name(record),
        "version": labels.client_version,
        "platform": labels.platform,
        "mode": "node",
    }
    optional = {
        "deviceFamily": labels.device_family,
        "modelIdentifier": labels.model_identifier,
        "instanceId": labels.instance_id,
    }
    client |= {name: value for name, value in optional.items() if value}
    return ConnectProfile(client, "node", (), offer.caps, offer.commands, dict(offer.permissions))


class NodeLink(Channel):
    """See the module's text.

    Args:
        record: the node.
        offer: what it offers on this connection.
        identity: the key that stands for it at the gateway.
        approval: settles the surface.
        connects: bounds how many links are being made at a time.
    """

    def __init__(
        self,
        url: str,
        record: NodeRecord,
        offer: Surface,
        identity: DeviceIdentity,
        *,
        secret: SecretSource,
        approval: SurfaceApproval,
        connects: asyncio.Semaphore,
        tasks: Tasks,
        log: Log,
    ) -> None:
        super().__init__()
        self.record = record
        self.offer = offer
        self.surface: SurfaceState | None = None
        self.ready = asyncio.Event()
        """Set while the gateway takes this node's calls: connected, and its surface settled."""
        self.coming = True
        """Whether `ready` is about to be set: the link is being made, and has not failed to be."""
        self.outdated = False
        """Whether the node's terms have changed since the link was made: it ends with the phone's socket."""
        self.error: str | None = None
        """Why the gateway does not take this node's calls, and what to do; None: it does, or nothing is known."""
        self._url = url
        self._identity = identity
        self._secret = secret
        self._approval = approval
        self._connects = connects
        self._tasks = tasks
        self._log = log.bind(link="node", node=record.node_id)
        self._peer: Attached | None = None
        self._latest: dict[str, Event] = {}
        self._told = ""
        self._relink = False
        self._approved = False
        self._considered: frozenset[str] = frozenset()
        self._looks = 0
        self._reports: set[asyncio.Task[None]] = set()

    def serves(self, record: NodeRecord, offer: Surface) -> bool:
        """Tells whether this link says of a node what the node says of itself, under the same key."""
        same = (self.record.labels, self.record.upstream_key) == (record.labels, record.upstream_key)
        return same and self.offer == offer and not self.outdated

    def attach(self, peer: Attached) -> None:
        """Connects the phone's socket; it gets the latest of what is only sent on change."""
        self._peer = peer
        for event in self._latest.values():
            peer.post(FromGateway(event))

    def detach(self, peer: Attached) -> bool:
        """Disconnects the phone's socket; returns whether nobody is at the other end any more."""
        if self._peer is peer:
            self._peer = None
        return self._peer is None

    def report(self, command: Report | Replay) -> None:
        """Ends an invoke at the gateway; of an error, with `code` and `message`, the only members it takes."""
        if isinstance(command, Report):
            error: JsonObject = {"code": command.error.code, "message": command.error.message}
            self._end(command.invoke_id, {"ok": False, "error": error})
        else:
            self._end(command.invoke_id, command.result)

    def _end(self, invoke_id: str, result: JsonObject) -> None:
        params: JsonObject = {**result, "id": invoke_id, "nodeId": self.record.gateway_node_id}
        task = self._tasks.spawn("report", self._report(params))
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    async def _report(self, params: JsonObject) -> None:
        try:
            for _ in range(1 + REPORT_TRIES):
                if await self._is_taken(params):
                    return
                await asyncio.sleep(REPORT_RETRY_S)
        except (LinkDownError, GatewayError):
            pass  # the gateway ends the invokes of a lost link itself
        self._log.info("report-lost")

    async def _is_taken(self, params: JsonObject) -> bool:
        try:
            answer = await self.request("node.invoke.result", params, wait_s=5.0)
        except TooManyRequestsError:
            return False
        return answer.error is None or answer.error.detail("code") != "PAIRING_CHANGED"

    async def run(self) -> None:
        """Keeps the link up until it is cancelled; from then on nobody is told anything."""
        try:
            await keep_up(self._once, self._secret.rest)
        finally:
            self._peer = None

    def consider(self, allowed: frozenset[str]) -> None:
        """Links anew when the gateway's owner has allowed something that was withheld.

        The gateway may say so before it acts on it, and then a link made at once has gained nothing. While the same is
        allowed and still withheld, the link is made anew at the first look, the third, the seventh, and so on.
        """
        if self.surface is None:
            return
        now = allowed & frozenset(self.surface.withheld)
        self._looks = self._looks + 1 if now == self._considered else 1
        self._considered = now
        if now and (self._looks & (self._looks + 1)) == 0:
            self.relink()

    def relink(self) -> None:
        """Dials anew, because the gateway would let more through than it did when this connection was made."""
        if self._connection is not None:
            self._relink = True
            self._tasks.spawn("relink", self._connection.close(1000, "relink"))

    def rename(self, record: NodeRecord) -> None:
        """The node has another name now: the gateway is told, and the connection stays."""
        self.record = record
        if self.surface is not None:
            self._tasks.spawn("rename-upstream", self._rename())

    async def _rename(self) -> None:
        try:
            await self._approval.rename(self.record.gateway_node_id, unique_name(self.record))
        except (GatewayError, SurfaceError, SecretError, TimeoutError) as exc:
            self._log.info("rename-failed", error=str(exc) or type(exc).__name__)  # the next connection tries again

    async def finish_reports(self) -> None:
        """Waits, briefly, until what was reported has been sent."""
        if self._reports:
            await asyncio.wait(set(self._reports), timeout=2.0)

    async def _once(self, planned: float) -> float:
        self._relink = False
        try:
            return await self._attempt(planned)
        except SecretError as exc:
            self.error = str(exc)
            return REFUSED_S
        except Exception:  # whatever it was, the phone's link has to come back
            self.error = "an unexpected fault; the log tells more"
            self._log.exception("node-link-failed")
            return planned
        finally:
            self._closed()
            self.coming = self._relink

    async def _attempt(self, planned: float) -> float:
        profile = node_profile(self.record, self.offer)
        credentials = await self._secret.read()
        try:
            async with AsyncExitStack() as stack:
                async with self._connects:
                    made = GatewayConnection(self._url, profile, credentials, self._identity)
                    connection = await stack.enter_async_context(made)
                self._connection = connection
                self.error = None
                self._log.info("node-linked", commands=len(self.offer.commands))
                settling = self._tasks.spawn("settle-surface", self._settle())
                try:
                    gone: GatewayError = await connection.run(self._on_event, self._dropped)
                finally:
                    settling.cancel()
        except ConnectRefusedError as exc:
            return await self._refused(exc, planned, credentials.origin)
        except GatewayError as exc:
            gone = exc
        self._log.info("node-unlinked", reason=str(gone))
        self.error = None if self._relink else explain(gone, self._url, credentials.origin)
        return 0.0 if self._relink else wait_before_retry(gone, planned)

    def _closed(self) -> None:
        if not self._relink:
            self.ready.set()  # wakes those who wait for it: they need not any longer
        self.ready.clear()
        was_open, self._connection = self._connection is not None, None
        if was_open and self._peer is not None:
            self._peer.post(LinkLost())

    async def _refused(self, exc: ConnectRefusedError, planned: float, origin: str) -> float:
        if exc.detail_code == "PAIRING_REQUIRED":
            try:
                if await self._approval.approve_device(self._identity):
                    return planned
            except (GatewayError, SurfaceError, SecretError) as failed:
                self.error = f"the gateway has not approved it: {failed}"
                self._log.warning("device-approval-failed", error=str(failed))
            return planned
        self.error = explain(exc, self._url, origin)
        if self._told != exc.detail_code and needs_a_person(exc):
            self._told = exc.detail_code
            self._log.warning("node-link-refused", code=exc.detail_code, message=exc.error.message)
        return wait_before_retry(exc, planned)

    async def _settle(self) -> None:
        """Settles the surface, however long the gateway takes to be asked; ends with its connection."""
        waits = backoff(random.random)
        while True:
            try:
                settled = await self._approval.settle(self.record.gateway_node_id, self.offer)
            except (GatewayError, LinkDownError, SurfaceError, SecretError, TimeoutError) as exc:
                self.error = f"the gateway has not approved what it offers: {str(exc) or type(exc).__name__}"
                self._log.info("surface-not-settled", error=str(exc) or type(exc).__name__)
                if not self.ready.is_set():  # whatever it takes without a settled surface, it takes now
                    self._now_ready()
                await asyncio.sleep(next(waits))
            else:
                self._settled(settled)
                return

    def _settled(self, settled: SurfaceState) -> None:
        if settled.fresh and not self._approved:
            self._approved = True  # once: a gateway that wants approval again and again does not make the link spin
            # An approval that meets the gateway while it still admits the connection leaves that connection with the
            # old pairing, and its next invokes fail: a connection made after the approval has the new one.
            self._log.info("surface-approved", commands=sorted(settled.effective))
            self.relink()
            return
        self.surface, self.error = settled, None
        self._now_ready()
        if settled.display_name not in ("", unique_name(self.record)):
            self.rename(self.record)
        if settled.withheld:
            self._log.info("commands-withheld", commands=list(settled.withheld))

    def _now_ready(self) -> None:
        self.ready.set()
        if self._peer is not None:
            self._peer.post(LinkReady())

    def _dropped(self, dropped: Dropped) -> None:
        note_dropped(self._log, dropped)
        if dropped.head.kind != "res" and self._peer is not None:
            self._peer.post(Gap())

    def _on_event(self, event: Event) -> None:
        if event.event in _REPLAYED:
            self._latest[event.event] = event
        if self._peer is not None:
            self._peer.post(FromGateway(event))
        elif event.event == "node.invoke.request":
            gone = ErrorShape("NODE_DISCONNECTED", "NODE_DISCONNECTED: the node is not connected")
            self.report(Report(text_of(event.payload, "id") or "", gone))
