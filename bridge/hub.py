"""What every session may look up, and where its commands go: store, desk, roster and links in one place.

A relay's command goes to the room it concerns; nothing is decided here but the order of things.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from acl.model import Policy
from acl.permissions import Permissions
from bridge import clock
from bridge.config import LimitsTable
from bridge.lan.allowance import Allowance, Allowances
from bridge.lan.coalesced import Coalesced
from bridge.lan.events import (
    Admit,
    Ended,
    FileRequest,
    FilingFailed,
    Forward,
    FromGateway,
    Gap,
    Join,
    LinkLost,
    Noted,
    NoteRevocationTold,
    NotFiled,
    Penalise,
    Redeem,
    Report,
    SessionEvent,
)
from bridge.lan.offer import is_concerned
from bridge.lan.recall import Replay
from bridge.lan.relay import IOS_FRAME_BYTES, REMOVED, Relay
from bridge.lan.retries import Retries
from bridge.lan.roster import Roster
from bridge.lan.screen_page import ScreenPage, ScreenPages
from bridge.lan.stand_in import StandIn
from bridge.log import Log, marks
from bridge.pairing.admissions import Admissions
from bridge.pairing.reception import Reception
from bridge.pairing.records import NodeRecord, Role
from bridge.pairing.store import StoreError
from bridge.tasks import Tasks
from bridge.upstream.idempotency import Change, Ledger
from bridge.upstream.idempotency_file import CallMemory
from bridge.upstream.node_link import NodeLink
from bridge.upstream.secret import SecretError
from bridge.upstream.surface import SurfaceError
from bridge.upstream.switchboard import Switchboard
from certs.errors import IdentityError
from gateway_client.errors import GatewayError
from gateway_client.frames import JsonObject

MAX_PENALTIES = 1024  # keys kept out at a time, 100 bytes each; the oldest are let in first
RESTART = 1012  # WebSocket close code: come back


class Hub:
    """See the module's text.

    Args:
        reception: requests that wait, and the store.
        admissions: codes and tokens.
        switchboard: the gateway's side.
        calls: the keyed calls that were made already.
        policy: the policy in force.
        default_permissions: what a prompt proposes.
        limits: what a key may use up, and for how long it stays out when it was closed for that.
        noted: is told what is noted of phones that are away, beside the log.
    """

    def __init__(
        self,
        reception: Reception,
        admissions: Admissions,
        switchboard: Switchboard,
        calls: CallMemory,
        *,
        policy: Policy,
        default_permissions: Permissions,
        limits: LimitsTable,
        tasks: Tasks,
        log: Log,
        noted: Noted,
    ) -> None:
        self.reception = reception
        self.admissions = admissions
        self.switchboard = switchboard
        self.calls = calls
        self.roster: Roster[Relay] = Roster()
        self.empty = asyncio.Event()
        self.empty.set()
        self.connected_at: dict[str, datetime] = {}
        self._policy = policy
        self._default_permissions = default_permissions
        self.allowances = Allowances(limits)
        self._penalty_s = limits.penalty_s
        self._penalties: dict[str, float] = {}
        self._screens = ScreenPages()
        self._retries = Retries()
        self._lines = Coalesced()
        self._tasks = tasks
        self._log = log
        self._noted = noted
        reception.store.on_change(self._on_record)
        switchboard.operator.on_event(lambda event: self._tell_operators(FromGateway(event)))
        switchboard.operator.on_change(self._on_gateway_change)
        switchboard.operator.on_gap(lambda: self._tell_operators(Gap()))

    # What a session may look up.

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._policy

    @property
    def default_permissions(self) -> Permissions:
        """What a prompt proposes."""
        return self._default_permissions

    @property
    def window_opened(self) -> datetime | None:
        """When a person last invited devices."""
        return self.reception.window_opened

    @property
    def gateway_hello(self) -> JsonObject:
        """The gateway's last hello-ok on the operator link."""
        return self.switchboard.operator.hello

    @property
    def ledger(self) -> Ledger:
        """The keyed calls that were made already."""
        return self.calls.ledger

    def record(self, node_id: str) -> NodeRecord | None:
        """The stored record of a key."""
        return self.reception.store.get(node_id)

    def lan_ids(self) -> Mapping[str, str]:
        """Node ids at the gateway -> node ids on the LAN, of the paired nodes."""
        nodes = self.reception.store.nodes.values()
        return {record.gateway_node_id: record.node_id for record in nodes if record.revoked_at is None}

    def allowance(self, node_id: str) -> Allowance:
        """What the key may use up: reconnecting does not make it forgotten."""
        return self.allowances.of(node_id, clock.now().mono)

    def penalties(self, now: float) -> dict[str, float]:
        """The seconds for which each key stays out that is kept out now."""
        return {node_id: until - now for node_id, until in self._penalties.items() if until > now}

    def screen(self, node_id: str) -> ScreenPage:
        """What is known of the page on a node's screen: reconnecting does not make it forgotten."""
        return self._screens.of(node_id)

    def penalty_left(self, node_id: str, now: float) -> float:
        """Seconds for which this key may not come in."""
        return max(0.0, self._penalties.get(node_id, now) - now)

    # Where a session's commands go.

    def file_request(self, relay: Relay, command: FileRequest) -> None:
        """Puts a pairing request on the desk, unless its address asks too often; a retry of the same costs nothing."""
        retry = self.reception.desk.holds(command.draft)
        wait_s = 0.0 if retry else relay.visit.ask(clock.now().mono)
        if wait_s > 0:
            more = marks(self.line(relay.address, "pairing-throttled"))
            self._log.info("pairing-throttled", address=relay.address, seconds=int(wait_s), **more)
            relay.post(FilingFailed(NotFiled.BUSY, int(wait_s * 1000)))
        elif not self.reception.file(relay, command.draft):
            relay.visit.unask()

    def redeem(self, relay: Relay, command: Redeem) -> None:
        """Tries a setup code."""
        self._tasks.spawn("redeem", self.admissions.redeem(relay, command))

    def admit(self, relay: Relay, command: Admit) -> None:
        """Writes down an admission."""
        self._tasks.spawn("admit", self.admissions.admit(relay, command))

    def note_revocation_told(self, command: NoteRevocationTold) -> None:
        """Remembers that a key was told of its revocation."""
        self._tasks.spawn("note-told", self.admissions.note_told(command.node_id, command.role))

    def join(self, relay: Relay, command: Join) -> None:
        """The relay's peer is in: it takes the place of an older socket and gets its link."""
        record = command.record
        if record.labels.client_id == "openclaw-ios":
            relay.frame_limit = IOS_FRAME_BYTES
        self.empty.clear()
        for former in self.roster.join(record.node_id, command.role, relay):
            former.post(Ended(1000, "replaced by a newer connection"))
        if command.role is not Role.NODE:
            return
        self.connected_at[record.node_id] = clock.now().wall
        self.switchboard.join(relay, command)
        self._tasks.spawn("note-seen", self._note_seen(record.node_id, command))

    async def _note_seen(self, node_id: str, join: Join) -> None:
        wants = join.wider.declared.beyond(join.record.declared) if join.wider is not None else ()

        def change(known: NodeRecord | None) -> NodeRecord:
            """When it was here, what it wants, and its versions: of what is stored at that moment."""
            if known is None:
                raise StoreError("the node is gone")
            labels, seen = known.labels.refreshed(join.record.labels), known.seen(clock.now().wall)
            return known.model_copy(update={"last_seen_at": seen, "wants": wants, "labels": labels})

        try:
            await self.reception.store.update(node_id, change)
        except StoreError as exc:
            self._log.error("store-failed", error=str(exc))
        relay = self.roster.node(node_id)
        if join.wider is None:
            self.reception.drop_wider(node_id)
        if join.wider is not None and relay is not None:
            self.reception.file_draft(join.wider, relay.address)

    def ending(self, relay: Relay) -> None:
        """The relay's session has ended: what comes for its node from now on is answered by who stands in."""
        if relay.node_id is not None and self.roster.node(relay.node_id) is relay:  # not when it has been replaced
            self.switchboard.leave(relay, self._stand_in)

    def leave(self, relay: Relay) -> None:
        """The relay's socket has ended."""
        self.reception.forget(relay)
        if (node_id := relay.node_id) is not None:
            if self.reception.desk.awaits(node_id) and self._retries.spend(node_id, relay.visit.came):
                relay.visit.forgive()  # it comes again and again because it waits for a person
            self.roster.leave(node_id, relay)
            if not self.roster.everyone():
                self.empty.set()
            self.switchboard.leave(relay, self._stand_in)

    def _stand_in(self, link: NodeLink) -> StandIn:
        return StandIn(link.record, link.offer, self, link.report, self.line, self._noted, self._log)

    def forward(self, relay: Relay, command: Forward) -> None:
        """Sends a request to the gateway."""
        self.switchboard.forward(relay, command)

    def report(self, relay: Relay, command: Report | Replay) -> None:
        """Tells the gateway how an invoke ended."""
        self.switchboard.report(relay, command)

    def remember(self, changes: Sequence[Change]) -> None:
        """Writes down what the ledger of calls has changed."""
        self.calls.note(changes)

    def line(self, who: str, event: str) -> int | None:
        """How many lines of the log were left out before this one; None: leave it out."""
        return self._lines.line(who, event, clock.now().mono)

    def penalise(self, command: Penalise) -> None:
        """Keeps a key out for a while."""
        self._penalties.pop(command.node_id, None)
        while len(self._penalties) >= MAX_PENALTIES:
            del self._penalties[next(iter(self._penalties))]
        self._penalties[command.node_id] = clock.now().mono + self._penalty_s
        self._log.warning("penalised", node=command.node_id, seconds=self._penalty_s)

    # What happens outside the sessions.

    def _on_record(self, record: NodeRecord) -> None:
        """A record has changed on disk: open sockets live by what they were admitted with, so they come again."""
        for relay in self.roster.all_of(record.node_id):
            known = relay.admitted
            if record.revoked_at is not None:
                relay.post(Ended(REMOVED, "device removed"))
            elif known is not None and known.terms != record.terms:
                relay.post(Ended(RESTART, "permissions changed"))
        self.switchboard.changed(record)
        if record.revoked_at is not None:
            self.switchboard.close(record.node_id)
            self.calls.note(self.ledger.forget_node(record.node_id))
        if record.stale_upstream:
            self._tasks.spawn("remove-upstream", self.remove_stale(record.node_id))

    async def remove_stale(self, node_id: str) -> None:
        """Removes from the gateway what stood for a key that is revoked or changed; later, when it is not there now."""
        record = self.record(node_id)
        if record is None or not record.stale_upstream or not self.switchboard.operator.is_open:
            return
        try:
            gone = await self.switchboard.remove_stale(record)
        except (GatewayError, SecretError, SurfaceError, IdentityError) as exc:
            self._log.warning("upstream-removal-failed", node=node_id, error=str(exc))
            return

        def change(known: NodeRecord | None) -> NodeRecord:
            """Without what is gone; what has become stale meanwhile stays."""
            left = tuple(name for name in (known or record).stale_upstream if name not in gone)
            return (known or record).model_copy(update={"stale_upstream": left})

        try:
            await self.reception.store.update(node_id, change)
        except StoreError as exc:
            self._log.error("store-failed", error=str(exc))

    def _tell_operators(self, event: SessionEvent) -> None:
        for relay in list(self.roster.operators()):
            relay.post(event)

    def _on_gateway_change(self, is_open: bool) -> None:
        if is_open:
            self.sweep_stale()
        else:
            self._tell_operators(LinkLost())

    def sweep_stale(self) -> None:
        """Removes from the gateway what could not be removed at the time."""
        for record in self.reception.store.nodes.values():
            if record.stale_upstream:
                self._tasks.spawn("remove-upstream", self.remove_stale(record.node_id))

    def adopt(self, policy: Policy, default_permissions: Permissions) -> int:
        """Puts another policy into force; returns how many sockets have to come again because of it.

        Whoever was told other methods or events than it has now, or offers other commands, is one of them. Its link
        does not outlive its socket; one whose phone is away ends at once.
        """
        before, self._policy, self._default_permissions = self._policy, policy, default_permissions
        concerned = [relay for relay in self.roster.everyone() if self._concerns(relay, before)]
        for record in [link.record for link in self.switchboard.links()]:  # not all that are stored: those take seconds
            if is_concerned(record, Role.NODE, before, policy):
                self.switchboard.outdate(record.node_id)
        for relay in concerned:
            relay.post(Ended(RESTART, "policy changed"))
        return len(concerned)

    def _concerns(self, relay: Relay, before: Policy) -> bool:
        record = relay.admitted
        role = Role.NODE if relay is self.roster.node(relay.node_id or "") else Role.OPERATOR
        return record is not None and is_concerned(record, role, before, self._policy)

    def note(self, event: str, **fields: object) -> None:
        """Says in the log what a person at this machine has done."""
        self._log.info(event, **fields)

    def end_all(self, reason: str) -> None:
        """Says goodbye to every socket: the bridge stops and will be back."""
        for relay in self.roster.everyone():
            relay.post(Ended(RESTART, reason, restart=True))
