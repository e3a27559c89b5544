"""A daemon without phones and gateway: what `Operations` promises, over plain dictionaries.

Service: the methods. State: the attributes. Use cases: `phone_asks`, `phone_is_paired`, `break_with`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bridge.control.advice import allow_line
from bridge.control.documents import (
    Approval,
    Denial,
    DiscoveryReport,
    Explanation,
    GatewayStatus,
    Listener,
    NodeCounts,
    NodeDetail,
    NodeRow,
    PendingRequest,
    Revocation,
    Status,
    TokenCounts,
)
from bridge.control.limit_documents import LimitsInUse, Load
from bridge.control.not_granted import not_granted
from bridge.control.operations import require_paired, resolve_prefix, select_nodes
from bridge.control.requests import ExplainBody, RevokeBody
from bridge.errors import AlreadyDecided, UsageError, WrongCode
from tests.doubles.certificate_operations import FakeCertificates
from tests.doubles.code_operations import FakeCodes
from tests.doubles.policy_operations import FakePolicy

PIN = hashlib.sha256(b"certificate").hexdigest()
SPKI = hashlib.sha256(b"spki").hexdigest()
MAX_TRIES = 3
STARTED = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


class FakeOperations:
    """Keeps what it is told and answers as the daemon would."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.clock = clock
        self.gateway = GatewayStatus(url="ws://127.0.0.1:18789", state="connected", version="2026.9.6")
        self.discovery = DiscoveryReport(state="on")
        self.limits_in_use = LimitsInUse()
        self.load = Load()
        self.requests: dict[str, PendingRequest] = {}
        self.decided: set[str] = set()
        self.rows: dict[str, NodeDetail] = {}
        self.calls: list[str] = []
        self.verdict = Explanation(decision="deny", rule="default", reason="no rule lists it")
        self._broken: Exception | None = None
        self.codes = FakeCodes(self._called, clock, PIN, SPKI)
        self.certs = FakeCertificates(self._called, clock, PIN, SPKI)
        self.policy = FakePolicy(self._called, clock)
        self.asked: ExplainBody | None = None
        self.right_code = "123456"
        self.wrong_codes: dict[str, int] = {}

    def break_with(self, error: Exception | None) -> None:
        """Makes every operation raise this; None: work again."""
        self._broken = error

    def phone_asks(self, id: str = "req-7f3a9c21", name: str = "Anna's iPhone", **changes: object) -> PendingRequest:
        """A phone connects and waits for a decision."""
        now = self.clock()
        request = PendingRequest(
            id=id,
            kind="openclaw",
            display_name=name,
            platform="iOS 19.1",
            device_family="iPhone",
            address="192.168.1.33",
            permissions=["screen", "voice", "device"],
            commands=["screen.navigate", "screen.snapshot", "talk.ptt.start"],
            key_fingerprint=hashlib.sha256(id.encode()).hexdigest(),
            pin=PIN,
            created_at=now,
            expires_at=now + timedelta(minutes=5),
        ).model_copy(update=changes)
        lacking = not_granted(request.commands, request.permissions)
        self.requests[id] = request = request.model_copy(update={"not_granted": lacking})
        return request

    def phone_is_paired(self, name: str = "Anna's iPhone", **changes: object) -> NodeDetail:
        """A phone was approved earlier and is connected."""
        node_id = hashlib.sha256(name.encode()).hexdigest()
        node = NodeDetail(
            node_id=node_id,
            display_name=name,
            platform="iOS 19.1",
            security="device-key",
            permissions=["screen", "voice", "device"],
            state="connected",
            connected_at=self.clock(),
            gateway_node_id=hashlib.sha256(node_id.encode()).hexdigest(),
            withheld=[],
            wants=[],
            declared_commands=["screen.navigate", "screen.snapshot"],
            effective_commands=["screen.navigate", "screen.snapshot"],
            tokens=TokenCounts(node=1, operator=1),
        ).model_copy(update=changes)
        self.rows[node.node_id] = node
        return node

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self._broken is not None:
            raise self._broken

    async def status(self) -> Status:
        self._called("status")
        return Status(
            version="0.1.0",
            pid=4242,
            started_at=STARTED,
            listeners=[
                Listener(name="nodes", addresses=["192.168.1.20", "127.0.0.1"], port=18790),
                Listener(name="apps", addresses=["192.168.1.20", "127.0.0.1"], port=18794),
            ],
            gateway=self.gateway,
            nodes=NodeCounts(
                paired=sum(each.state != "revoked" for each in self.rows.values()),
                connected=sum(each.state == "connected" for each in self.rows.values()),
            ),
            pending=len(self.requests),
            pin=PIN,
            spki=SPKI,
            discovery=self.discovery,
            limits_in_use=self.limits_in_use,
            load=self.load,
        )

    async def metrics(self) -> str:
        """Some metrics."""
        self._called("metrics")
        return "clawdis_bridge_nodes_connected 0.0\n"

    async def pending(self) -> list[PendingRequest]:
        self._called("pending")
        return list(self.requests.values())

    async def request(self, id: str) -> PendingRequest:
        self._called("request")
        return self._request(id)

    async def approve(
        self, id: str, permissions: list[str] | None, name: str | None, code: str | None = None
    ) -> Approval:
        self._called("approve")
        request = self._request(id)
        self._check_code(request, code)
        self._take(request.id)
        granted = request.permissions if permissions is None else permissions
        security = "mtls" if request.kind == "native" else "device-key"
        node = self.phone_is_paired(name or request.display_name, permissions=granted, security=security)
        withheld = [each for each in request.commands if each == "screen.navigate"]
        return Approval(
            node_id=node.node_id,
            display_name=node.display_name,
            permissions=granted,
            security=node.security,
            withheld=withheld,
            allow_line=allow_line([], withheld) or None,
            not_granted=not_granted(request.commands, granted),
        )

    def _check_code(self, request: PendingRequest, code: str | None) -> None:
        needed = request.kind == "native" and request.reason != "wider"
        if needed == (code is None):
            raise UsageError("A code is needed and missing, or there is none to compare with.")
        if needed and code != self.right_code:
            tries = self.wrong_codes[request.id] = self.wrong_codes.get(request.id, 0) + 1
            if tries >= MAX_TRIES:
                self._take(request.id)
            raise WrongCode("That is not the code that the device shows.", f"Tries left: {MAX_TRIES - tries}")

    async def deny(self, id: str) -> Denial:
        self._called("deny")
        return Denial(id=self._take(id).id)

    async def nodes(self) -> list[NodeRow]:
        self._called("nodes")
        return [_row(each) for each in self.rows.values()]

    async def node(self, id: str) -> NodeDetail:
        self._called("node")
        return self._node(id)

    async def rename(self, id: str, name: str) -> NodeRow:
        self._called("rename")
        return _row(self._keep(self._node(id).model_copy(update={"display_name": name})))

    async def set_permissions(self, id: str, permissions: list[str]) -> NodeRow:
        self._called("set_permissions")
        return _row(self._keep(self._node(id).model_copy(update={"permissions": permissions})))

    async def revoke(self, which: RevokeBody) -> list[Revocation]:
        self._called("revoke")
        paired = [each.node_id for each in self.rows.values() if each.state != "revoked"]
        require_paired(which.ids or [], {each.node_id: each.state != "revoked" for each in self.rows.values()})
        chosen = select_nodes(which, paired)
        for each in chosen:
            self._keep(self.rows[each].model_copy(update={"state": "revoked"}))
        return [Revocation(node_id=each, revoked_at=self.clock()) for each in chosen]

    async def explain(self, asked: ExplainBody) -> Explanation:
        self._called("explain")
        self.asked = asked
        self._node(asked.node)
        return self.verdict

    def _request(self, id: str) -> PendingRequest:
        whole = resolve_prefix(id, [*self.requests, *self.decided])
        if whole in self.decided:
            raise AlreadyDecided(f"The request {whole} was decided before.")
        return self.requests[whole]

    def _take(self, id: str) -> PendingRequest:
        request = self._request(id)
        self.decided.add(request.id)
        return self.requests.pop(request.id)

    def _node(self, id: str) -> NodeDetail:
        return self.rows[resolve_prefix(id, self.rows)]

    def _keep(self, node: NodeDetail) -> NodeDetail:
        self.rows[node.node_id] = node
        return node


def _row(node: NodeDetail) -> NodeRow:
    return NodeRow(**{name: getattr(node, name) for name in NodeRow.model_fields})
