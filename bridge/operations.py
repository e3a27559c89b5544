"""What a person at this machine can ask of the daemon: `control.operations.Operations`, done."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from acl.model import Subject
from acl.permissions import read_permissions
from bridge import __version__, clock
from bridge.audit.errors import AuditError
from bridge.certificate_desk import CertificateDesk
from bridge.certificates import Certificates
from bridge.code_desk import CodeDesk
from bridge.config import Config
from bridge.control import documents
from bridge.control.advice import allow_line
from bridge.control.not_granted import not_granted
from bridge.control.operations import require_paired, resolve_prefix, select_nodes
from bridge.control.requests import ExplainBody, RevokeBody
from bridge.decisions import RecentDecisions
from bridge.discovery import DiscoveryStatus
from bridge.errors import AlreadyDecided, BridgeError, NotAllowed
from bridge.explanations import About, explain_call, refusal_there
from bridge.hub import Hub
from bridge.lan.events import Instant
from bridge.lan.listener import Listener
from bridge.limit_reports import limits_in_use, node_limits
from bridge.metrics import Metrics
from bridge.pairing.desk import PairingRequest
from bridge.pairing.records import NodeRecord, clean_label
from bridge.pairing.store import StoreError
from bridge.policy_desk import PolicyDesk
from bridge.reports import NodeState, Presence, load_report, node_detail, node_row, pending_row
from bridge.upstream.node_link import NodeLink
from certs.errors import IdentityError

_SEE_PENDING = "See what waits: clawdis-bridge pending"
SURFACE_WAIT_S = 12.0  # seconds that `approve` waits to be able to say what the gateway withholds


class BridgeOperations:
    """See the module's text.

    Args:
        hub: the running parts.
        listeners: the LAN ports.
        discovery: tells the advertiser's state.
        codes: invitations.
        certs: the bridge's certificates.
        metrics: what is counted and measured.
        policy: the access policy.
    """

    def __init__(
        self,
        hub: Hub,
        config: Config,
        certificates: Certificates,
        *,
        listeners: Iterable[Listener],
        discovery: Callable[[], DiscoveryStatus],
        codes: CodeDesk,
        certs: CertificateDesk,
        metrics: Metrics,
        policy: PolicyDesk,
        started: Instant,
    ) -> None:
        self._hub = hub
        self._config = config
        self._certificates = certificates
        self._listeners = list(listeners)
        self._discovery = discovery
        self.codes = codes
        self.certs = certs
        self._metrics = metrics
        self.policy = policy
        self._started = started
        self._decisions = RecentDecisions()
        hub.reception.on_change(self._decisions.note)

    async def status(self) -> documents.Status:
        """The state of the daemon."""
        operator = self._hub.switchboard.operator
        discovery, trail = self._discovery(), self._hub.reception.trail
        limits = self._config.limits.model_dump()
        return documents.Status(
            version=__version__,
            pid=os.getpid(),
            started_at=self._started.wall,
            listeners=[
                documents.Listener.model_validate({"name": one.name, "addresses": one.addresses, "port": one.port})
                for one in self._listeners
            ],
            gateway=documents.GatewayStatus(
                url=operator.url, state=operator.state, version=operator.version, detail=operator.detail
            ),
            nodes=documents.NodeCounts(paired=len(self._paired()), connected=self._hub.roster.connected()),
            pending=len(self._hub.reception.desk.pending()),
            pin=self._certificates.identity.pin,
            spki=self._certificates.identity.spki,
            discovery=documents.DiscoveryReport(state=discovery.state.value, detail=discovery.detail),
            policy=self.policy.source,
            audit=documents.AuditReport(written=trail.written, problem=trail.problem),
            limits=limits,
            limits_in_use=limits_in_use(
                self._hub.allowances.tally, self._listeners[0].door, self._hub.penalties(clock.now().mono)
            ),
            load=load_report(self._metrics.levels()),
        )

    async def metrics(self) -> str:
        """What is counted and measured, in the text format of Prometheus."""
        return self._metrics.text()

    # Requests.

    async def pending(self) -> list[documents.PendingRequest]:
        """The pairing requests that wait for a decision, oldest first."""
        return [self._pending_row(request) for request in self._hub.reception.desk.pending()]

    def _pending_row(self, request: PairingRequest) -> documents.PendingRequest:
        now = clock.now()
        known = self._hub.reception.store.get(request.draft.node_id)
        return pending_row(request, known, self._certificates.identity.pin, now.mono, now.wall)

    def _request(self, request_id: str) -> PairingRequest:
        desk = self._hub.reception.desk
        # A beginning that fitted a request decided a moment ago must not mean another one now.
        whole = resolve_prefix(request_id, [*(request.id for request in desk.pending()), *self._decisions.ids])
        request = desk.get(whole)
        if request is None:
            raise AlreadyDecided(f"The request {whole} {self._decisions.said(whole)}.", _SEE_PENDING)
        return request

    async def request(self, id: str) -> documents.PendingRequest:
        """One pairing request that waits."""
        return self._pending_row(self._request(id))

    async def approve(
        self, id: str, permissions: list[str] | None, name: str | None, code: str | None = None
    ) -> documents.Approval:
        """Pairs the device of a request, and waits a little to say what the gateway makes of it."""
        request = self._request(id)
        granted = read_permissions(permissions) if permissions is not None else None
        before = self._hub.switchboard.link(request.draft.node_id)
        try:
            record = await self._hub.reception.approve(request, granted, name, code)
        except AuditError as exc:
            raise BridgeError("AUDIT", f"Nothing was approved, because {exc.why}.", exc.mend) from exc
        except (StoreError, IdentityError) as exc:
            raise BridgeError("STORE", f"The approval could not be written down: {exc}") from exc
        withheld = await self._withheld_soon(record.node_id, before)
        return documents.Approval(
            node_id=record.node_id,
            display_name=record.labels.display_name,
            permissions=sorted(record.permissions),
            security=record.security.value,
            withheld=withheld,
            allow_line=await self._allow_line(withheld),
            not_granted=not_granted(record.declared.commands, record.permissions),
        )

    async def _withheld_soon(self, node_id: str, before: NodeLink | None) -> list[str]:
        deadline = asyncio.get_running_loop().time() + SURFACE_WAIT_S
        while asyncio.get_running_loop().time() < deadline:
            link = self._hub.switchboard.link(node_id)
            if link is not None and link is not before and link.surface is not None:
                return list(link.surface.withheld)
            if not self._hub.switchboard.operator.is_open:
                return []  # nobody can say
            if self._hub.roster.node(node_id) is None and link is None and self._is_away(deadline):
                return []
            await asyncio.sleep(0.1)
        return []

    def _is_away(self, deadline: float) -> bool:
        # Whoever was held is in within moments; a phone that had gone comes by itself, and nobody waits for it here.
        return SURFACE_WAIT_S - (deadline - asyncio.get_running_loop().time()) > 2.0

    async def deny(self, id: str) -> documents.Denial:
        """Refuses a request."""
        request = self._request(id)
        self._hub.reception.deny(request)
        return documents.Denial(id=request.id)

    # Nodes.

    def _paired(self) -> list[NodeRecord]:
        return [record for record in self._hub.reception.store.nodes.values() if record.revoked_at is None]

    def _record(self, node_id: str) -> NodeRecord:
        nodes = self._hub.reception.store.nodes
        return nodes[resolve_prefix(node_id, nodes)]

    async def nodes(self) -> list[documents.NodeRow]:
        """All paired nodes, and the revoked ones."""
        return [self._row(record) for record in self._hub.reception.store.nodes.values()]

    def _row(self, record: NodeRecord) -> documents.NodeRow:
        return node_row(record, self._presence(record))

    def _presence(self, record: NodeRecord) -> Presence:
        node_id, switchboard = record.node_id, self._hub.switchboard
        link, state = switchboard.link(node_id), self._state(record)
        asks = (request.id for request in self._hub.reception.desk.pending() if request.draft.node_id == node_id)
        return Presence(
            state,
            self._hub.connected_at.get(node_id) if state in {"connected", "background"} else None,
            link.surface if link is not None else None,
            switchboard.link_error(node_id) if state != "revoked" else None,
            next(asks, None),
            state == "offline" and link is not None and link.is_open,
            switchboard.is_linking(node_id),
        )

    def _state(self, record: NodeRecord) -> NodeState:
        if record.revoked_at is not None:
            return "revoked"
        relay = self._hub.roster.node(record.node_id)
        if relay is None:
            return "offline"
        return "background" if relay.session.in_background else "connected"

    async def node(self, id: str) -> documents.NodeDetail:
        """Everything about one node."""
        record = self._record(id)
        presence = self._presence(record)
        now, surface = clock.now().mono, presence.surface
        limits = node_limits(self._hub.allowances.get(record.node_id), self._hub.penalty_left(record.node_id, now), now)
        line = await self._allow_line(list(surface.withheld) if surface is not None else [])
        return node_detail(record, replace(presence, limits=limits), line)

    async def _allow_line(self, withheld: list[str]) -> str | None:
        if not withheld:
            return None
        try:
            return allow_line(await self._hub.switchboard.allowed_at_gateway(), withheld)
        except ValueError:
            return None  # a name in the gateway's list that is not safe to paste

    async def _change(
        self, record: NodeRecord, change: Callable[[NodeRecord], NodeRecord], *, takes_away: bool = False
    ) -> documents.NodeRow:
        def in_force(known: NodeRecord | None) -> NodeRecord:
            """The change of what is stored at that moment, unless that is a tombstone."""
            current = known or record
            if current.revoked_at is not None:
                raise NotAllowed("This node is revoked.", "Pair it again: clawdis-bridge pair --qr")
            return change(current)

        try:
            changed = await self._hub.reception.store.update(record.node_id, in_force, takes_away=takes_away)
        except StoreError as exc:
            raise _unwritten("The change", exc, in_force=takes_away) from exc
        return self._row(changed)

    async def rename(self, id: str, name: str) -> documents.NodeRow:
        """Gives a node another display name."""

        def named(known: NodeRecord) -> NodeRecord:
            """With the name; one of which nothing can be shown leaves the former."""
            shown = clean_label(name, known.labels.display_name)
            return known.model_copy(update={"labels": known.labels.model_copy(update={"display_name": shown})})

        record = self._record(id)
        row = await self._change(record, named)
        self._hub.note("renamed", node=row.node_id, name=row.display_name, before=record.labels.display_name)
        return row

    async def set_permissions(self, id: str, permissions: list[str]) -> documents.NodeRow:
        """Replaces what a node may do; it reconnects with it."""
        granted, record = read_permissions(permissions), self._record(id)
        narrower, told = granted <= record.granted, {"permissions": sorted(granted), "before": sorted(record.granted)}

        def permitted(known: NodeRecord) -> NodeRecord:
            """With these permissions and no others; what only takes away leaves its trace when it comes into force."""
            if narrower and not granted <= known.granted:
                raise NotAllowed("Its permissions were changed at the same moment.", "Look at them, and try again.")
            if narrower:
                self._hub.note("permissions-narrowed", node=record.node_id, **told)
            return known.model_copy(update={"permissions": tuple(sorted(granted))})

        if not narrower:
            await self._recorded("permissions-widened", node=record.node_id, **told)
        return await self._change(record, permitted, takes_away=narrower)

    async def _recorded(self, event: str, **fields: object) -> None:
        try:
            await self._hub.reception.trail.record(event, **fields)
        except AuditError as exc:
            raise BridgeError("AUDIT", f"Nothing was changed, because {exc.why}.", exc.mend) from exc

    async def revoke(self, which: RevokeBody) -> list[documents.Revocation]:
        """Ends the pairing of some nodes."""
        if which.ids is not None:
            known = self._hub.reception.store.nodes
            require_paired(which.ids, {node_id: record.revoked_at is None for node_id, record in known.items()})
        revocations: list[documents.Revocation] = []
        unwritten: dict[str, StoreError] = {}
        for node_id in select_nodes(which, [record.node_id for record in self._paired()]):
            try:
                record = await self._hub.reception.revoke(node_id)
            except StoreError as exc:  # it is out all the same, and the others have to be
                unwritten[node_id] = exc
                continue
            when = record.revoked_at or datetime.now(UTC)
            revocations.append(documents.Revocation(node_id=node_id, revoked_at=when))
        if unwritten:
            names = ", ".join(node_id[:12] for node_id in unwritten)
            raise _unwritten(f"The revocation of {names}", next(iter(unwritten.values())), in_force=True)
        return revocations

    # Questions.

    async def explain(self, asked: ExplainBody) -> documents.Explanation:
        """What the policy decides about a call of a node, and which rule."""
        record = self._record(asked.node)
        if record.revoked_at is not None:
            return documents.Explanation(decision="deny", rule="revoked", reason="the node is revoked")
        subject = Subject(record.node_id, record.granted, record.operator_scopes)
        other = None if asked.target is None else self._record(asked.target)
        if other is not None and other.revoked_at is not None:
            return documents.Explanation(decision="deny", rule="revoked", reason="the node that would do it is revoked")
        about = About(None if other is None else other.node_id, asked.session, asked.text, asked.url)
        answer = explain_call(self._hub.policy, subject, asked.method, asked.command, about)
        if other is None or answer.decision == "deny":
            return answer
        there = Subject(other.node_id, other.granted)
        return refusal_there(self._hub.policy, there, asked.method, asked.command, asked.url) or answer


def _unwritten(what: str, exc: StoreError, *, in_force: bool) -> BridgeError:
    """The error for something that the disk refused; what only takes away is in force all the same."""
    if not in_force:
        return BridgeError("STORE", f"{what} could not be written down: {exc}")
    words = f"{what} is in force, but not written down: {exc}"
    return BridgeError("STORE", words, "It is tried again every 30 seconds; until then, do not restart the bridge.")
