"""Pure: the bytes that wait in the bridge for all phones together, and who has to go when they are too many."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Peer = TypeVar("Peer")

# Five sockets may each have as much waiting as one may at the most (50 MiB, `bridge.lan.relay`): all of one phone's.
# With more of them, whoever has the most goes.
BUFFERED_BYTES = 256 * 1024 * 1024


@dataclass(slots=True)
class Outflow(Generic[Peer]):
    """What waits for each phone.

    Attributes:
        limit: bytes for all of them.
        total: bytes that wait now.
    """

    limit: int = BUFFERED_BYTES
    total: int = 0
    _waiting: dict[Peer, int] = field(default_factory=dict)

    def add(self, peer: Peer, size: int) -> Peer | None:
        """Counts bytes that wait from now on; returns the phone that has the most, when they are too many in all."""
        self._waiting[peer] = self._waiting.get(peer, 0) + size
        self.total += size
        if self.total <= self.limit:
            return None
        return max(self._waiting, key=lambda each: self._waiting[each])

    def sent(self, peer: Peer, size: int) -> None:
        """Counts bytes that have been sent."""
        taken = min(size, self._waiting.get(peer, 0))
        self.total -= taken
        left = self._waiting.pop(peer, 0) - taken
        if left > 0:
            self._waiting[peer] = left

    def forget(self, peer: Peer) -> None:
        """The phone is gone, and what waited for it."""
        self.total -= self._waiting.pop(peer, 0)
