"""Pure: what the two kinds of open session have in common: forwarding a request and answering it exactly once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from acl import refusals
from acl.model import Allow, Deny, Direction
from bridge.lan import answers
from bridge.lan.events import (
    Answered,
    Command,
    Fault,
    Forward,
    Instant,
    Link,
    Note,
    Oversized,
    Send,
    SessionEvent,
    Unanswered,
)
from bridge.pairing.records import Role
from gateway_client.frames import ErrorShape, JsonObject, Request, Response

_ORDERS = frozenset(
    {
        (Direction.FROM_NODE, "agent"),
        (Direction.NODE_EVENT, "agent.request"),
        (Direction.NODE_EVENT, "voice.transcript"),
        (Direction.NODE_EVENT, "notifications.changed"),
        (Direction.FROM_OPERATOR, "chat.send"),
        (Direction.FROM_OPERATOR, "chat.abort"),
    }
)
MAX_FORWARDED = 32  # requests of one socket that the gateway has not answered; more would only queue behind them


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that was not accepted.

    Attributes:
        commands: the answer.
        what: what was refused, for the log: names of methods, never contents.
        counts: whether it counts towards closing the socket.
        kind: which kind of refusal it is, of a closed set.
        code: of the answer.
        rule: id of the rule that denied it; None: no rule did.
    """

    commands: tuple[Command, ...]
    what: str
    counts: bool = True
    kind: str = "malformed"
    code: str | None = None
    rule: str | None = None

    def note(self) -> Note:
        """What is worth a trace; what apps try on their own has a name of its own, so that it hides nothing else."""
        told: JsonObject = {"what": self.what, "code": self.code, "rule": self.rule}
        known: JsonObject = {key: value for key, value in told.items() if value is not None}
        return Note("refused" if self.counts or self.kind != "scope" else "scope-refused", known)


Result = list[Command] | Refused


class Traffic(Protocol):
    """What an open session does, by role."""

    @property
    def background(self) -> bool:
        """Whether the node said that it is in the background."""

    def on_request(self, request: Request, now: Instant) -> Result:
        """A request of the peer."""

    def on_event(self, event: SessionEvent, now: Instant) -> list[Command]:
        """Something from the gateway's side."""

    def on_oversized(self, event: Oversized, now: Instant) -> list[Command]:
        """A frame for the peer was too long to send."""

    def on_timer(self, now: Instant) -> list[Command]:
        """Time has passed."""

    def on_lost(self, now: Instant) -> list[Command]:
        """The socket ends: what is open has to be finished."""

    def next_deadline(self) -> float | None:
        """When `on_timer` is due, in monotonic seconds; None: never."""


def refused(request: Request, error: ErrorShape, *, counts: bool = True, rule: str | None = None) -> Refused:
    """Returns a refusal that answers the request."""
    answer, detail = Send(answers.failure(request.id, error)), error.detail("code")
    code = detail if isinstance(detail, str) else error.code
    return Refused((answer,), request.method, counts, _kind_of(error), code, rule)


def denied(request: Request, deny: Deny, role: Role) -> Refused:
    """Returns the refusal of a call that the ACL denied."""
    error = answers.denied(deny, role.value)
    return refused(request, error, counts=refusals.counts(deny, request.method), rule=deny.rule)


def _kind_of(error: ErrorShape) -> str:
    if error.code == "UNAVAILABLE":
        return "busy"
    if error.code == "FORBIDDEN":
        return "scope" if error.detail("code") == "MISSING_SCOPE" else "policy"
    return "role" if error.message.startswith("unauthorized role") else "malformed"


def is_order(allow: Allow) -> bool:
    """Tells whether a call sets the agent to work, or stops it: what leaves a trace also when it is allowed."""
    return (allow.call.direction, allow.call.name) in _ORDERS


@dataclass(frozen=True, slots=True)
class _Waiting:
    request_id: str
    reshape: Callable[[Response], Response]
    on_fault: Callable[[Fault], Response] | None


def as_it_came(response: Response) -> Response:
    """The answer of the gateway, rebuilt from its known members and otherwise unchanged."""
    return response


@dataclass(slots=True)
class Forwarding:
    """The requests of one socket that wait for the gateway. Each gets one final answer, whatever happens."""

    _waiting: dict[str, _Waiting] = field(default_factory=dict)
    _count: int = 0

    def next_key(self) -> str:
        """Returns a key that no other request of this socket has."""
        self._count += 1
        return str(self._count)

    def uses(self, request_id: str) -> bool:
        """Whether a request of this id waits for its answer."""
        return any(waiting.request_id == request_id for waiting in self._waiting.values())

    def send(
        self,
        request: Request,
        link: Link,
        params: JsonObject,
        allow: Allow,
        *,
        wait_s: float | None = 30.0,
        reshape: Callable[[Response], Response] = as_it_came,
        on_fault: Callable[[Fault], Response] | None = None,
        owed: bool = False,
    ) -> Result:
        """Forwards a request.

        Args:
            request: the peer's request; its answer will carry its id.
            link: over which connection.
            params: rebuilt parameters.
            allow: the proof.
            wait_s: seconds to wait.
            reshape: what the peer sees of the gateway's answer.
            on_fault: what it sees when there is none; None: a typed error.
            owed: whether it is about what the gateway has begun.
        """
        if len(self._waiting) >= MAX_FORWARDED:
            return refused(request, answers.busy("too many unanswered requests"), counts=False)
        if self.uses(request.id):
            return refused(request, answers.invalid("request id is in use"))
        key = self.next_key()
        self._waiting[key] = _Waiting(request.id, reshape, on_fault)
        forward = Forward(link, key, request.method, params, allow, wait_s, owed=owed)
        return [forward, Note("order", {"what": allow.call.name, "rule": allow.rule})] if is_order(allow) else [forward]

    def answered(self, event: Answered) -> list[Command]:
        """Passes an answer on; a late or unknown one is dropped and noted."""
        waiting = self._waiting.get(event.key)
        if waiting is None:
            return [Note("late-answer")]
        if event.final:
            del self._waiting[event.key]
        shaped = waiting.reshape(event.response)
        answer = Response(waiting.request_id, shaped.ok, shaped.payload, shaped.error, has_payload=shaped.has_payload)
        return [Send(answer)]

    def unanswered(self, event: Unanswered) -> list[Command]:
        """Gives the final answer that the gateway did not give."""
        waiting = self._waiting.pop(event.key, None)
        if waiting is None:
            return []
        if waiting.on_fault is not None:
            shaped = waiting.on_fault(event.fault)
            return [Send(Response(waiting.request_id, shaped.ok, shaped.payload, shaped.error))]
        return [Send(answers.failure(waiting.request_id, answers.fault(event.fault)))]


def too_large_answer(response: Response) -> list[Command]:
    """Returns the answer that takes the place of one that the peer cannot read."""
    error = ErrorShape("PAYLOAD_TOO_LARGE", "the answer is larger than this device takes")
    return [Send(answers.failure(response.id, error))]
