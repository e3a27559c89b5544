"""Pure: how many bytes of the in-flight budget a connection's messages need, by the headers of their frames."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.lan.byte_budget import SMALL_BYTES


@dataclass(slots=True)
class MessageSizes:
    """Follows the messages of one connection.

    Attributes:
        max_bytes: of the longest message; a longer one is refused by its header and needs nothing.
    """

    max_bytes: int
    _total: int = 0
    _claimed: int = 0

    @property
    def at_start(self) -> bool:
        """Whether the next frame begins a message."""
        return self._total == 0

    def frame(self, length: int, *, final: bool) -> int:
        """Takes the header of a data frame; returns by how many bytes more, or fewer, its message has to be claimed.

        A message in fragments does not say how long it will be, so it needs what the longest would.

        Args:
            length: bytes of the frame's payload.
            final: whether it is the last of its message.
        """
        self._total += length
        needed = 0
        if SMALL_BYTES < self._total <= self.max_bytes:
            needed = self._total if final else self.max_bytes
        change, self._claimed = needed - self._claimed, needed
        if final:
            self._total = self._claimed = 0
        return change
