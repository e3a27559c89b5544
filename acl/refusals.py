"""Pure: counting what a peer was refused, so that a client stuck in a loop is closed (design §10, last limit)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from acl.model import Deny, Reason
from acl.rules import APPS_TRY

IN_A_ROW = 11  # the gateway itself closes on more than ten (gateway-protocol §1.4)
WINDOW_S = 60.0  # seconds


def counts(deny: Deny, name: str) -> bool:
    """Tells whether a denied call counts towards closing the socket.

    Args:
        deny: the decision.
        name: the method.
    """
    match deny.reason:
        case Reason.UNLISTED | Reason.NOT_PERMITTED:
            return True
        case Reason.MISSING_SCOPE:
            return name not in APPS_TRY
        case _:  # the owner's own limits on targets, sessions and texts: a person meets them by what they say
            return False


@dataclass(slots=True)
class RefusalMeter:
    """Refusals of one key, over all of its sockets.

    What counts: malformed frames, unknown methods and methods of another role. What never does: a missing scope on a
    method that apps try anyway, what the owner's policy narrows, events without a permission, and a limit on rates.

    Attributes:
        per_window: refusals within `WINDOW_S` that end a socket.
    """

    per_window: int = 20
    _row: int = 0
    _times: deque[float] = field(default_factory=deque)

    @property
    def row(self) -> int:
        """Refusals since the last accepted call."""
        return self._row

    def recent(self, now: float) -> int:
        """Returns the refusals within the last `WINDOW_S`."""
        while self._times and self._times[0] <= now - WINDOW_S:
            self._times.popleft()
        return len(self._times)

    def refuse(self, now: float) -> bool:
        """Counts a refusal; returns whether the socket has to be closed.

        Args:
            now: monotonic seconds.
        """
        self._row += 1
        self._times.append(now)
        return self.recent(now) >= self.per_window or self._row >= IN_A_ROW

    def accept(self) -> None:
        """An accepted call ends the row; the window keeps what it counted."""
        self._row = 0

    def clear(self) -> None:
        """Begins anew: the socket was closed and its key is kept out for a while."""
        self._row = 0
        self._times.clear()
