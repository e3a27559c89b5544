"""Builds the parts of a bridge from its files and its configuration; starts nothing."""

from __future__ import annotations

import os
import pwd
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from bridge import clock
from bridge.addresses import machine_addresses, on_link_networks
from bridge.audit.recorder import Recorder
from bridge.certificates import Certificates
from bridge.config import Config, ConfigError, ConfigProblem
from bridge.config_file import CONFIG_NAME
from bridge.discovery_names import load_names
from bridge.discovery_records import DiscoveryNames
from bridge.hub import Hub
from bridge.lan.admission import Challenge
from bridge.lan.door import Door
from bridge.lan.guest import Guest, guest_of
from bridge.lan.inflow import Pool
from bridge.lan.known_addresses import KnownAddresses
from bridge.lan.listener import Listener, NodePort, Upgraded
from bridge.lan.pair_pages import PairPages
from bridge.lan.relay import BUFFER_BYTES, Relay
from bridge.lan.session import Session
from bridge.lan.terms import Terms
from bridge.load import Flow, levels
from bridge.log import Log
from bridge.metrics import Metrics
from bridge.pairing.admissions import Admissions
from bridge.pairing.ceremony_ledger import CeremonyLedger
from bridge.pairing.codes import CodeStore
from bridge.pairing.database import FILE_NAME as DATABASE_NAME
from bridge.pairing.enrolment import Enrolment
from bridge.pairing.issuing import Issuing
from bridge.pairing.reception import Reception
from bridge.pairing.records import NodeRecord, Security
from bridge.pairing.registrar import Registrar
from bridge.pairing.store import FILE_NAME as STORE_NAME
from bridge.pairing.store import open_store, start_empty
from bridge.pairing.tombstones import TombstoneStore, reconcile
from bridge.policy_file import PolicyInForce, load_policy
from bridge.tasks import Tasks
from bridge.upstream.idempotency_file import CallMemory
from bridge.upstream.operator_link import OperatorLink
from bridge.upstream.port_owner import PortOwner
from bridge.upstream.secret import SecretReader, SecretSource
from bridge.upstream.switchboard import Switchboard
from certs.context import app_server_context, node_server_context
from certs.errors import IdentityError
from certs.store import BridgeIdentity, KeyFolder

KEYS = "keys"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the daemon starts and stops.

    Attributes:
        names: what phones know the bridge by.
        certificates: its keys.
        keys: the keys folder.
        policy: what the hub decides by at first, and where it comes from.
        hub: store, desk, roster and links.
        door: who may open a socket.
        nodes: the port of native nodes.
        apps: the port of OpenClaw apps; None: `auth.require_mtls` keeps it closed.
        flow: what all sockets share, and the metrics of it.
    """

    names: DiscoveryNames
    certificates: Certificates
    keys: KeyFolder
    policy: PolicyInForce
    hub: Hub
    door: Door
    nodes: Listener
    apps: Listener | None
    flow: Flow

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """The ports that there are."""
        return (self.nodes,) if self.apps is None else (self.nodes, self.apps)


async def build(home: Path, config: Config, tasks: Tasks, log: Log, trail: Recorder) -> Parts:
    """Builds everything; `trail` is the audit log, open.

    Raises:
        ConfigError: a value makes no sense here.
        IdentityError, StoreError, PrivateFileError, OSError, ValueError: a file cannot be used; the message says which.
    """
    in_force = load_policy(home, config.pairing.default_profile, clock.now().wall)
    names = load_names(home, config.bridge.name)
    keys = KeyFolder(home / KEYS)
    store = open_store(home, was_used=any((home / KEYS).glob("node-*.pem")))
    try:
        certificates = _certificates(keys, names, store.nodes.values(), log, trail)
    except IdentityError as exc:
        if not store.nodes:
            raise
        # Keys that somebody relies on are not made anew, so whoever has no backup needs a way to let go of them.
        mend = f"{exc.mend}\nWith that, the paired nodes have to go as well:\n{start_empty(home / STORE_NAME)}"
        raise IdentityError(exc.what, exc.why, mend) from exc
    codes = CodeStore(home / DATABASE_NAME)
    tombstones = TombstoneStore(home / DATABASE_NAME)
    for returned in await reconcile(store, tombstones):
        log.warning("revoked-again", node=returned.node_id, why="the store is older than its revocation")
    registrar = Registrar(store, tombstones, keys, log, trail)
    reception = Reception(registrar, log, always_open=config.pairing.always_open)
    admissions = Admissions(registrar, reception, codes, log)
    flow = Flow(Pool(config.limits.in_flight_bytes))
    hub = Hub(
        reception,
        admissions,
        _switchboard(home, config, keys, flow.metrics, tasks, log),
        _calls(home, tasks, log),
        policy=in_force.policy,
        default_permissions=in_force.default,
        limits=config.limits,
        tasks=tasks,
        log=log,
        noted=flow.metrics.note,
    )
    now = clock.now()
    enrolment = Enrolment(
        reception,
        registrar,
        codes,
        CeremonyLedger(home / DATABASE_NAME, config.pairing.ceremonies_per_window, now.mono, now.wall),
        certificates=certificates,
        default=lambda: hub.default_permissions,
        name=config.bridge.name,
        tasks=tasks,
        log=log,
    )
    pages = PairPages(enrolment, Issuing(reception, certificates, log), log)
    door = _door(home, config, tasks, log)
    flow.metrics.watch(lambda: levels(hub, flow))
    nodes, apps = _listeners(hub, door, config, certificates, pages, flow, tasks, log)
    return Parts(names, certificates, keys, in_force, hub, door, nodes, apps, flow)


def _certificates(
    keys: KeyFolder, names: DiscoveryNames, nodes: Collection[NodeRecord], log: Log, trail: Recorder
) -> Certificates:
    if keys.note is not None:
        log.warning("keys-folder", note=keys.note)
    now = datetime.now(UTC)
    # What somebody relies on is never made anew: apps pin the identity, native nodes hold the authority's certificates.
    identity = keys.load() if nodes else keys.load_or_create(names.host, now=now)
    native = any(node.security is Security.MTLS and node.revoked_at is None for node in nodes)
    authority = keys.load_client_authority() if native else keys.client_authority(now=now)
    if identity.created:
        log.info("identity-created", pin=identity.pin)
    return Certificates(keys, identity, authority, names.host, log, trail)


def _switchboard(home: Path, config: Config, keys: KeyFolder, metrics: Metrics, tasks: Tasks, log: Log) -> Switchboard:
    owner = PortOwner(urlsplit(config.gateway.url).port or 80, _gateway_uid(home, config.gateway.user))
    secret = SecretSource(SecretReader(config.gateway, os.environ, Path.home()), owner.objection)
    operator = OperatorLink(config.gateway.url, secret, log)
    return Switchboard(
        operator,
        keys,
        secret=secret,
        tasks=tasks,
        log=log,
        places=config.limits.in_flight,
        settled=metrics.call,
        linger_s=config.gateway.linger_s,
    )


def _calls(home: Path, tasks: Tasks, log: Log) -> CallMemory:
    calls = CallMemory(home / DATABASE_NAME, tasks, log)
    calls.recall(clock.now())
    return calls


def _gateway_uid(home: Path, name: str | None) -> int:
    try:
        return os.geteuid() if name is None else pwd.getpwnam(name).pw_uid
    except KeyError:
        problem = ConfigProblem("gateway.user", f"{name!r} is no user of this machine", "Correct it, or take it out.")
        raise ConfigError(str(home / CONFIG_NAME), [problem]) from None


def _door(home: Path, config: Config, tasks: Tasks, log: Log) -> Door:
    limits = config.limits
    door = Door(
        limits.sockets_per_address,
        limits.sockets_unauthenticated,
        limits.handshakes_per_minute,
        limits.pairings_per_minute,
        on_link_networks(machine_addresses()),
    )
    known = KnownAddresses(home / DATABASE_NAME, tasks, log)
    door.recall(known.read(clock.now()))
    door.on_known(known.note)
    return door


def _listeners(
    hub: Hub,
    door: Door,
    config: Config,
    certificates: Certificates,
    pages: PairPages,
    flow: Flow,
    tasks: Tasks,
    log: Log,
) -> tuple[Listener, Listener | None]:
    limits = config.limits
    terms = Terms(limits.frame_max_bytes, BUFFER_BYTES, clock.now())

    async def serve(upgraded: Upgraded) -> None:
        """One socket of either port."""
        now = clock.now()
        challenge = Challenge(secrets.token_urlsafe(24), now.wall_ms)
        session = Session(hub, terms, secrets.token_hex(6), challenge, now, upgraded.certified)
        await Relay(upgraded, session, hub, tasks, log, flow.outflow, flow.metrics.note).run()

    def judge(certificate: bytes | None, address: str) -> Guest:
        """Asks the store at every request."""
        return guest_of(certificate, address, hub.record)

    def take(identity: BridgeIdentity) -> None:
        """New handshakes show the new identity, at both ports or at none."""
        for_nodes = node_server_context(identity, certificates.authority.certificate)
        for_apps = app_server_context(identity)
        nodes.use(for_nodes)
        if apps is not None:
            apps.use(for_apps)

    listener = partial(
        Listener,
        door=door,
        handler=serve,
        frame_max_bytes=limits.frame_max_bytes,
        pool=flow.pool,
        handshake=flow.metrics.handshake,
        tasks=tasks,
        log=log,
    )
    for_nodes = node_server_context(certificates.identity, certificates.authority.certificate)
    nodes = listener("nodes", for_nodes, node_port=NodePort(judge, pages.answer))
    apps = None
    if not config.auth.require_mtls:
        apps = listener("apps", app_server_context(certificates.identity))
    certificates.on_change(take)
    return nodes, apps
