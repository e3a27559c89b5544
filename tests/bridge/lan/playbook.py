"""Conversations with a session as one expression: what it is told, what it asks for. No loop, no socket.

    play(IPHONE).receives(IPHONE.connect()).does(FileRequest(draft)).gets(Filed("r1")).after(25).ends(1008)

Every frame that the session sends is held against the official schema while it is installed.
"""

from __future__ import annotations

import difflib
import pprint
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

import orjson

from acl.model import Policy
from acl.permissions import PROFILES, Permissions
from acl.refusals import RefusalMeter
from bridge.config import LimitsTable
from bridge.lan.admission import Challenge
from bridge.lan.allowance import Allowance
from bridge.lan.events import (
    Admitted,
    Close,
    Command,
    Forward,
    FromGateway,
    Instant,
    Join,
    Note,
    Received,
    Report,
    Send,
    SessionEvent,
    Timer,
)
from bridge.lan.recall import Remember, Replay
from bridge.lan.screen_page import ScreenPage, ScreenPages
from bridge.lan.session import Session
from bridge.lan.terms import Terms
from bridge.pairing.records import NodeRecord
from bridge.upstream.idempotency import Change, Ledger
from gateway_client.frames import ErrorShape, Event, JsonObject, Response, encode_frame
from tests.bridge.lan.phones import CHALLENGE, NODE_TOKEN, OPERATOR_TOKEN, PHONE, WALL, Json, Phone
from tests.gateway import install
from tests.support.schema import validate_frame

START = Instant(1000.0, WALL)
# No time passes in a conversation unless it says so: what is not about rates meets none.
WIDE = LimitsTable(
    calls_per_second=10_000, calls_burst=100_000, events_per_minute=100_000, voice_per_minute=100_000,
    agent_per_minute=100_000, invokes_per_second=10_000, invokes_burst=100_000, snapshots_per_minute=100_000,
)  # fmt: skip
TERMS = Terms(26_214_400, 52_428_800, Instant(400.0, WALL))


@dataclass
class Book:
    """What a session may look up: a `Directory` in memory."""

    records: dict[str, NodeRecord] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    default_permissions: Permissions = PROFILES["voice+screen"]
    window_opened: datetime | None = None
    gateway_hello: JsonObject = field(default_factory=dict)
    penalties: dict[str, float] = field(default_factory=dict)
    meters: dict[str, RefusalMeter] = field(default_factory=dict)
    screens: ScreenPages = field(default_factory=ScreenPages)
    limits: LimitsTable = WIDE
    allowances: dict[str, Allowance] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)

    def record(self, node_id: str) -> NodeRecord | None:
        return self.records.get(node_id)

    def lan_ids(self) -> Mapping[str, str]:
        return {record.gateway_node_id: record.node_id for record in self.records.values()}

    def allowance(self, node_id: str) -> Allowance:
        return self.allowances.setdefault(node_id, Allowance(self.limits, self.meters.get(node_id)))

    def screen(self, node_id: str) -> ScreenPage:
        return self.screens.of(node_id)

    def penalty_left(self, node_id: str, now: float) -> float:
        return max(0.0, self.penalties.get(node_id, now) - now)


def book(*records: NodeRecord, **changes: Any) -> Book:
    """Returns a directory with these records."""
    return Book({record.node_id: record for record in records}, **changes)


def frame_of(command: Command) -> Json | None:
    """Returns the wire form of what a command sends, or None."""
    return dict(orjson.loads(encode_frame(command.frame))) if isinstance(command, Send) else None


class Talk:
    """A session and everything it has done so far."""

    def __init__(self, session: Session, now: Instant = START) -> None:
        self.session = session
        self.now = now
        self.notes: list[Note] = []
        self.remembered: list[Change] = []
        """What had to be written down."""
        self.did: list[Command] = []
        """What the last thing that happened led to, without notes and what had to be written down."""
        self.closed: Close | None = None
        self._methods: dict[str, str] = {}
        self._take(session.start())

    def named(self, **methods: str) -> Self:
        """Tells the methods of requests that are sent as bytes, by their ids."""
        self._methods |= methods
        return self

    # What happens.

    def receives(self, frame: Json | bytes) -> Self:
        """The peer sends a frame."""
        if isinstance(frame, dict) and "id" in frame and "method" in frame:
            self._methods[str(frame["id"])] = str(frame["method"])
        return self.gets(Received(frame if isinstance(frame, bytes) else orjson.dumps(frame)))

    def asks(self, method: str, params: Any = None, request_id: str = "r1") -> Self:
        """The peer sends a request."""
        frame: Json = {"type": "req", "id": request_id, "method": method}
        return self.receives(frame if params is None else {**frame, "params": params})

    def gets(self, event: SessionEvent) -> Self:
        """Something happens to the session."""
        return self._take(self.session.handle(event, self.now))

    def gateway_says(self, event: str, payload: Any = None, seq: int | None = None) -> Self:
        """The gateway sends an event."""
        return self.gets(FromGateway(Event(event, payload, seq)))

    def after(self, seconds: float) -> Self:
        """Time passes; the timer goes off if it is due."""
        self.now = Instant(self.now.mono + seconds, self.now.wall + timedelta(seconds=seconds))
        due = self.session.next_deadline()
        return self.gets(Timer()) if due is not None and due <= self.now.mono else self._take([])

    def _take(self, commands: list[Command]) -> Self:
        assert self.closed is None or not commands, f"after {self.closed}: {commands}"
        self.did = [command for command in commands if not isinstance(command, Note | Remember)]
        for command in commands:
            self.remembered += command.changes if isinstance(command, Remember) else ()
        self.notes += [command for command in commands if isinstance(command, Note)]
        for command in commands:
            assert self.closed is None, f"{command} after {self.closed}"
            if isinstance(command, Close):
                self.closed = command
            self._hold_against_schema(command)
        return self

    def _hold_against_schema(self, command: Command) -> None:
        frame = frame_of(command)
        if frame is not None and install.installed() is not None:
            newer = frame.get("event") == "agent"  # carries the session's key since 2026.9.6
            validate_frame(frame, method=self._methods.get(str(frame.get("id"))), strict=not newer)

    # What is expected.

    def does(self, *expected: Command) -> Self:
        """Exactly this came of it, in this order; notes are left out."""
        assert self.did == list(expected), _difference(list(expected), self.did)
        return self

    def sends(self, *expected: Json) -> Self:
        """Exactly these frames came of it, and nothing else but a close."""
        seen = [frame_of(command) or command for command in self.did if not isinstance(command, Close)]
        assert seen == list(expected), _difference(list(expected), seen)
        return self

    def ends(self, code: int, reason: str | None = None) -> Self:
        """The session closed its socket."""
        assert self.closed is not None, "still open"
        assert self.closed.code == code, self.closed
        assert reason is None or self.closed.reason == reason, self.closed
        return self

    @property
    def sent(self) -> list[Json]:
        """The frames that the last thing led to."""
        return [frame for frame in map(frame_of, self.did) if frame is not None]

    @property
    def error(self) -> Json:
        """The error of the one failing answer that the last thing led to."""
        (frame,) = self.sent
        assert frame["ok"] is False, frame
        return dict(frame["error"])

    @property
    def details(self) -> Json:
        """The error's details."""
        return dict(self.error["details"])

    @property
    def payload(self) -> Any:
        """The payload of the one good answer, or of the one event, that the last thing led to."""
        (frame,) = self.sent
        assert frame.get("ok", True) is True, frame
        return frame.get("payload")

    @property
    def forward(self) -> Forward:
        """The one request that the last thing sent to the gateway."""
        (forward,) = [command for command in self.did if isinstance(command, Forward)]
        return forward

    @property
    def reports(self) -> list[Report]:
        """What the last thing told the gateway of invokes."""
        return [command for command in self.did if isinstance(command, Report)]

    @property
    def replays(self) -> list[Replay]:
        """Which results the last thing gave the gateway again."""
        return [command for command in self.did if isinstance(command, Replay)]

    @property
    def join(self) -> Join:
        """How the last thing let the peer in."""
        (join,) = [command for command in self.did if isinstance(command, Join)]
        return join


def _difference(expected: list[Any], seen: list[Any]) -> str:
    left, right = (pprint.pformat(side, width=110).splitlines() for side in (expected, seen))
    return "\n" + "\n".join(difflib.unified_diff(left, right, "expected", "seen", lineterm="", n=8))


def play(directory: Book | None = None, challenge: Challenge = CHALLENGE, terms: Terms = TERMS) -> Talk:
    """Begins a conversation with a session of its own."""
    return Talk(Session(directory or book(), terms, "conn-1", challenge, START))


def node_in(
    phone: Phone, permissions: Permissions = PHONE, *others: NodeRecord, terms: Terms = TERMS, **changes: Any
) -> Talk:
    """Returns a conversation in which the phone's node socket is in."""
    record = phone.record(permissions)
    talk = play(book(record, *others, **changes), terms=terms)
    talk.receives(phone.connect(auth={"deviceToken": NODE_TOKEN})).gets(Admitted(record))
    assert talk.session.phase == "open", talk.did
    return talk


def operator_in(
    phone: Phone,
    permissions: Permissions = PHONE,
    *,
    scopes: tuple[str, ...] = ("operator.read", "operator.write", "operator.talk.secrets"),
    terms: Terms = TERMS,
    **changes: Any,
) -> Talk:
    """Returns a conversation in which the phone's operator socket is in."""
    record = phone.record(permissions)
    talk = play(book(record, **changes), terms=terms)
    talk.receives(phone.connect("operator", {"token": OPERATOR_TOKEN}, scopes)).gets(Admitted(record))
    assert talk.session.phase == "open", talk.did
    return talk


# Frames and answers as values.


def req(method: str, params: Any = None, request_id: str = "r1") -> Json:
    """Returns a request frame."""
    frame: Json = {"type": "req", "id": request_id, "method": method}
    return frame if params is None else {**frame, "params": params}


def ok(payload: Any = None, request_id: str = "r1") -> Json:
    """Returns a good answer's frame."""
    frame: Json = {"type": "res", "id": request_id, "ok": True}
    return frame if payload is None else {**frame, "payload": payload}


def event(name: str, payload: Any) -> Json:
    """Returns an event's frame."""
    return {"type": "event", "event": name, "payload": payload}


def good(payload: Any = None) -> Response:
    """Returns what the gateway answers when all is well; its id is the link's own."""
    return Response("upstream", True, payload)


def bad(code: str, message: str = "no", details: Any = None) -> Response:
    """Returns a failing answer of the gateway."""
    return Response("upstream", False, error=ErrorShape(code, message, details))
