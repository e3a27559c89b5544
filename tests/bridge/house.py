"""The bridge without its process: real store, codes, keys, app port and links, taken down at the end of a block."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

from acl.permissions import Permissions
from bridge import clock
from bridge.addresses import ListenAddress
from bridge.certificate_desk import CertificateDesk
from bridge.certificates import Certificates
from bridge.code_desk import CodeDesk
from bridge.config import Config, LimitsTable
from bridge.discovery import DiscoveryState, DiscoveryStatus
from bridge.hub import Hub
from bridge.lan.admission import Challenge
from bridge.lan.door import Door
from bridge.lan.guest import Guest, guest_of
from bridge.lan.listener import Listener, NodePort, Upgraded
from bridge.lan.pair_pages import PairPages
from bridge.lan.relay import Relay
from bridge.lan.session import Session
from bridge.lan.terms import Terms
from bridge.load import levels
from bridge.operations import BridgeOperations
from bridge.pairing.admissions import Admissions
from bridge.pairing.ceremony_ledger import CeremonyLedger
from bridge.pairing.codes import CodeStore
from bridge.pairing.enrolment import Enrolment
from bridge.pairing.issuing import Issuing
from bridge.pairing.reception import Reception
from bridge.pairing.records import NodeRecord
from bridge.pairing.registrar import Registrar
from bridge.pairing.store import NodeStore
from bridge.pairing.tombstones import TombstoneStore
from bridge.policy_desk import PolicyDesk
from bridge.policy_file import load_policy
from bridge.upstream.idempotency_file import CallMemory
from certs.context import app_server_context, node_server_context
from gateway_client.identity import DeviceIdentity
from tests.bridge.audit.remembered import Remembered
from tests.bridge.lan.doors import door_of
from tests.bridge.lan.phones import PHONE, Phone
from tests.bridge.lan.rooms import Caller
from tests.bridge.lan.wire import peer
from tests.bridge.upstream.stage import Stage, staged
from tests.support.waiting import eventually

NOWHERE = "ws://127.0.0.1:9"  # nobody answers at the discard port
HOST_NAME = "clawdis-bridge-0a1b2c3d.local"


class House:
    """The parts of one bridge."""

    def __init__(self, stage: Stage, home: Path, door: Door | None = None, *, always_open: bool = True) -> None:
        self.stage = stage
        self.home = home
        self.store = NodeStore(home)
        self.codes = CodeStore(home / "bridge.sqlite3")
        self.tombstones = TombstoneStore(home / "bridge.sqlite3")
        self.trail = Remembered()
        self.registrar = Registrar(self.store, self.tombstones, stage.keys, stage.log, self.trail)
        self.reception = Reception(self.registrar, stage.log, always_open=always_open)
        self.admissions = Admissions(self.registrar, self.reception, self.codes, stage.log)
        self.in_force = load_policy(home, "voice+screen", datetime.now(UTC))
        self.hub = Hub(
            self.reception,
            self.admissions,
            stage.switchboard,
            CallMemory(home / "bridge.sqlite3", stage.tasks, stage.log),
            policy=self.in_force.policy,
            default_permissions=self.in_force.default,
            limits=LimitsTable(),
            tasks=stage.tasks,
            log=stage.log,
            noted=stage.flow.metrics.note,
        )
        stage.flow.metrics.watch(lambda: levels(self.hub, stage.flow))
        self.identity = stage.keys.load_or_create(HOST_NAME, now=datetime.now(UTC))
        authority = stage.keys.client_authority(now=datetime.now(UTC))
        self.certificates = Certificates(stage.keys, self.identity, authority, HOST_NAME, stage.log, self.trail)
        self.discovery = DiscoveryStatus(DiscoveryState.ON)
        self.door = door or door_of(64, 64)
        self.config = Config()
        self.started = clock.now()
        self.pages = self._pages()
        self.apps = self._listener("apps", app_server_context(self.identity))
        context = node_server_context(self.identity, authority.certificate)
        self.nodes = self._listener("nodes", context, NodePort(self._judge, self.pages.answer))
        self.certificates.on_change(lambda new: self.nodes.use(node_server_context(new, authority.certificate)))
        self.policy = PolicyDesk(home, "voice+screen", self.in_force, self.hub, stage.log)
        self.operations = self._operations()

    def _operations(self) -> BridgeOperations:
        stage = self.stage
        return BridgeOperations(
            self.hub,
            self.config,
            self.certificates,
            listeners=[self.nodes, self.apps],
            discovery=lambda: self.discovery,
            codes=self._code_desk(),
            policy=self.policy,
            certs=CertificateDesk(self.certificates, stage.keys, self.store, host=HOST_NAME, end_all=self.hub.end_all),
            metrics=stage.flow.metrics,
            started=self.started,
        )

    def _code_desk(self) -> CodeDesk:
        return CodeDesk(
            self.reception,
            self.codes,
            self.certificates,
            nodes=self.nodes,
            apps=self.apps,
            discovery=lambda: self.discovery,
            host=HOST_NAME,
            profiles=lambda: self.policy.profiles,
        )

    def _pages(self) -> PairPages:
        stage, now = self.stage, clock.now()
        self.ledger = CeremonyLedger(self.home / "bridge.sqlite3", 10, now.mono, now.wall)
        self.enrolment = Enrolment(
            self.reception,
            self.registrar,
            self.codes,
            self.ledger,
            certificates=self.certificates,
            default=lambda: self.hub.default_permissions,
            name="Test Bridge",
            tasks=stage.tasks,
            log=stage.log,
        )
        self.issuing = Issuing(self.reception, self.certificates, stage.log)
        return PairPages(self.enrolment, self.issuing, stage.log)

    def _judge(self, certificate: bytes | None, address: str) -> Guest:
        return guest_of(certificate, address, self.hub.record)

    def _listener(self, name: str, context: ssl.SSLContext, node_port: NodePort | None = None) -> Listener:
        return Listener(
            name,
            context,
            self.door,
            self._serve,
            node_port=node_port,
            frame_max_bytes=26_214_400,
            pool=self.stage.flow.pool,
            handshake=self.stage.flow.metrics.handshake,
            tasks=self.stage.tasks,
            log=self.stage.log,
        )

    async def _serve(self, upgraded: Upgraded) -> None:
        now = clock.now()
        challenge = Challenge(secrets.token_urlsafe(24), now.wall_ms)
        terms = Terms(26_214_400, 52_428_800, self.started)
        session = Session(self.hub, terms, secrets.token_hex(6), challenge, now, upgraded.certified)
        flow = self.stage.flow
        await Relay(
            upgraded, session, self.hub, self.stage.tasks, self.stage.log, flow.outflow, flow.metrics.note
        ).run()

    async def pair(self, phone: Phone, permissions: Permissions = PHONE, **changes: object) -> NodeRecord:
        """Puts a phone into the store, with a key for the gateway."""
        name = phone.node_id[:16]
        identity = DeviceIdentity(self.stage.keys.create_ed25519(name))
        record = phone.record(permissions, upstream_key=name, gateway_node_id=identity.device_id, **changes)
        return await self.store.put(record)

    async def waiting(self) -> str:
        """Waits for a request, which has to be the only one; returns its id."""
        (request,) = await eventually(self.reception.desk.pending)
        return request.id

    @asynccontextmanager
    async def call(self, phone: Phone) -> AsyncIterator[Caller]:
        """A WebSocket of a phone, for a block."""
        async with peer(self.apps.port) as wire:
            yield Caller(await wire.upgrade(), phone)


@asynccontextmanager
async def house(
    home: Path, url: str = NOWHERE, door: Door | None = None, *, always_open: bool = True, linger_s: float = 0.0
) -> AsyncIterator[House]:
    """Builds the bridge for a gateway at `url`; `always_open` and `linger_s` are those of the configuration."""
    async with staged(url, home, linger_s=linger_s) as stage:
        built = House(stage, home, door, always_open=always_open)
        loopback = [ListenAddress(IPv4Address("127.0.0.1"))]
        await built.apps.start(loopback, 0)
        await built.nodes.start(loopback, 0)
        try:
            yield built
        finally:
            await built.nodes.stop()
            await built.apps.stop()
