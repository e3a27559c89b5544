"""A relay over real TLS with nothing behind it: rooms that write down what is asked of them and answer as told."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson

from bridge import clock
from bridge.lan.admission import Challenge
from bridge.lan.coalesced import Coalesced
from bridge.lan.events import (
    Admit,
    Admitted,
    Command,
    FileRequest,
    Forward,
    Instant,
    Join,
    NoteRevocationTold,
    Penalise,
    Redeem,
    Report,
)
from bridge.lan.listener import Deadlines, Upgraded
from bridge.lan.outflow import Outflow
from bridge.lan.recall import Remember, Replay
from bridge.lan.relay import Relay
from bridge.lan.session import Session
from bridge.lan.terms import Terms
from bridge.log import make_log
from bridge.tasks import Tasks
from bridge.upstream.idempotency import Change
from tests.bridge.lan.conftest import Serve
from tests.bridge.lan.phones import NODE_TOKEN, OPERATOR_TOKEN, Json, Phone
from tests.bridge.lan.playbook import Book
from tests.bridge.lan.wire import BINARY, Peer, peer
from tests.support.waiting import eventually

TERMS = Terms(26_214_400, 52_428_800, Instant(0.0, datetime.now(UTC)))


class Rooms:
    """What lies behind the relays of one test."""

    def __init__(self, book: Book, terms: Terms = TERMS, *, opened_s_ago: float = 0.0) -> None:
        self.book = book
        self.terms = terms
        self.relays: list[Relay] = []
        self.asked: list[Command] = []
        self.left: list[Relay] = []
        self.carried: list[Callable[[], None]] = []
        self.log = io.StringIO()
        self.lines = Coalesced()
        self.admitting = True
        self.outflow: Outflow[Relay] | None = None
        self.on_join: Callable[[Relay], None] = lambda relay: None
        self._opened_s_ago = opened_s_ago

    async def serve(self, upgraded: Upgraded) -> None:
        """Runs one phone."""
        now = clock.now()
        opened = Instant(now.mono - self._opened_s_ago, now.wall)
        challenge = Challenge(f"nonce-{len(self.relays)}", now.wall_ms)
        session = Session(self.book, self.terms, f"conn-{len(self.relays)}", challenge, opened)
        async with Tasks(make_log("debug", "json", self.log)) as tasks:
            relay = Relay(upgraded, session, self, tasks, make_log("debug", "json", self.log), self.outflow)
            self.relays.append(relay)
            await relay.run()

    def of(self, kind: type[Command]) -> list[Any]:
        """What was asked of one kind."""
        return [command for command in self.asked if isinstance(command, kind)]

    def admit(self, relay: Relay, command: Admit) -> None:
        self.asked.append(command)
        record = self.book.record(command.node_id)
        if self.admitting and record is not None:
            relay.post(Admitted(record))

    def join(self, relay: Relay, command: Join) -> None:
        self.asked.append(command)
        self.on_join(relay)

    def ending(self, relay: Relay) -> None:
        pass

    def leave(self, relay: Relay) -> None:
        self.left.append(relay)

    def file_request(self, relay: Relay, command: FileRequest) -> None:
        self.asked.append(command)

    def redeem(self, relay: Relay, command: Redeem) -> None:
        self.asked.append(command)

    def forward(self, relay: Relay, command: Forward) -> None:
        self.asked.append(command)
        self.carried.append(relay.carry())

    def report(self, relay: Relay, command: Report | Replay) -> None:
        self.asked.append(command)

    def remember(self, changes: Sequence[Change]) -> None:
        self.asked.append(Remember(changes))

    def note_revocation_told(self, command: NoteRevocationTold) -> None:
        self.asked.append(command)

    def penalise(self, command: Penalise) -> None:
        self.asked.append(command)

    def line(self, who: str, event: str) -> int | None:
        return self.lines.line(who, event, clock.now().mono)


class Caller:
    """A phone at the other end of a wire."""

    def __init__(self, wire: Peer, phone: Phone) -> None:
        self.wire = wire
        self.phone = phone

    async def read(self) -> Json:
        """Returns the next frame of the bridge, which is always text."""
        frame = await self.wire.frame()
        assert frame.opcode == 1, frame
        return dict(orjson.loads(frame.payload))

    async def send(self, frame: Json) -> None:
        """Sends a frame as the iPhone does, in binary."""
        await self.wire.send(orjson.dumps(frame), BINARY)

    async def asks(self, method: str, params: Any = None, request_id: str = "r1") -> None:
        """Sends a request."""
        await self.send({"type": "req", "id": request_id, "method": method, "params": params})

    async def connects(self, auth: Json | None = None, role: str = "node", scopes: Sequence[str] = ()) -> None:
        """Answers the challenge."""
        challenge = await self.read()
        assert challenge["event"] == "connect.challenge"
        nonce, ts = challenge["payload"]["nonce"], challenge["payload"]["ts"]
        await self.send(self.phone.connect(role, auth, scopes, Challenge(nonce, ts)))

    async def gets_in(self, role: str = "node") -> Json:
        """Connects with its token; returns hello-ok."""
        token = NODE_TOKEN if role == "node" else OPERATOR_TOKEN
        await self.connects({"token": token}, role, [] if role == "node" else ["operator.read", "operator.write"])
        hello = await self.read()
        assert hello["ok"] is True, hello
        return dict(hello["payload"])

    async def ended(self) -> tuple[int, str]:
        """Reads up to the close frame; returns its code and reason."""
        while (frame := await self.wire.frame()).opcode != 8:
            pass
        return frame.close


@asynccontextmanager
async def call(serve: Serve, rooms: Rooms, phone: Phone, deadlines: Deadlines | None = None) -> AsyncIterator[Caller]:
    """A phone's WebSocket to a bridge that is nothing but these rooms, for a block."""
    async with serve(rooms.serve, deadlines=deadlines, frame_max_bytes=rooms.terms.frame_max_bytes) as listener:
        async with peer(listener.port) as wire:
            await wire.upgrade()
            yield Caller(wire, phone)
        await eventually(lambda: len(rooms.left) == len(rooms.relays))
