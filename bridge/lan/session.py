"""Pure: one peer of the LAN, from the challenge to the close.

Driven by `SessionEvent`s and a clock; answers with `Command`s in the order in which they have to happen. It performs no
I/O and never raises for anything a peer sends. What a peer may do once it is in lives in `node_traffic` and
`operator_traffic`, and what it may use up in `intake`; this module decides who gets in and keeps the socket alive.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from bridge.lan import admission, answers, refusal
from bridge.lan.admission import AskPerson, Challenge, Enter, TellRevoked, TryCode
from bridge.lan.connect import Connect
from bridge.lan.directory import Directory
from bridge.lan.entry import enter
from bridge.lan.events import (
    AdmissionFailed,
    Admit,
    Admitted,
    Close,
    CodeRefused,
    Command,
    Decided,
    Ended,
    Filed,
    FileRequest,
    FilingFailed,
    Instant,
    Lost,
    Note,
    NoteRevocationTold,
    NotFiled,
    Outcome,
    Oversized,
    Penalise,
    Received,
    Redeem,
    Send,
    SessionEvent,
    Timer,
)
from bridge.lan.hello import TICK_MS, Greeting, hello_ok
from bridge.lan.intake import Intake
from bridge.lan.opening import BOUNDS_BEFORE_HELLO, NoFrame, NotConnect, Opening, read_opening
from bridge.lan.refusal import Refusal
from bridge.lan.terms import Terms, hold_for
from bridge.lan.traffic import Traffic
from bridge.pairing.records import Role
from gateway_client.frames import Event, Response

CONNECT_S = 10.0  # seconds from the upgrade to `connect`
PLACING_S = 15.0  # seconds for the store and the desk to answer: a disk that takes longer is broken
MAX_EARLY_FRAMES = 15  # frames that wait for hello-ok, as at the gateway; each at most 64 KiB, so 960 KiB per socket


class Phase(StrEnum):
    """Where a session is."""

    AWAIT_CONNECT = "await-connect"
    PLACING = "placing"
    """The store or the desk has been asked and will answer."""
    HELD = "held"
    """A person has been asked."""
    OPEN = "open"
    CLOSED = "closed"


@dataclass(slots=True)
class Session:
    """One peer; see the module's text.

    Attributes:
        directory: what may be looked up.
        terms: the listener's terms.
        connection_id: unique name of this socket.
        challenge: what `start` sends; good for one `connect`.
        opened: when the socket was opened.
        certified: the node that a client certificate proved; None at the app port.
        phase: where it is.
    """

    directory: Directory
    terms: Terms
    connection_id: str
    challenge: Challenge
    opened: Instant
    certified: str | None = None
    phase: Phase = Phase.AWAIT_CONNECT
    _connect: Connect | None = None
    _connect_id: str = ""
    _node_id: str | None = None
    _protocol: int = admission.PROTOCOL
    _request_id: str | None = None
    _deadline: float | None = None
    _early: list[bytes] = field(default_factory=list)
    _traffic: Traffic | None = None
    _intake: Intake | None = None

    def start(self) -> list[Command]:
        """Returns what begins every socket: the challenge, at once."""
        self._deadline = self.opened.mono + CONNECT_S
        return [Send(Event("connect.challenge", {"nonce": self.challenge.nonce, "ts": self.challenge.ts_ms}))]

    def next_deadline(self) -> float | None:
        """Returns when a `Timer` event is due, in monotonic seconds; None: no timer."""
        waiting = self._traffic.next_deadline() if self._traffic else None
        due = [at for at in (self._deadline, waiting) if at is not None]
        return min(due) if due and self.phase is not Phase.CLOSED else None

    @property
    def node_id(self) -> str | None:
        """The proven key's id, or None before the proof."""
        return self._node_id

    @property
    def in_background(self) -> bool:
        """Whether the node said that it is in the background."""
        return self._traffic is not None and self._traffic.background

    def pause(self, now: Instant) -> float:
        """Returns the seconds until the peer's next message may be read; 0.0: now."""
        return self._intake.allowance.pause(now.mono) if self._intake is not None else 0.0

    def handle(self, event: SessionEvent, now: Instant) -> list[Command]:
        """Takes one event; returns what has to happen."""
        if self.phase is Phase.CLOSED:
            return []
        match event:
            case Received(data=data):
                return self._on_message(data, now)
            case Timer():
                return self._on_timer(now)
            case Lost():
                return self._leave(now)
            case Ended(code=code, reason=reason, restart=restart):
                shutdown: list[Command] = [Send(Event("shutdown", {"reason": reason}))] if restart else []
                return [*(shutdown if self.phase is Phase.OPEN else []), *self._leave(now), Close(code, reason)]
            case _ if self._traffic is not None:
                return self._on_traffic_event(event, now)
            case _:
                return [] if self.phase is Phase.AWAIT_CONNECT else self._on_placing(event, now)

    # Getting in.

    def _on_message(self, data: bytes, now: Instant) -> list[Command]:
        match self.phase:
            case Phase.AWAIT_CONNECT:
                return self._on_first_frame(data, now)
            case Phase.PLACING | Phase.HELD:
                if len(data) > BOUNDS_BEFORE_HELLO.max_bytes:
                    return self._close(1009, "frame too large", now)
                self._early.append(data)
                if len(self._early) <= MAX_EARLY_FRAMES:
                    return []
                return self._close(1008, "too many pending handshake frames", now)
            case _:
                return self._on_open_frame(data, now)

    def _on_first_frame(self, data: bytes, now: Instant) -> list[Command]:
        match read_opening(data):
            case Opening(request_id=request_id, connect=connect):
                self._connect, self._connect_id = connect, request_id
                return self._on_connect(connect, now)
            case NotConnect(request_id=request_id, refusal=answer):
                self._connect_id = request_id
                return self._refused(answer, now)
            case NoFrame(what=what, code=code, reason=reason):
                return [Note("frame-refused", {"what": what}), *self._close(code, reason, now)]

    def _on_connect(self, connect: Connect, now: Instant) -> list[Command]:
        protocol = admission.agree_protocol(connect)
        if protocol is None:
            return self._refused(refusal.protocol_mismatch(connect.min_protocol, connect.max_protocol), now)
        self._protocol = protocol
        key = admission.prove(connect, self.challenge, now.wall_ms, self.certified)
        if isinstance(key, Refusal):
            return self._refused(key, now)
        self._node_id = key.node_id
        left = self.directory.penalty_left(key.node_id, now.mono)
        if left > 0:
            return self._refused(refusal.busy(max(1_000, int(left * 1000))), now)
        verdict = admission.verdict_on(connect, key, self.directory, now.wall, certified=self.certified is not None)
        return self._on_verdict(verdict, key.node_id, connect, now)

    def _on_verdict(self, verdict: admission.Verdict, node_id: str, connect: Connect, now: Instant) -> list[Command]:
        match verdict:
            case Refusal():
                return self._refused(verdict, now)
            case TellRevoked(refusal=told):
                return [NoteRevocationTold(node_id, connect.role), *self._refused(told, now)]
            case Enter(token=token, mint=mint):
                return self._place(Admit(node_id, connect.role, token, mint), now)
            case AskPerson(draft=draft):
                return self._place(FileRequest(draft), now)
            case TryCode(draft=draft):
                return self._place(Redeem(draft, connect.auth.bootstrap_token or ""), now)

    def _place(self, command: Command, now: Instant) -> list[Command]:
        self.phase = Phase.PLACING
        self._deadline = now.mono + PLACING_S
        return [command]

    def _on_placing(self, event: SessionEvent, now: Instant) -> list[Command]:
        match event:
            case Filed(request_id=request_id):
                return self._hold(request_id, now)
            case FilingFailed(why=NotFiled.BUSY, retry_after_ms=after):
                return self._refused(refusal.busy(after), now)
            case FilingFailed(why=NotFiled.CLOSED):
                return self._refused(refusal.pairing_closed(self.node_id or "", self._role), now)
            case FilingFailed():
                return self._refused(refusal.pairing_denied(self.node_id or "", self._role), now)
            case Decided(outcome=outcome):
                return self._on_decided(outcome, now)
            case Admitted():
                return self._enter(event, now)
            case CodeRefused():
                return self._refused(refusal.bootstrap_invalid(), now)
            case AdmissionFailed():
                return self._refused(refusal.unavailable("the bridge could not admit this device now"), now)
            case _:
                return []

    @property
    def _role(self) -> Role:
        return self._connect.role if self._connect else Role.NODE

    def _hold(self, request_id: str, now: Instant) -> list[Command]:
        client = self._connect.client.id if self._connect else ""
        self.phase, self._request_id = Phase.HELD, request_id
        self._deadline = self.opened.mono + hold_for(client)
        return self._on_timer(now) if self._deadline <= now.mono else []

    def _on_decided(self, outcome: Outcome, now: Instant) -> list[Command]:
        node_id = self.node_id or ""
        match outcome:
            case Outcome.APPROVED:
                return self._place(Admit(node_id, self._role, None, admission.promised(self._connect)), now)
            case Outcome.DENIED:
                return self._refused(refusal.pairing_denied(node_id, self._role), now)
            case Outcome.ELSEWHERE | Outcome.EXPIRED:
                waiting = refusal.pairing_required(self._request_id, node_id, self._role)
                return self._refused(waiting, now, quiet=outcome is Outcome.ELSEWHERE)

    def _enter(self, admitted: Admitted, now: Instant) -> list[Command]:
        connect, record = self._connect, admitted.record
        if connect is None or record.revoked_at is not None or record.node_id != self.node_id:
            return self._refused(refusal.device_token_mismatch(), now)
        entry = enter(connect, record, self.directory)
        policy, gateway_hello = self.directory.policy, self.directory.gateway_hello
        hello = hello_ok(self._greeting(now), admitted, entry.subject, policy, gateway_hello)
        allowance = self.directory.allowance(record.node_id)
        self._traffic = entry.traffic
        self._intake = Intake(entry.traffic, allowance, self._role, self.terms.frame_max_bytes)
        self.phase, self._deadline = Phase.OPEN, now.mono + TICK_MS / 1000
        out: list[Command] = [Send(Response(self._connect_id, True, hello)), entry.join]
        early, self._early = self._early, []
        for data in early:
            out += self._on_open_frame(data, now) if self._is_open() else []
        return out

    def _is_open(self) -> bool:
        return self.phase is Phase.OPEN

    def _greeting(self, now: Instant) -> Greeting:
        uptime_ms = int((now.mono - self.terms.started.mono) * 1000)
        return Greeting(
            self._role,
            self._protocol,
            self.connection_id,
            self.terms.frame_max_bytes,
            self.terms.buffer_max_bytes,
            max(0, uptime_ms),
        )

    # Being in.

    def _on_open_frame(self, data: bytes, now: Instant) -> list[Command]:
        if self._intake is None:
            return []
        taken = self._intake.take(data, now)
        if taken.over is None:
            return taken.commands
        punished: list[Command] = [Penalise(self.node_id)] if self.node_id else []
        return [*taken.commands, *punished, *self._close(1008, taken.over, now)]

    def _on_traffic_event(self, event: SessionEvent, now: Instant) -> list[Command]:
        if self._traffic is None:
            return []
        if isinstance(event, Oversized):
            return self._traffic.on_oversized(event, now)
        return self._traffic.on_event(event, now)

    # Time and the end.

    def _on_timer(self, now: Instant) -> list[Command]:
        out: list[Command] = []
        if self._deadline is not None and now.mono >= self._deadline:
            out += self._on_deadline(now)
        if self._traffic is not None and self.phase is Phase.OPEN:
            out += self._traffic.on_timer(now)
        return out

    def _on_deadline(self, now: Instant) -> list[Command]:
        match self.phase:
            case Phase.OPEN:
                self._deadline = now.mono + TICK_MS / 1000
                return [Send(Event("tick", {"ts": now.wall_ms}))]
            case Phase.HELD:
                waiting = refusal.pairing_required(self._request_id, self.node_id or "", self._role)
                return self._refused(waiting, now)
            case Phase.PLACING:
                return self._refused(refusal.unavailable("the bridge did not answer in time"), now)
            case _:
                return [Note("deadline", {"phase": self.phase.value}), *self._close(1000, "", now)]

    def _refused(self, answer: Refusal, now: Instant, *, quiet: bool = False) -> list[Command]:
        detail = answer.error.detail("code") or answer.error.code
        return [
            Note("connect-refused", {"code": detail}, quiet),
            Send(answers.failure(self._connect_id, answer.error)),
            *self._close(answer.close, answer.reason, now),
        ]

    def _close(self, code: int, reason: str, now: Instant) -> list[Command]:
        return [*self._leave(now), Close(code, reason)]

    def _leave(self, now: Instant) -> list[Command]:
        out = self._traffic.on_lost(now) if self._traffic is not None else []
        self.phase, self._deadline, self._early = Phase.CLOSED, None, []
        return out
