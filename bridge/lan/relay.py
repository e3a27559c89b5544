"""Runs the commands of one session: sends, closes, timers, and calls to the rooms behind it. Decides nothing.

`post` takes an event and performs what follows from it at once, in order; only the peer's own messages wait, when the
peer does not read what it is sent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, assert_never

from aiohttp import WSMsgType

from bridge import clock
from bridge.lan.events import (
    Admit,
    Close,
    Command,
    FileRequest,
    Forward,
    Join,
    Lost,
    Note,
    Noted,
    NoteRevocationTold,
    Oversized,
    Penalise,
    Received,
    Redeem,
    Report,
    Send,
    SessionEvent,
    Timer,
)
from bridge.lan.inflow import Load, nothing
from bridge.lan.listener import Upgraded
from bridge.lan.outflow import Outflow
from bridge.lan.recall import Remember, Replay
from bridge.lan.session import Session
from bridge.log import Log, marks
from bridge.pairing.records import NodeRecord
from bridge.tasks import Tasks
from bridge.upstream.idempotency import Change
from gateway_client.frames import Frame, encode_frame

IOS_FRAME_BYTES = 16 * 1024 * 1024  # what the iOS app reads at most (mobile-clients §3.2)
BUFFER_BYTES = 50 * 1024 * 1024  # bytes that may wait for one peer: two of the largest frames, as at the gateway
RESUME_BYTES = 1024 * 1024  # a peer's next message is read when less than this waits for it
REMOVED = 4001  # WebSocket close code of a removed device (gateway-protocol §1.6)
REMOVED_S = 0.5  # seconds until the socket of a removed device is cut
CLOSE_S = 3.0  # seconds until any other socket is that was closed
_EACH = frozenset({"invoke"})  # what a person asked for is written each time; what a peer can do alone is coalesced
DRAIN_S = 5.0  # seconds for the last frames of a socket that is being closed


class Rooms(Protocol):
    """What lies behind a relay."""

    def file_request(self, relay: Relay, command: FileRequest) -> None:
        """Puts a pairing request on the desk."""

    def redeem(self, relay: Relay, command: Redeem) -> None:
        """Tries a setup code."""

    def admit(self, relay: Relay, command: Admit) -> None:
        """Writes down an admission."""

    def note_revocation_told(self, command: NoteRevocationTold) -> None:
        """Remembers that a key was told of its revocation."""

    def join(self, relay: Relay, command: Join) -> None:
        """The relay's peer is in."""

    def ending(self, relay: Relay) -> None:
        """The relay's session has ended; its socket may stay for as long as its peer does not read."""

    def leave(self, relay: Relay) -> None:
        """The relay's socket has ended."""

    def forward(self, relay: Relay, command: Forward) -> None:
        """Sends a request to the gateway."""

    def report(self, relay: Relay, command: Report | Replay) -> None:
        """Tells the gateway how an invoke ended."""

    def remember(self, changes: Sequence[Change]) -> None:
        """Writes down what the ledger of calls has changed."""

    def penalise(self, command: Penalise) -> None:
        """Keeps a key out for a while."""

    def line(self, who: str, event: str) -> int | None:
        """How many lines of the log were left out before this one, of that peer and event; None: leave it out."""


class Relay:
    """One socket; see the module's text.

    Args:
        upgraded: the WebSocket.
        session: decides.
        rooms: do.
        outflow: what waits for all peers together; None: for this one alone.
        noted: is told what the session notes, beside the log.
    """

    def __init__(
        self,
        upgraded: Upgraded,
        session: Session,
        rooms: Rooms,
        tasks: Tasks,
        log: Log,
        outflow: Outflow[Relay] | None = None,
        noted: Noted = lambda event, fields: None,
    ) -> None:
        self.address = upgraded.address
        self.visit = upgraded.visit
        self.session = session
        self._upgraded = upgraded
        self._rooms = rooms
        self._tasks = tasks
        self._log = log.bind(address=upgraded.address, connection=session.connection_id)
        self._outbox: deque[bytes | Close] = deque()
        self._waiting_bytes = 0
        self._outflow = outflow if outflow is not None else Outflow[Relay]()
        self._load: Load | None = None
        self._noted = noted
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self.frame_limit = BUFFER_BYTES
        self.admitted: NodeRecord | None = None

    @property
    def node_id(self) -> str | None:
        """The proven key's id, or None before the proof."""
        return self.session.node_id

    async def run(self) -> None:
        """Serves the socket until it ends."""
        writer = self._tasks.spawn("writer", self._write())
        self._perform(self.session.start())
        try:
            async for message in self._upgraded.socket:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    break
                self._receive(message.data)
                await self._room.wait()
                pause_s = self.session.pause(clock.now())
                if pause_s > 0.0:
                    await asyncio.sleep(pause_s)
        finally:
            self.post(Lost())
            self._outflow.forget(self)
            if self.admitted is not None:
                self._note(Note("left"))
            self._rooms.leave(self)
            self._stop_timer()
            self._closing = True
            self._changed.set()
            await asyncio.wait({writer}, timeout=DRAIN_S)
            writer.cancel()

    def _receive(self, data: bytes) -> None:
        self._load = self._upgraded.inflow.load(len(data))
        put_down = self._load.carry()
        try:
            self.post(Received(data))
        finally:
            self._load = None
            put_down()

    def carry(self) -> Callable[[], None]:
        """Keeps the bytes of the message at hand in the budget until what is returned is called."""
        return self._load.carry() if self._load is not None else nothing

    def post(self, event: SessionEvent) -> None:
        """Gives the session an event and performs what it asks for."""
        self._perform(self.session.handle(event, clock.now()))

    def _perform(self, commands: list[Command]) -> None:
        for command in commands:
            self._do(command)
        self._arm()

    def _do(self, command: Command) -> None:
        match command:
            case Send(frame=frame):
                self._send(frame)
            case Close():
                self._close(command)
            case FileRequest():
                self._rooms.file_request(self, command)
            case Redeem():
                self._rooms.redeem(self, command)
            case Admit():
                self._rooms.admit(self, command)
            case NoteRevocationTold():
                self._rooms.note_revocation_told(command)
            case Join():
                self._upgraded.promote()
                self._upgraded.inflow.belongs_to(command.record.node_id)
                self.admitted = command.record
                self._log = self._log.bind(node=command.record.node_id, role=command.role.value)
                self._note(Note("joined"))
                self._rooms.join(self, command)
            case Forward():
                self._rooms.forward(self, command)
            case Report() | Replay():
                self._rooms.report(self, command)
            case Remember(changes=changes):
                self._rooms.remember(changes)
            case Penalise():
                self._rooms.penalise(command)
            case Note():
                self._note(command)
                self._noted(command.event, command.fields)
            case _:
                assert_never(command)

    def _note(self, note: Note) -> None:
        repeats = 0 if note.quiet or note.event in _EACH else self._rooms.line(self.node_id or self.address, note.event)
        fields = note.fields if self.node_id is None else {"node": self.node_id, **note.fields}
        (self._log.debug if note.quiet else self._log.info)(note.event, **fields, **marks(repeats))

    def _send(self, frame: Frame) -> None:
        if self._closing:
            return
        data = encode_frame(frame)
        if len(data) > self.frame_limit:
            self.post(Oversized(frame, len(data)))
            return
        self._waiting_bytes += len(data)
        slowest = self._outflow.add(self, len(data))
        if self._waiting_bytes > self.session.terms.buffer_max_bytes:
            self.cut_slow()
            return
        if slowest is not None:
            slowest.cut_slow()
        self._enqueue(data)
        if self._waiting_bytes > RESUME_BYTES:
            self._room.clear()

    def cut_slow(self) -> None:
        """Ends the socket at once, and drops what waits for it: its peer does not read."""
        self._log.warning("slow-peer", waiting=self._waiting_bytes)
        self._outbox.clear()
        self._outflow.forget(self)
        self._closing = True
        self._changed.set()
        self._upgraded.abort()

    def _close(self, close: Close) -> None:
        if close.code == REMOVED:
            self._outbox.clear()  # a removed device gets nothing more
        self._enqueue(close)
        self._rooms.ending(self)
        # A peer that does not read would hold its socket, and what waits for it, for as long as it likes.
        patience = REMOVED_S if close.code == REMOVED else CLOSE_S
        asyncio.get_running_loop().call_later(patience, self._upgraded.abort)

    def _enqueue(self, item: bytes | Close) -> None:
        if not self._closing:
            self._outbox.append(item)
            self._closing = isinstance(item, Close)
            self._changed.set()

    async def _write(self) -> None:
        socket = self._upgraded.socket
        try:
            while True:
                while self._outbox:
                    item = self._outbox.popleft()
                    if isinstance(item, Close):
                        await socket.close(code=item.code, message=item.reason.encode("utf-8"))
                        return
                    await socket.send_frame(item, WSMsgType.TEXT)
                    self._waiting_bytes -= len(item)
                    self._outflow.sent(self, len(item))
                    if self._waiting_bytes <= RESUME_BYTES:
                        self._room.set()
                if self._closing:
                    return
                self._changed.clear()
                await self._changed.wait()
        except ConnectionError:
            self._upgraded.abort()
        finally:
            self._room.set()

    def _arm(self) -> None:
        self._stop_timer()
        due = self.session.next_deadline()
        if due is not None:
            self._timer = asyncio.get_running_loop().call_at(due, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self.post(Timer())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
