"""Pure: who may open a socket before anything is known of it: places and attempts (design §4, "The door").

A connection takes one place, from the accepted TCP connection until hello-ok or its end, and one attempt. Attempts
count outcomes: what an honest app does, seen from here, looks like trouble until it is over, so an attempt is given
back when the connection turned out harmless and stays spent when it cost the bridge something for nothing. Nothing else
is held against an address: penalties fall on keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Network

from bridge.lan.budget import Attempt, Budget
from bridge.lan.origin import Origin, origin_of, read_address

KNOWN_S = 86_400.0  # seconds for which an address is known after a paired node came in from it
MAX_KNOWN = 4_096  # known addresses, 150 bytes each; the one that was heard of longest ago is forgotten
RESERVED = 32  # places that only known addresses may take; half of them all where those are fewer than 64
QUICK_S = 2.0  # seconds in which an app's looks are over and its requests asked: TCP, TLS and a few hundred bytes
MIN_WAIT_S = 1.0  # seconds that a client is told to wait at the least
_ALL = "all"


class TurnedAway(StrEnum):
    """Why a connection is closed before a byte of it is read."""

    FULL = "full"
    """There is no place for it."""
    OFTEN = "too-often"
    """Its address has used up its attempts."""


@dataclass(slots=True, eq=False)
class Visit:
    """One connection at the door, from accept to end.

    Attributes:
        address: the peer's IP address.
        known: whether a paired node came in from there lately.
        came: when it came, in the door's seconds.
    """

    address: str
    known: bool
    came: float
    _door: Door
    _origin: Origin
    _attempts: tuple[Attempt, ...]
    _asked: Attempt | None = None
    _left: bool = False
    _slow: bool | None = None

    def note_pace(self, now: float) -> None:
        """It has asked its first question, or goes without one; only the first time counts.

        Who takes longer than `QUICK_S` holds a place that others want, whatever comes of it in the end.
        """
        if self._slow is None:
            self._slow = now - self.came > QUICK_S

    def forgive(self) -> None:
        """It turned out harmless: its attempt is given back, once, unless it was slow about it."""
        if not self._slow:
            self._give_back()

    def _give_back(self) -> None:
        for attempt in self._attempts:
            attempt.give_back()

    def leave(self) -> None:
        """It needs its place no more, because it is in or over; only the first time counts."""
        if not self._left:
            self._left = True
            self._door.free(self._origin, known=self.known)

    def admit(self, now: float) -> None:
        """A paired node proved itself: it is forgiven at any pace, leaves, and its address is known from now on."""
        self._give_back()
        self.leave()
        self._door.remember(self.address, now)

    def ask(self, now: float) -> float:
        """Takes one of the address's pairing attempts.

        Returns:
            0.0, or the seconds to wait when there is none.
        """
        self._asked = self._door.ask(self._origin, now)
        return 0.0 if self._asked is not None else max(MIN_WAIT_S, self._door.ask_after(self._origin, now))

    def unask(self) -> None:
        """Nobody had to be asked after all: the pairing attempt is given back."""
        if self._asked is not None:
            self._asked.give_back()
            self._asked = None


class Door:
    """Places and attempts of peers that have not authenticated.

    Args:
        per_address: places of one address, as `origin` counts them.
        total: places of all addresses together; each costs at most the listener's pre-hello budget.
        handshakes: attempts of one address per minute that may come to nothing.
        pairings: pairing requests of one address per minute.
        on_link: the IPv6 prefixes that this machine's interfaces share with their neighbours.
    """

    def __init__(
        self, per_address: int, total: int, handshakes: int, pairings: int, on_link: Sequence[IPv6Network] = ()
    ) -> None:
        self.per_address = per_address
        self.total = total
        self.strangers = total - min(RESERVED, total // 2)
        self.per_group = max(1, self.strangers // 2)
        self.on_link = tuple(on_link)
        self.turned: Counter[TurnedAway] = Counter()
        self._held: Counter[str] = Counter()
        self._held_by_strangers = 0
        self._known: dict[str, float] = {}
        self._on_known: list[Callable[[str, float], None]] = []
        self._of_strangers = Budget(handshakes)
        self._of_known = Budget(handshakes)
        # Neighbours have 2^64 addresses each: together they fail as often as the addresses that fit in at a time.
        self._of_groups = Budget(handshakes * self.per_group)
        self._pairings = Budget(pairings)

    @property
    def count(self) -> int:
        """Places that are taken."""
        return self._held[_ALL]

    def enter(self, address: str, now: float) -> Visit | TurnedAway:
        """Takes a place and an attempt, or neither.

        Args:
            address: the peer's IP address as the socket tells it; nothing that the peer says changes it.
            now: monotonic seconds.
        """
        parsed = read_address(address)
        known = self._knows(str(parsed), now)
        whose = Origin(f"known {parsed}") if known else origin_of(parsed, self.on_link)
        if not self._has_place(whose, known=known):
            return self._turn_away(TurnedAway.FULL)
        attempts = self._spend(whose, now, known=known)
        if attempts is None:
            return self._turn_away(TurnedAway.OFTEN)
        self._held.update(_counted(whose))
        self._held_by_strangers += not known
        return Visit(address, known, now, self, whose, attempts)

    def _turn_away(self, why: TurnedAway) -> TurnedAway:
        self.turned[why] += 1
        return why

    def _has_place(self, whose: Origin, *, known: bool) -> bool:
        if self.count >= self.total or self._held[whose.key] >= self.per_address:
            return False
        if known:
            return True
        group_has = not whose.group or self._held[whose.group] < self.per_group
        return group_has and self._held_by_strangers < self.strangers

    def _spend(self, whose: Origin, now: float, *, known: bool) -> tuple[Attempt, ...] | None:
        own = (self._of_known if known else self._of_strangers).spend(whose.key, now)
        if own is None or not whose.group:
            return None if own is None else (own,)
        shared = self._of_groups.spend(whose.group, now)
        if shared is None:
            own.give_back()
            return None
        return own, shared

    def free(self, whose: Origin, *, known: bool) -> None:
        """Gives a place back; a visit does this once."""
        self._held.subtract(_counted(whose))
        self._held += Counter()  # keeps no zeros
        self._held_by_strangers -= not known

    def _knows(self, plain: str, now: float) -> bool:
        seen = self._known.get(plain)
        return seen is not None and now - seen < KNOWN_S

    def on_known(self, listener: Callable[[str, float], None]) -> None:
        """Calls `listener` with each address from which a paired node came in, and the moment."""
        self._on_known.append(listener)

    def recall(self, known: Mapping[str, float]) -> None:
        """Addresses that were known before a restart, each with the seconds at which a paired node came in from it."""
        for plain, seen in sorted(known.items(), key=lambda each: each[1]):
            self._remember(plain, seen)

    def remember(self, address: str, now: float) -> None:
        """A paired node came in from this address."""
        plain = str(read_address(address))
        self._remember(plain, now)
        for listener in self._on_known:
            listener(plain, now)

    def _remember(self, plain: str, now: float) -> None:
        self._known.pop(plain, None)
        while len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[plain] = now

    def ask(self, whose: Origin, now: float) -> Attempt | None:
        """Takes a pairing attempt."""
        return self._pairings.spend(whose.key, now)

    def ask_after(self, whose: Origin, now: float) -> float:
        """Returns the seconds until there is a pairing attempt."""
        return self._pairings.wait(whose.key, now)


def _counted(whose: Origin) -> tuple[str, ...]:
    return (_ALL, whose.key, whose.group) if whose.group else (_ALL, whose.key)
