"""Doors that mind one thing only, and what comes to them."""

from __future__ import annotations

from ipaddress import IPv6Network

from bridge.lan.door import Door, TurnedAway, Visit

T = 1_000.0
HOME = IPv6Network("fd00:1:2:3::/64")
MANY = 1_000_000  # of what a test does not look at


def enter(door: Door, address: str, now: float = T) -> Visit:
    """Goes in, which must be possible."""
    visit = door.enter(address, now)
    assert isinstance(visit, Visit), visit
    return visit


def fail(door: Door, address: str, now: float = T) -> bool:
    """Comes, costs something and leaves; returns whether the door let it."""
    visit = door.enter(address, now)
    if isinstance(visit, Visit):
        visit.leave()
    return isinstance(visit, Visit)


def knows(door: Door, address: str, now: float = T) -> bool:
    """Whether a paired node came in from this address lately; comes and goes at no cost."""
    visit = enter(door, address, now)
    visit.forgive()
    visit.leave()
    return visit.known


def ipv4(number: int) -> str:
    """One of 62,500 addresses."""
    return f"10.0.{number // 250 % 250}.{number % 250 + 1}"


def door_of(per_address: int = 8, total: int = 64, *, on_link: tuple[IPv6Network, ...] = ()) -> Door:
    """A door that minds places only."""
    return Door(per_address, total, MANY, MANY, on_link)


class Recording(Door):
    """A door that remembers how everyone fared, and for which any time may pass.

    Attributes:
        ahead: seconds by which its clock is ahead.
        let_in: how many came in.
        turned_away: why the others did not.
    """

    ahead = 0.0
    let_in = 0

    def __init__(self, per_address: int = 8, total: int = 64, handshakes: int = 20, pairings: int = 3) -> None:
        super().__init__(per_address, total, handshakes, pairings)
        self.turned_away: list[TurnedAway] = []

    @property
    def came(self) -> int:
        """How many came."""
        return self.let_in + len(self.turned_away)

    def enter(self, address: str, now: float) -> Visit | TurnedAway:
        answer = super().enter(address, now + self.ahead)
        if isinstance(answer, Visit):
            self.let_in += 1
        else:
            self.turned_away.append(answer)
        return answer
