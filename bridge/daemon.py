"""The daemon: builds the parts, starts them in order, stops them in reverse."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from acl.model import Policy
from acl.permissions import Permissions, profile
from bridge import clock
from bridge.addresses import ListenAddress, machine_addresses, on_link_networks, select_addresses
from bridge.config import Config
from bridge.control.api import ControlServer
from bridge.daemon_lock import AlreadyRunningError, daemon_lock
from bridge.discovery import Advertiser, DiscoveryState, DiscoveryStatus
from bridge.discovery_names import load_names
from bridge.discovery_records import DiscoveryNames, ServiceRecord, build_records
from bridge.errors import BridgeError
from bridge.hub import Hub
from bridge.lan.admission import Challenge
from bridge.lan.door import Door
from bridge.lan.listener import Listener, Upgraded
from bridge.lan.relay import BUFFER_BYTES, Relay
from bridge.lan.session import Session
from bridge.lan.terms import Terms
from bridge.log import Log, make_log
from bridge.operations import BridgeOperations
from bridge.pairing.codes import CodeStore
from bridge.pairing.database import FILE_NAME as DATABASE_NAME
from bridge.pairing.reception import Reception
from bridge.pairing.store import NodeStore, StoreError
from bridge.tasks import Tasks
from bridge.upstream.operator_link import OperatorLink
from bridge.upstream.secret import SecretReader, SecretSource
from bridge.upstream.switchboard import Switchboard
from certs.context import app_server_context, node_server_context
from certs.errors import IdentityError
from certs.private_files import PrivateFileError, private_folder
from certs.store import BridgeIdentity, KeyFolder

EXPIRE_EVERY_S = 5.0  # seconds between looks for requests whose clients have gone
SWEEP_EVERY_S = 30.0  # seconds between tries to remove from the gateway what could not be removed before
GOODBYE_S = 1.0  # seconds for the last frames to reach the phones
DATABASE = "bridge.sqlite3"
CONTROL_SOCKET = "bridge.sock"
KEYS = "keys"
_REFUSALS = (AlreadyRunningError, BridgeError, StoreError, IdentityError, PrivateFileError, OSError, ValueError)


def run(home: Path, config: Config) -> int:
    """Runs the daemon until SIGTERM or SIGINT; returns the exit status.

    Args:
        home: the bridge's folder; made when it is missing.
        config: the configuration.
    """
    log = make_log(config.logging.level, config.logging.format)
    try:
        private_folder(home)
        with daemon_lock(home):
            uvloop.run(Daemon(home, config, log).serve())
    except _REFUSALS as exc:
        sys.stderr.write(f"clawdis-bridge: {exc}\n")
        return 1
    return 0


class Daemon:
    """One run of the bridge.

    Args:
        home: the bridge's folder, private and locked.
        config: the configuration.
    """

    def __init__(self, home: Path, config: Config, log: Log) -> None:
        self._home = home
        self._config = config
        self._log = log
        self._advertiser: Advertiser | None = None
        self._stop: asyncio.Event

    async def serve(self) -> None:
        """Starts everything, waits for a signal, stops everything.

        Raises:
            IdentityError, StoreError, PrivateFileError, OSError, ValueError: it cannot start; the message says why.
        """
        self._stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        async with AsyncExitStack() as stack:
            tasks = await stack.enter_async_context(Tasks(self._log))
            await self._start(stack, tasks)
            await self._stop.wait()
            self._log.info("stopping")

    async def _start(self, stack: AsyncExitStack, tasks: Tasks) -> None:
        default = profile(self._config.pairing.default_profile)
        names = load_names(self._home, self._config.bridge.name)
        store = NodeStore(self._home)
        keys = KeyFolder(self._home / KEYS)
        identity = self._identity(keys, names, paired=bool(store.nodes))
        hub = self._make_hub(store, keys, default, tasks)
        addresses = select_addresses(self._config.listen.hosts, machine_addresses(), self._config.listen.allow_public)
        listeners = self._make_listeners(hub, identity, tasks)
        for listener, port in zip(
            listeners, (self._config.listen.node_port, self._config.listen.app_port), strict=True
        ):
            await listener.start(addresses, port)
            stack.push_async_callback(listener.stop)
            self._log.info("listening", listener=listener.name, addresses=listener.addresses, port=listener.port)
        stack.push_async_callback(_goodbye, hub)
        operations = BridgeOperations(
            hub,
            self._config,
            identity,
            listeners=listeners,
            discovery=self._discovery,
            app_host=names.host,
            started=clock.now(),
        )
        await stack.enter_async_context(ControlServer(self._home / CONTROL_SOCKET, operations))
        tasks.spawn("operator-link", hub.switchboard.operator.run())
        tasks.spawn("expire-requests", _expire(hub.reception))
        tasks.spawn("watch-withheld", hub.switchboard.watch_withheld())
        tasks.spawn("sweep-stale", _sweep(hub))
        if self._config.discovery.enabled:
            records = build_records(names, identity.pin, app_port=listeners[1].port, node_port=None)
            tasks.spawn("advertiser", self._advertise(records, addresses))

    def _identity(self, keys: KeyFolder, names: DiscoveryNames, *, paired: bool) -> BridgeIdentity:
        if keys.note is not None:
            self._log.warning("keys-folder", note=keys.note)
        identity = keys.load() if paired else keys.load_or_create(names.host, now=datetime.now(UTC))
        if identity.created:
            self._log.info("identity-created", pin=identity.pin)
        return identity

    def _make_hub(self, store: NodeStore, keys: KeyFolder, default: Permissions, tasks: Tasks) -> Hub:
        gateway = self._config.gateway
        secret = SecretSource(SecretReader(gateway, os.environ, Path.home()))
        operator = OperatorLink(gateway.url, secret, self._log)
        switchboard = Switchboard(operator, keys, secret=secret, tasks=tasks, log=self._log)
        reception = Reception(store, CodeStore(self._home / DATABASE_NAME), keys, self._log)
        return Hub(
            reception,
            switchboard,
            policy=Policy(),
            default_permissions=default,
            penalty_s=self._config.limits.penalty_s,
            refusals_per_minute=self._config.limits.refusals_per_minute,
            tasks=tasks,
            log=self._log,
        )

    def _make_listeners(self, hub: Hub, identity: BridgeIdentity, tasks: Tasks) -> tuple[Listener, Listener]:
        limits = self._config.limits
        terms = Terms(limits.frame_max_bytes, BUFFER_BYTES, limits.refusals_per_minute, clock.now())
        door = Door(
            limits.sockets_per_address,
            limits.sockets_unauthenticated,
            limits.handshakes_per_minute,
            limits.pairings_per_minute,
            on_link_networks(machine_addresses()),
        )

        async def serve_app(upgraded: Upgraded) -> None:
            now = clock.now()
            challenge = Challenge(secrets.token_urlsafe(24), now.wall_ms)
            session = Session(hub, terms, secrets.token_hex(6), challenge, now)
            await Relay(upgraded, session, hub, tasks, self._log).run()

        nodes = Listener(
            "nodes",
            node_server_context(identity),
            door,
            None,
            frame_max_bytes=limits.frame_max_bytes,
            tasks=tasks,
            log=self._log,
        )
        apps = Listener(
            "apps",
            app_server_context(identity),
            door,
            serve_app,
            frame_max_bytes=limits.frame_max_bytes,
            tasks=tasks,
            log=self._log,
        )
        return nodes, apps

    def _discovery(self) -> DiscoveryStatus:
        if self._advertiser is not None:
            return self._advertiser.status
        why = None if self._config.discovery.enabled else "switched off (discovery.enabled)"
        return DiscoveryStatus(DiscoveryState.OFF, why)

    async def _advertise(self, records: Sequence[ServiceRecord], addresses: Sequence[ListenAddress]) -> None:
        self._advertiser = Advertiser(records, addresses)
        async with self._advertiser as advertiser:
            self._log.info("discovery", state=advertiser.state.value, detail=advertiser.status.detail)
            await asyncio.Event().wait()


async def _expire(reception: Reception) -> None:
    while True:
        await asyncio.sleep(EXPIRE_EVERY_S)
        reception.expire()


async def _sweep(hub: Hub) -> None:
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        hub.sweep_stale()


async def _goodbye(hub: Hub) -> None:
    hub.end_all("bridge stopping")
    with suppress(TimeoutError):
        async with asyncio.timeout(GOODBYE_S):
            await hub.empty.wait()
