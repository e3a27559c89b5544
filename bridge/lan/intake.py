"""Pure: a frame of a peer that is in, from its bytes to the call: sizes and rates first, then the parser, then the ACL.

What a limit stops is answered by what its two ends say of it, without being parsed.
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge.lan import answers
from bridge.lan.allowance import Allowance, Limit
from bridge.lan.events import Command, Instant, Note, Send
from bridge.lan.node_events import handled
from bridge.lan.traffic import Refused, Traffic
from bridge.pairing.records import Role
from gateway_client.frames import Bounds, FrameError, JsonObject, Request, parse_frame, text_of
from gateway_client.peek import Peek, event_in, peek_at

MAX_ITEMS = 65_536  # members and elements of a paired node's frame: a long list of photos; some 13 MiB at the worst
KIB = 1024
# Bytes of a frame by its method, with room for the escapes of JSON: a character may take six, and Swift escapes every
# slash of base64, twice in a text within a text.
MAX_BYTES = 1024 * KIB  # of every other method: the longest that an app sends has some 20,000 characters
MAX_BYTES_OF: dict[str, int | None] = {
    "node.invoke.result": None,  # a clip of the camera: as much as `frame_max_bytes` allows
    "chat.send": None,  # with pictures; the gateway says in hello-ok how large they may be
    "node.event": 12 * 1024 * KIB,  # `agent.request` with 10 MiB of text and pictures
    "agent": 12 * 1024 * KIB,  # 8 MiB of pictures in base64 and 20,000 characters
    "node.invoke.progress": 128 * KIB,  # one chunk of 16 KiB
    "node.pending.ack": 128 * KIB,  # 64 ids of 256 characters
    "node.pending.pull": 4 * KIB,
    "node.pending.drain": 4 * KIB,
    "health": 4 * KIB,
}
# What ends or follows what the gateway or the bridge has begun, and an app's own look whether its connection lives.
_OUTSIDE = frozenset(
    """health node.invoke.result node.invoke.progress node.pending.pull node.pending.ack node.pending.drain
    node.pluginTools.update node.skills.update node.runnerInventory.update skills.bins""".split()  # noqa: SIM905 - words
)
_EVENT = "node.event"
_EVENT_LIMITS = {"voice.transcript": Limit.VOICE, "agent.request": Limit.AGENT}
RATE_LIMITED = "rate_limited"  # why an event was not handled


@dataclass(frozen=True, slots=True)
class Taken:
    """What becomes of a frame.

    Attributes:
        commands: what has to happen.
        over: why the socket has to be closed after it, and its key be kept out for a while; None: it stays.
    """

    commands: list[Command]
    over: str | None = None


def most_bytes(method: str, frame_max_bytes: int) -> int:
    """Returns the bytes that a frame of a method may have; an unknown one has the usual cap."""
    most = MAX_BYTES_OF.get(method, MAX_BYTES)
    return frame_max_bytes if most is None else min(most, frame_max_bytes)


def limits_of(method: str, role: Role) -> tuple[Limit, ...]:
    """Returns the limits that a method takes of; an unknown method is a call like any other."""
    if method == _EVENT and role is Role.NODE:
        return (Limit.EVENTS,)
    if method in _OUTSIDE and (role is Role.NODE or method == "health"):
        return ()
    return (Limit.CALLS, Limit.AGENT) if method == "agent" else (Limit.CALLS,)


@dataclass(slots=True)
class Intake:
    """The frames of one open socket.

    Args:
        traffic: what a request becomes.
        allowance: what the key has left.
        role: which of the key's sockets it is.
        frame_max_bytes: bytes of the largest frame.
    """

    traffic: Traffic
    allowance: Allowance
    role: Role
    frame_max_bytes: int

    def take(self, data: bytes, now: Instant) -> Taken:
        """Takes a frame."""
        self.allowance.read(now.mono, len(data))
        peek = peek_at(data)
        most = most_bytes(peek.method, self.frame_max_bytes)
        limits = limits_of(peek.method, self.role) if len(data) <= most else (Limit.CALLS,)
        stopped = self._stopped(limits, peek, data, now)
        if stopped is not None:
            return stopped
        if len(data) > most:
            return self._too_large(peek, len(data), most, now)
        try:
            frame = parse_frame(data, Bounds(max_bytes=self.frame_max_bytes, max_items=MAX_ITEMS))
        except FrameError as exc:
            return self._malformed(exc.request_id, str(exc), exc.fault.value, now)
        if not isinstance(frame, Request):
            return self._refused("frame: not a request", "malformed", now)
        return self._request(frame, limits, data, now)

    def _request(self, request: Request, taken: tuple[Limit, ...], data: bytes, now: Instant) -> Taken:
        """A whole request; what it takes by its content is taken now, and what its ends concealed."""
        peek = Peek(request.id, request.method)
        owed = tuple(each for each in limits_of(request.method, self.role) if each not in taken)
        event = text_of(request.params, "event") if request.method == _EVENT and self.role is Role.NODE else None
        turn = _EVENT_LIMITS.get(event or "")
        if turn is not None:
            owed += (turn,)
        stopped = self._stopped(owed, peek, data, now, event if turn is not None else None)
        if stopped is not None:
            return stopped
        most = most_bytes(request.method, self.frame_max_bytes)
        if len(data) > most:
            return self._too_large(peek, len(data), most, now)
        return self._settle(self.traffic.on_request(request, now), now)

    def _stopped(
        self, limits: tuple[Limit, ...], peek: Peek, data: bytes, now: Instant, event: str | None = None
    ) -> Taken | None:
        for limit in limits:
            wait = self.allowance.take(limit, now.mono)
            if wait > 0.0:
                return self._limited(limit, wait, peek, event or event_in(data), now)
        return None

    def _limited(self, limit: Limit, wait: float, peek: Peek, event: str | None, now: Instant) -> Taken:
        noted = Note("limited", {"limit": limit.value})
        if not peek.id:  # nobody can be told; whoever writes such frames and so many of them is no app
            return self._refused("frame: unreadable", "malformed", now, noted)
        if peek.method == _EVENT and self.role is Role.NODE:  # an app is told, and never refused
            payload: JsonObject = handled(event or "unknown", RATE_LIMITED)
            return Taken([noted, Send(answers.ok(peek.id, payload))])
        answer = Send(answers.failure(peek.id, answers.rate_limited(limit.value, wait)))
        over = "too many calls" if self.allowance.is_too_much(now.mono) else None
        return Taken([noted, answer], over)

    def _too_large(self, peek: Peek, size: int, most: int, now: Instant) -> Taken:
        noted = Note("too-large", {"bytes": size, "most": most})
        if not peek.id:
            return self._refused("frame: too-large", "malformed", now, noted)
        self.allowance.count_refusal("too-large")
        return Taken([noted, Send(answers.failure(peek.id, answers.too_large(size, most)))])

    def _malformed(self, request_id: str | None, why: str, fault: str, now: Instant) -> Taken:
        answer: list[Command] = []
        if request_id is not None:
            answer = [Send(answers.failure(request_id, answers.invalid(f"invalid request frame: {why}")))]
        return self._refused(f"frame: {fault}", "malformed", now, *answer)

    def _settle(self, result: list[Command] | Refused, now: Instant) -> Taken:
        if not isinstance(result, Refused):
            self.allowance.refusals.accept()
            return Taken(result)
        commands = [*result.commands, result.note()]
        self.allowance.count_refusal(result.kind)
        return self._counted(commands, now) if result.counts else Taken(commands)

    def _refused(self, what: str, kind: str, now: Instant, *before: Command) -> Taken:
        self.allowance.count_refusal(kind)
        return self._counted([*before, Note("refused", {"what": what})], now)

    def _counted(self, commands: list[Command], now: Instant) -> Taken:
        if not self.allowance.refusals.refuse(now.mono):
            return Taken(commands)
        self.allowance.refusals.clear()
        return Taken(commands, "repeated refused calls")
