"""A reception over real files, and sockets that only remember what they were told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from acl.permissions import PROFILES, Permissions
from bridge.lan.events import Admitted, Filed, SessionEvent
from bridge.log import silent_log
from bridge.pairing.admissions import Admissions
from bridge.pairing.codes import CodeStore
from bridge.pairing.desk import PairingRequest
from bridge.pairing.reception import Reception
from bridge.pairing.records import NodeRecord
from bridge.pairing.registrar import Registrar
from bridge.pairing.setup_code import SetupCode
from bridge.pairing.store import NodeStore
from bridge.pairing.tombstones import TombstoneStore
from certs.store import KeyFolder
from tests.bridge.audit.remembered import Remembered
from tests.bridge.pairing.samples import draft, identity

Told = TypeVar("Told", bound=SessionEvent)


@dataclass(eq=False)
class Socket:
    """A socket that waits at the reception."""

    address: str = "192.168.1.7"
    told: list[SessionEvent] = field(default_factory=list)

    def post(self, event: SessionEvent) -> None:
        """Remember what the reception said."""
        self.told.append(event)

    def only(self, kind: type[Told]) -> Told:
        """Return the one thing that was said, of this kind."""
        assert len(self.told) == 1, self.told
        assert isinstance(self.told[0], kind), self.told
        return self.told[0]


class Front:
    """The reception of one bridge folder, with the verbs of the tests."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700, exist_ok=True)
        self.home = home
        self.reception = self.started()

    def started(self) -> Reception:
        """Return a reception as the daemon makes it at its start; `registrar` and `admissions` are made with it."""
        database, log = self.home / "bridge.sqlite3", silent_log()
        self.tombstones = TombstoneStore(database)
        self.trail = Remembered()
        self.registrar = Registrar(
            NodeStore(self.home), self.tombstones, KeyFolder(self.home / "keys"), log, self.trail
        )
        reception = Reception(self.registrar, log)
        self.admissions = Admissions(self.registrar, reception, CodeStore(database), log)
        return reception

    def stored(self, number: int = 0) -> NodeRecord:
        """Return what is on disk of phone `number`."""
        return NodeStore(self.home).nodes[identity(number).device_id]

    def filed(self, number: int = 0, socket: Socket | None = None) -> PairingRequest:
        """File the request of phone `number` and return it."""
        socket = socket or Socket(f"192.168.2.{number}")
        self.reception.file(socket, draft(number))
        request = self.reception.desk.get(socket.only(Filed).request_id)
        assert request is not None
        return request

    async def paired(self, number: int = 0, permissions: Permissions | None = None) -> NodeRecord:
        """Pair phone `number` by a person's approval."""
        return await self.reception.approve(self.filed(number), permissions, None)

    def code(self, name: str = "c1", permissions: Permissions = PROFILES["phone"]) -> str:
        """Make a setup code and return its token."""
        now = datetime.now(UTC)
        url, end = "wss://mac.local:18794", now + timedelta(minutes=5)
        made = SetupCode(name, f"token-of-{name}", url, "ab" * 32, permissions, end)
        self.admissions.codes.add(made, now)
        return made.token


def admitted(socket: Socket) -> Admitted:
    """Return the admission that a socket was told of, and nothing else."""
    return socket.only(Admitted)
