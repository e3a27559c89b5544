"""Pure: pairing requests that wait for a person (design §6).

pending -> approved | denied | expired. A request is frozen when it is made: what the person read is granted. One
request per key; a retry of the same content keeps its id and keeps it alive, other content makes a new one. One per
address, too: a second key from an address waits until the first has been silent for a while. A full desk turns
newcomers away, until a person invites devices: then those that waited before make room.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv6Address

from acl.permissions import Permissions
from bridge.lan.origin import read_address
from bridge.pairing.records import Labels, Surface
from bridge.pairing.transcript import short_code

KEPT_S = 300.0  # seconds after the last retry; the gateway keeps its own requests as long (gateway-protocol §3.2)
SILENT_S = 60.0  # seconds: the slowest client retries every 30 s, so twice that means it has gone
DENIED_S = 900.0  # seconds during which a denied key asks nobody
MAX_PENDING = 32  # requests of keys that are not in; about 10 KiB each at the largest, more than anyone would read
MAX_OF_SITE = 8  # of them from one IPv6 /64, whose addresses cost nothing: a host has two or three such, not four
INVITED_S = 300.0  # seconds for which a person invites devices (design §6: 5 minutes)
MAX_DENIED = 1024  # keys remembered as denied, 100 bytes each; the oldest go first
MAX_WRONG_CODES = 3  # tries to type what a native node shows; with one chance in a million each
BUSY_RETRY_MS = 5_000  # milliseconds until a key that found the desk busy should try again


class Why(StrEnum):
    """What a person is asked to decide."""

    NEW = "new"
    """A key that was never seen."""
    REPAIR = "repair"
    """A paired key that lost its token."""
    CHANGED = "changed"
    """A paired key whose platform or device family changed."""
    RETURN = "return"
    """A key that was revoked."""
    WIDER = "wider"
    """A paired node that offers more than it did."""


@dataclass(frozen=True, slots=True)
class NativeProof:
    """What a native node's request rests on.

    Attributes:
        transcript: the digest of its ceremony, from which both sides compute the short code; never shown.
    """

    transcript: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a client asks for, before it becomes a request.

    Attributes:
        node_id: the key's id.
        public_key: the key, base64url, as the store keeps it.
        labels: what it says about itself, cleaned.
        declared: the surface it declares.
        permissions: what would be granted without a person's changes.
        why: what kind of request it is.
        revoked_at: when the key was revoked, if it ever was.
        native: the ceremony of a native node; None for an OpenClaw client.
    """

    node_id: str
    public_key: str
    labels: Labels
    declared: Surface
    permissions: Permissions
    why: Why = Why.NEW
    revoked_at: datetime | None = None
    native: NativeProof | None = None


@dataclass(frozen=True, slots=True)
class PairingRequest:
    """A pending request.

    Attributes:
        id: what `approve` names it by.
        draft: what was asked for, frozen.
        address: the peer's IP address, as text.
        created_at: aware UTC time of the first try.
        seen: monotonic seconds of the last try.
        wrong_codes: how often something else was typed than what the device shows.
    """

    id: str
    draft: Draft
    address: str
    created_at: datetime
    seen: float
    wrong_codes: int = 0

    @property
    def lasting(self) -> bool:
        """Whether it is a paired node's, which nobody has to keep alive: it takes no place from strangers."""
        return self.draft.why is Why.WIDER

    @property
    def expires(self) -> float:
        """Monotonic seconds at which it ends unless the client tries again."""
        return self.seen + KEPT_S


@dataclass(frozen=True, slots=True)
class CodeVerdict:
    """What became of a typed code.

    Attributes:
        right: the request may be approved.
        tries_left: how often a wrong code may still be typed; at 0 the request has ended.
        asked: whether there was a code to compare at all.
    """

    right: bool
    tries_left: int = MAX_WRONG_CODES
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Filed:
    """The request is on the desk.

    Attributes:
        request: the request.
        fresh: whether it is new; False for a retry.
        ended: the requests it takes the place of: the key's former one, and one that yields to it.
    """

    request: PairingRequest
    fresh: bool
    ended: tuple[PairingRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class Busy:
    """No place now; the client should try again."""

    retry_after_ms: int = BUSY_RETRY_MS


@dataclass(frozen=True, slots=True)
class Silenced:
    """The key was denied a short while ago: nobody is asked."""

    seconds_left: float


class Desk:
    """The pending requests. Time and ids are given.

    Args:
        new_id: source of request ids (`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`).
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._pending: dict[str, PairingRequest] = {}
        self._denied: dict[str, float] = {}
        self._invited_until: float | None = None
        self._uninvited: frozenset[str] = frozenset()

    def file(
        self, draft: Draft, address: str, now: float, wall: datetime, request_id: str | None = None
    ) -> Filed | Busy | Silenced:
        """Files a request, or recognises a retry.

        Args:
            draft: what is asked.
            address: the peer's IP address.
            now: monotonic seconds.
            wall: aware UTC time.
            request_id: the id that the request has already; None: it gets one.
        """
        left = self.silence_left(draft.node_id, now)
        if left > 0:
            return Silenced(left)
        mine = self._of_key(draft.node_id)
        if mine is not None and mine.draft == draft:
            kept = replace(mine, seen=now)
            self._pending[kept.id] = kept
            return Filed(kept, fresh=False)
        yielding = self._yielding(draft.node_id, address, now) if draft.why is not Why.WIDER else ()
        if yielding is None:
            return Busy()
        ended = (*((mine,) if mine is not None else ()), *yielding)
        for one in ended:
            del self._pending[one.id]
        request = PairingRequest(request_id or self._new_id(), draft, address, wall, now)
        self._pending[request.id] = request
        return Filed(request, fresh=True, ended=ended)

    def has_room(self, node_id: str, address: str, now: float) -> bool:
        """Tells whether a request of a key from an address would be taken now."""
        return self._yielding(node_id, address, now) is not None

    def _yielding(self, node_id: str, address: str, now: float) -> tuple[PairingRequest, ...] | None:
        """Returns whose places a stranger's request takes, beside its key's own; None: there is no place for it."""
        others = [one for one in self._pending.values() if not one.lasting and one.draft.node_id != node_id]
        rival = next((one for one in others if one.address == address), None)
        if rival is not None:
            return (rival,) if now - rival.seen >= SILENT_S else None
        site = _site_of(address)
        neighbours = [one for one in others if site is not None and _site_of(one.address) == site]
        crowd = neighbours if len(neighbours) >= MAX_OF_SITE else others if len(others) >= MAX_PENDING else None
        if crowd is None:
            return ()
        before = [one for one in crowd if one.id in self._uninvited] if self.is_invited(now) else []
        return (min(before, key=lambda one: one.seen),) if before else None

    def refresh(self, request_id: str, now: float) -> None:
        """The device of a request has shown that it still waits."""
        request = self._pending.get(request_id)
        if request is not None:
            self._pending[request_id] = replace(request, seen=now)

    def silence_left(self, node_id: str, now: float) -> float:
        """Returns the seconds for which a denied key asks nobody."""
        return max(0.0, self._denied.get(node_id, now) - now)

    def try_code(self, request_id: str, code: str | None) -> CodeVerdict:
        """Compares what a person typed with what this request's device shows, and with no other request's.

        A request without a code needs none. The third wrong one ends the request.
        """
        request = self._pending.get(request_id)
        native = request.draft.native if request is not None else None
        if request is None or native is None or code is None:
            return CodeVerdict(request is not None and native is None and code is None, asked=False)
        if hmac.compare_digest(short_code(native.transcript).encode(), code.encode()):
            return CodeVerdict(right=True)
        tried = replace(request, wrong_codes=request.wrong_codes + 1)
        self._pending[request_id] = tried
        if tried.wrong_codes >= MAX_WRONG_CODES:
            del self._pending[request_id]
        return CodeVerdict(False, MAX_WRONG_CODES - tried.wrong_codes)

    def _of_key(self, node_id: str) -> PairingRequest | None:
        return next((request for request in self._pending.values() if request.draft.node_id == node_id), None)

    def pending(self) -> list[PairingRequest]:
        """Returns the pending requests, oldest first."""
        return list(self._pending.values())

    def get(self, request_id: str) -> PairingRequest | None:
        """Returns the pending request of that exact id."""
        return self._pending.get(request_id)

    def holds(self, draft: Draft) -> bool:
        """Tells whether the key's pending request says the same: filing the draft is a retry."""
        mine = self._of_key(draft.node_id)
        return mine is not None and mine.draft == draft

    def awaits(self, node_id: str) -> bool:
        """Tells whether a key that is not in waits for a person."""
        mine = self._of_key(node_id)
        return mine is not None and not mine.lasting

    def take(self, request_id: str) -> PairingRequest | None:
        """Removes a request because it was approved; returns it, or None when it is not pending any more."""
        return self._pending.pop(request_id, None)

    def deny(self, request_id: str, now: float) -> PairingRequest | None:
        """Removes a request and silences its key for `DENIED_S`; returns it, or None when it is not pending."""
        request = self._pending.pop(request_id, None)
        if request is not None:
            self.silence(request.draft.node_id, now)
        return request

    def silence(self, node_id: str, now: float) -> None:
        """Lets a key ask nobody for `DENIED_S` seconds."""
        self._denied.pop(node_id, None)
        while len(self._denied) >= MAX_DENIED:
            del self._denied[next(iter(self._denied))]
        self._denied[node_id] = now + DENIED_S

    def invite(self, now: float) -> None:
        """A person opened the window (`pair`): silenced keys may ask again, and who waits now makes room for others.

        Of those the one whose client has been silent longest goes first.
        """
        self._denied.clear()
        self._invited_until = now + INVITED_S
        self._uninvited = frozenset(self._pending)

    def is_invited(self, now: float) -> bool:
        """Tells whether a person has invited devices a short while ago."""
        return self._invited_until is not None and now < self._invited_until

    def drop_wider(self, node_id: str) -> PairingRequest | None:
        """Removes a paired node's request for more, because it offers no more than it did; returns it."""
        mine = self._of_key(node_id)
        return self._pending.pop(mine.id) if mine is not None and mine.lasting else None

    def drop_key(self, node_id: str) -> PairingRequest | None:
        """Removes the request of a key, because the key was revoked or came in another way; returns it."""
        mine = self._of_key(node_id)
        return self._pending.pop(mine.id) if mine is not None else None

    def expire(self, now: float) -> list[PairingRequest]:
        """Removes and returns the requests whose clients have gone."""
        gone = [request for request in self._pending.values() if request.expires <= now and not request.lasting]
        for request in gone:
            del self._pending[request.id]
        return gone


def _site_of(address: str) -> int | None:
    """The /64 of an IPv6 address; None for IPv4 and loopback, which count one by one."""
    parsed = read_address(address)
    return int(parsed) >> 64 if isinstance(parsed, IPv6Address) and not parsed.is_loopback else None
