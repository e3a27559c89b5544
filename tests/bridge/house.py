"""The bridge without its process: real store, codes, keys, app port and links, taken down at the end of a block."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

from acl.model import Policy
from acl.permissions import PROFILES, Permissions
from bridge import clock
from bridge.addresses import ListenAddress
from bridge.config import Config
from bridge.discovery import DiscoveryState, DiscoveryStatus
from bridge.hub import Hub
from bridge.lan.admission import Challenge
from bridge.lan.door import Door
from bridge.lan.listener import Listener, Upgraded
from bridge.lan.relay import Relay
from bridge.lan.session import Session
from bridge.lan.terms import Terms
from bridge.operations import BridgeOperations
from bridge.pairing.codes import CodeStore
from bridge.pairing.reception import Reception
from bridge.pairing.records import NodeRecord
from bridge.pairing.store import NodeStore
from certs.context import app_server_context
from gateway_client.identity import DeviceIdentity
from tests.bridge.lan.doors import door_of
from tests.bridge.lan.phones import PHONE, Phone
from tests.bridge.lan.rooms import Caller
from tests.bridge.lan.wire import peer
from tests.bridge.upstream.stage import Stage, staged

NOWHERE = "ws://127.0.0.1:9"  # nobody answers at the discard port
HOST_NAME = "clawdis-bridge-0a1b2c3d.local"


class House:
    """The parts of one bridge."""

    def __init__(self, stage: Stage, home: Path, door: Door | None = None) -> None:
        self.stage = stage
        self.home = home
        self.store = NodeStore(home)
        self.codes = CodeStore(home / "bridge.sqlite3")
        self.reception = Reception(self.store, self.codes, stage.keys, stage.log)
        self.hub = Hub(
            self.reception,
            stage.switchboard,
            policy=Policy(),
            default_permissions=PROFILES["voice+screen"],
            penalty_s=60.0,
            refusals_per_minute=20,
            tasks=stage.tasks,
            log=stage.log,
        )
        self.identity = stage.keys.load_or_create(HOST_NAME, now=datetime.now(UTC))
        self.discovery = DiscoveryStatus(DiscoveryState.ON)
        self.door = door or door_of(64, 64)
        self.apps = self._listener("apps")
        self.config = Config()
        self.started = clock.now()
        self.operations = BridgeOperations(
            self.hub,
            self.config,
            self.identity,
            listeners=[self._listener("nodes"), self.apps],
            discovery=lambda: self.discovery,
            app_host=HOST_NAME,
            started=self.started,
        )

    def _listener(self, name: str) -> Listener:
        return Listener(
            name,
            app_server_context(self.identity),
            self.door,
            self._serve,
            frame_max_bytes=26_214_400,
            tasks=self.stage.tasks,
            log=self.stage.log,
        )

    async def _serve(self, upgraded: Upgraded) -> None:
        now = clock.now()
        challenge = Challenge(secrets.token_urlsafe(24), now.wall_ms)
        terms = Terms(26_214_400, 52_428_800, 20, self.started)
        session = Session(self.hub, terms, secrets.token_hex(6), challenge, now)
        await Relay(upgraded, session, self.hub, self.stage.tasks, self.stage.log).run()

    async def pair(self, phone: Phone, permissions: Permissions = PHONE, **changes: object) -> NodeRecord:
        """Puts a phone into the store, with a key for the gateway."""
        name = phone.node_id[:16]
        identity = DeviceIdentity(self.stage.keys.create_ed25519(name))
        record = phone.record(permissions, upstream_key=name, gateway_node_id=identity.device_id, **changes)
        return await self.store.put(record)

    @asynccontextmanager
    async def call(self, phone: Phone) -> AsyncIterator[Caller]:
        """A WebSocket of a phone, for a block."""
        async with peer(self.apps.port) as wire:
            yield Caller(await wire.upgrade(), phone)


@asynccontextmanager
async def house(home: Path, url: str = NOWHERE, door: Door | None = None) -> AsyncIterator[House]:
    """Builds the bridge for a gateway at `url`."""
    async with staged(url, home) as stage:
        built = House(stage, home, door)
        await built.apps.start([ListenAddress(IPv4Address("127.0.0.1"))], 0)
        try:
            yield built
        finally:
            await built.apps.stop()
