"""Pure: the vocabulary of a session: what happens to it (events) and what it asks for (commands)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from acl.model import Allow
from bridge.lan.recall import Recall
from bridge.pairing.desk import Draft
from bridge.pairing.records import NodeRecord, Role, Surface, TokenEntry
from gateway_client.frames import ErrorShape, Event, Frame, Json, JsonObject, Response


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment on both clocks: deadlines go by `mono` (seconds), stamps by `wall` (aware UTC)."""

    mono: float
    wall: datetime

    @property
    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return int(self.wall.timestamp() * 1000)


# Events: what happens to a session.


@dataclass(frozen=True, slots=True)
class Received:
    """A message of the peer."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Lost:
    """The peer's socket ended."""


@dataclass(frozen=True, slots=True)
class Timer:
    """`next_deadline` has come."""


@dataclass(frozen=True, slots=True)
class Filed:
    """The pairing request is on the desk; the socket is held for it."""

    request_id: str


class NotFiled(StrEnum):
    """Why a pairing request is not on the desk."""

    BUSY = "busy"
    SILENCED = "silenced"
    CLOSED = "closed"
    """Nobody invites devices now."""


@dataclass(frozen=True, slots=True)
class FilingFailed:
    """There is no pairing request."""

    why: NotFiled
    retry_after_ms: int = 0


class Outcome(StrEnum):
    """How a pairing request ended for a socket that is held for it."""

    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    """Its device has gone."""
    ELSEWHERE = "elsewhere"
    """A newer `connect` of the key has taken over, or the request was replaced."""


@dataclass(frozen=True, slots=True)
class Decided:
    """The pairing request was decided."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Admitted:
    """The store holds everything that hello-ok will say.

    Attributes:
        record: the record as stored.
        tokens: the new tokens by role.
        issued_at_ms: when they were made.
    """

    record: NodeRecord
    tokens: Mapping[Role, str] = field(default_factory=dict, repr=False)
    issued_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class CodeRefused:
    """The setup code is good for nothing."""


@dataclass(frozen=True, slots=True)
class AdmissionFailed:
    """The store could not be written: nobody gets in on a promise."""


@dataclass(frozen=True, slots=True)
class FromGateway:
    """An event of the gateway, from the node's own link or from the operator link."""

    event: Event


@dataclass(frozen=True, slots=True)
class Answered:
    """The gateway answered a forwarded request."""

    key: str
    response: Response
    final: bool = True


class Fault(StrEnum):
    """Why a forwarded request has no answer."""

    DOWN = "down"
    """The link was not open: nothing was sent."""
    GONE = "gone"
    """The link ended before the answer."""
    TIMEOUT = "timeout"
    TOO_LARGE = "too-large"
    """Longer than the gateway takes: nothing was sent."""
    BUSY = "busy"
    """Too much is unanswered already: nothing was sent."""
    UNREADABLE = "unreadable"
    """The answer came, and breaks a bound."""
    ANSWER_TOO_LARGE = "answer-too-large"


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A forwarded request will never be answered."""

    key: str
    fault: Fault


@dataclass(frozen=True, slots=True)
class LinkLost:
    """A link to the gateway ended: what it was streaming has a gap now."""


@dataclass(frozen=True, slots=True)
class LinkReady:
    """The node's link to the gateway has been made, or made anew: what was subscribed over it has to be said again."""


@dataclass(frozen=True, slots=True)
class Gap:
    """An event of the gateway could not be read: what it was streaming has a gap now."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The bridge ends this socket.

    Attributes:
        code: WebSocket close code.
        reason: the words of the close frame.
        restart: whether a `shutdown` event goes before it.
    """

    code: int
    reason: str
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Oversized:
    """A frame was longer than this peer can take."""

    frame: Frame
    size: int


SessionEvent = (
    Received
    | Lost
    | Timer
    | Filed
    | FilingFailed
    | Decided
    | Admitted
    | CodeRefused
    | AdmissionFailed
    | FromGateway
    | Answered
    | Unanswered
    | LinkLost
    | LinkReady
    | Gap
    | Ended
    | Oversized
)


# Commands: what a session asks for, in the order in which it has to happen.


@dataclass(frozen=True, slots=True)
class Send:
    """Send a frame to the peer."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Close:
    """Close the peer's socket after what was sent."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class FileRequest:
    """Put a pairing request on the desk; answered by `Filed` or `FilingFailed`."""

    draft: Draft


@dataclass(frozen=True, slots=True)
class Redeem:
    """Try a setup code; answered by `Admitted`, `CodeRefused`, `AdmissionFailed`, or as a `FileRequest`."""

    draft: Draft
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Admit:
    """Write down the use of a token and the new tokens; answered by `Admitted` or `AdmissionFailed`."""

    node_id: str
    role: Role
    token: TokenEntry | None
    mint: frozenset[Role]


@dataclass(frozen=True, slots=True)
class NoteRevocationTold:
    """Remember that the key was told of its revocation."""

    node_id: str
    role: Role


@dataclass(frozen=True, slots=True)
class Join:
    """The peer is in: hello-ok was sent.

    Attributes:
        record: who it is.
        role: which of its sockets this is.
        offer: what a node offers to the gateway on this connection.
        wider: what it offers that nobody approved, as a request to file; None when there is nothing new.
    """

    record: NodeRecord
    role: Role
    offer: Surface
    wider: Draft | None = None


class Link(StrEnum):
    """Which connection to the gateway a request goes over."""

    NODE = "node"
    """The node's own."""
    OPERATOR = "operator"
    """The bridge's operator link."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Send a request to the gateway; it cannot be built without the proof that it was allowed.

    Attributes:
        link: over which connection.
        key: what `Answered` and `Unanswered` name it by.
        method: the method.
        params: rebuilt from known members.
        allow: the decision that permits it.
        wait_s: seconds to wait for the answer; None: as long as the link lives.
        delay_s: seconds to wait before sending.
        owed: whether it is about what the gateway has begun, or the bridge says it by itself; such a request takes no
            place of the node's own calls.
    """

    link: Link
    key: str
    method: str
    params: JsonObject = field(repr=False)
    allow: Allow
    wait_s: float | None = 30.0
    delay_s: float = 0.0
    owed: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the gateway how an invoke ended, on the bridge's own account."""

    invoke_id: str
    error: ErrorShape


@dataclass(frozen=True, slots=True)
class Penalise:
    """Keep this key out for a while."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something for the log, when `quiet` at level debug. Never a payload, a token or a transcript."""

    event: str
    fields: Mapping[str, Json] = field(default_factory=dict)
    quiet: bool = False


Noted = Callable[[str, Mapping[str, Json]], None]
"""Is told name and fields of each `Note`, beside the log."""
_Placing = FileRequest | Redeem | Admit | NoteRevocationTold | Join
Command = Send | Close | _Placing | Forward | Report | Recall | Penalise | Note
