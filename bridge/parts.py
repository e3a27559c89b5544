"""Builds the parts of a bridge from its files and its configuration; starts nothing."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from acl.model import Policy
from acl.permissions import PROFILES, Permissions
from bridge import clock
from bridge.addresses import machine_addresses, on_link_networks
from bridge.certificates import Certificates
from bridge.config import Config, ConfigError, ConfigProblem
from bridge.config_file import CONFIG_NAME
from bridge.discovery_names import load_names
from bridge.discovery_records import DiscoveryNames
from bridge.hub import Hub
from bridge.lan.admission import Challenge
from bridge.lan.door import Door
from bridge.lan.guest import Guest, guest_of
from bridge.lan.known_addresses import KnownAddresses
from bridge.lan.listener import Listener, NodePort, Upgraded
from bridge.lan.pair_pages import PairPages
from bridge.lan.relay import BUFFER_BYTES, Relay
from bridge.lan.session import Session
from bridge.lan.terms import Terms
from bridge.log import Log
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
from bridge.tasks import Tasks
from bridge.upstream.idempotency_file import CallMemory
from bridge.upstream.operator_link import OperatorLink
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
        hub: store, desk, roster and links.
        door: who may open a socket.
        nodes: the port of native nodes.
        apps: the port of OpenClaw apps; None: `auth.require_mtls` keeps it closed.
    """

    names: DiscoveryNames
    certificates: Certificates
    keys: KeyFolder
    hub: Hub
    door: Door
    nodes: Listener
    apps: Listener | None

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """The ports that there are."""
        return (self.nodes,) if self.apps is None else (self.nodes, self.apps)


async def build(home: Path, config: Config, tasks: Tasks, log: Log) -> Parts:
    """Builds everything.

    Raises:
        ConfigError: a value makes no sense here.
        IdentityError, StoreError, PrivateFileError, OSError, ValueError: a file cannot be used; the message says which.
    """
    default = _default_profile(home, config)
    names = load_names(home, config.bridge.name)
    keys = KeyFolder(home / KEYS)
    store = open_store(home, was_used=any((home / KEYS).glob("node-*.pem")))
    try:
        certificates = _certificates(keys, names, store.nodes.values(), log)
    except IdentityError as exc:
        if not store.nodes:
            raise
        # Keys that somebody relies on are not made anew, so whoever has no backup needs a way to let go of them.
        mend = f"{exc.mend}\nWith that, the paired nodes have to go as well:\n{start_empty(home / STORE_NAME)}"
        raise IdentityError(exc.what, exc.why, mend) from exc
    codes = CodeStore(home / DATABASE_NAME)
    tombstones = TombstoneStore(home / DATABASE_NAME)
    for returned in await reconcile(store, tombstones):
        log.warning("revoked-again", node=returned.node_id[:8], why="the store is older than its revocation")
    registrar = Registrar(store, tombstones, keys, log)
    reception = Reception(registrar, log, always_open=config.pairing.always_open)
    admissions = Admissions(registrar, reception, codes, log)
    hub = Hub(
        reception,
        admissions,
        _switchboard(config, keys, tasks, log),
        _calls(home, tasks, log),
        policy=Policy(),
        default_permissions=default,
        penalty_s=config.limits.penalty_s,
        refusals_per_minute=config.limits.refusals_per_minute,
        tasks=tasks,
        log=log,
    )
    now = clock.now()
    enrolment = Enrolment(
        reception,
        registrar,
        codes,
        CeremonyLedger(home / DATABASE_NAME, config.pairing.ceremonies_per_window, now.mono, now.wall),
        certificates=certificates,
        default=default,
        name=config.bridge.name,
        tasks=tasks,
        log=log,
    )
    pages = PairPages(enrolment, Issuing(reception, certificates, log), log)
    door = _door(home, config, tasks, log)
    nodes, apps = _listeners(hub, door, config, certificates, pages, tasks, log)
    return Parts(names, certificates, keys, hub, door, nodes, apps)


def _default_profile(home: Path, config: Config) -> Permissions:
    name = config.pairing.default_profile
    if name not in PROFILES:
        problem = ConfigProblem(
            "pairing.default_profile", f"{name!r} is no profile", f"There are: {', '.join(PROFILES)}."
        )
        raise ConfigError(str(home / CONFIG_NAME), [problem])
    return PROFILES[name]


def _certificates(keys: KeyFolder, names: DiscoveryNames, nodes: Collection[NodeRecord], log: Log) -> Certificates:
    if keys.note is not None:
        log.warning("keys-folder", note=keys.note)
    now = datetime.now(UTC)
    # What somebody relies on is never made anew: apps pin the identity, native nodes hold the authority's certificates.
    identity = keys.load() if nodes else keys.load_or_create(names.host, now=now)
    native = any(node.security is Security.MTLS and node.revoked_at is None for node in nodes)
    authority = keys.load_client_authority() if native else keys.client_authority(now=now)
    if identity.created:
        log.info("identity-created", pin=identity.pin)
    return Certificates(keys, identity, authority, names.host, log)


def _switchboard(config: Config, keys: KeyFolder, tasks: Tasks, log: Log) -> Switchboard:
    secret = SecretSource(SecretReader(config.gateway, os.environ, Path.home()))
    operator = OperatorLink(config.gateway.url, secret, log)
    return Switchboard(operator, keys, secret=secret, tasks=tasks, log=log, linger_s=config.gateway.linger_s)


def _calls(home: Path, tasks: Tasks, log: Log) -> CallMemory:
    calls = CallMemory(home / DATABASE_NAME, tasks, log)
    calls.recall(clock.now())
    return calls


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
    hub: Hub, door: Door, config: Config, certificates: Certificates, pages: PairPages, tasks: Tasks, log: Log
) -> tuple[Listener, Listener | None]:
    limits = config.limits
    terms = Terms(limits.frame_max_bytes, BUFFER_BYTES, limits.refusals_per_minute, clock.now())

    async def serve(upgraded: Upgraded) -> None:
        """One socket of either port."""
        now = clock.now()
        challenge = Challenge(secrets.token_urlsafe(24), now.wall_ms)
        session = Session(hub, terms, secrets.token_hex(6), challenge, now, upgraded.certified)
        await Relay(upgraded, session, hub, tasks, log).run()

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

    nodes = Listener(
        "nodes",
        node_server_context(certificates.identity, certificates.authority.certificate),
        door,
        serve,
        node_port=NodePort(judge, pages.answer),
        frame_max_bytes=limits.frame_max_bytes,
        tasks=tasks,
        log=log,
    )
    apps = None
    if not config.auth.require_mtls:
        context = app_server_context(certificates.identity)
        apps = Listener("apps", context, door, serve, frame_max_bytes=limits.frame_max_bytes, tasks=tasks, log=log)
    certificates.on_change(take)
    return nodes, apps
