"""Pure: the cap on ceremonies that did not end in an approval (design §6).

At the cap enrolment closes, and stays closed until a person opens it: time alone does not open it again. Whoever stays
below the cap has one guess fewer per window, each of them on record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

WINDOW_S = 600.0  # seconds: with 10 ceremonies in it, a guess succeeds with 1e-5 at most between two looks of a person


@dataclass(frozen=True, slots=True)
class CapState:
    """What was begun.

    Attributes:
        limit: ceremonies in a window; also the most that are ever remembered.
        begun: monotonic seconds by ceremony.
        closed: whether the cap was reached and nobody has opened since; what was begun is then kept as it is.
    """

    limit: int
    begun: Mapping[str, float] = field(default_factory=dict)
    closed: bool = False

    def is_closed(self, now: float) -> bool:
        """Tells whether a ceremony would be refused."""
        return self.closed or len(self._recent(now)) >= self.limit

    def begin(self, ceremony_id: str, now: float) -> CapState:
        """Returns the state with one more ceremony; the one that reaches the limit closes.

        The caller has asked `is_closed`.
        """
        begun = {**self._recent(now), ceremony_id: now}
        return replace(self, begun=begun, closed=len(begun) >= self.limit)

    def give_back(self, ceremony_id: str) -> CapState:
        """Returns the state without a ceremony that was approved: a person is there, so it may open again."""
        begun = {name: at for name, at in self.begun.items() if name != ceremony_id}
        return replace(self, begun=begun, closed=self.closed and len(begun) >= self.limit)

    def opened(self) -> CapState:
        """Returns the state after a person opened enrolment."""
        return CapState(self.limit)

    def _recent(self, now: float) -> dict[str, float]:
        return {name: at for name, at in self.begun.items() if now - at < WINDOW_S}
