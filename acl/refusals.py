"""Pure: counting what a peer was refused, so that a client stuck in a loop is closed (design §10, last limit)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

IN_A_ROW = 11  # the gateway itself closes on more than ten (gateway-protocol §1.4)
WINDOW_S = 60.0  # seconds


@dataclass(slots=True)
class RefusalMeter:
    """Refusals of one key, over all of its sockets; of one socket, before its key is proven.

    What counts: malformed frames, unknown methods and methods of another role. What never does: a missing scope on a
    method that apps try anyway, and events without a permission.

    Attributes:
        per_window: refusals within `WINDOW_S` that end a socket.
    """

    per_window: int = 20
    _row: int = 0
    _times: deque[float] = field(default_factory=deque)

    def refuse(self, now: float) -> bool:
        """Counts a refusal; returns whether the socket has to be closed.

        Args:
            now: monotonic seconds.
        """
        self._row += 1
        self._times.append(now)
        while self._times and self._times[0] <= now - WINDOW_S:
            self._times.popleft()
        return self._row >= IN_A_ROW or len(self._times) >= self.per_window

    def accept(self) -> None:
        """An accepted call ends the row; the window keeps what it counted."""
        self._row = 0

    def clear(self) -> None:
        """Begins anew: the socket was closed and its key is kept out for a while."""
        self._row = 0
        self._times.clear()
