"""Pure: the cap on ceremonies that did not end in an approval (design §6).

At the cap enrolment closes, and stays closed until a person opens it: time alone must not, or a patient attacker would
have as many guesses as there are windows.
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
        closed: whether the cap was reached and nobody has opened since.
    """

    limit: int
    begun: Mapping[str, float] = field(default_factory=dict)
    closed: bool = False

    def is_closed(self, now: float) -> bool:
        """Tells whether a ceremony would be refused."""
        return self.closed or len(self._recent(now)) >= self.limit

    def begin(self, ceremony_id: str, now: float) -> CapState:
        """Returns the state with one more ceremony; a `closed` one means that it may not begin."""
        if self.is_closed(now):
            return replace(self, closed=True)
        return replace(self, begun={**self._recent(now), ceremony_id: now})

    def give_back(self, ceremony_id: str) -> CapState:
        """Returns the state without a ceremony that was approved."""
        return replace(self, begun={name: at for name, at in self.begun.items() if name != ceremony_id})

    def opened(self) -> CapState:
        """Returns the state after a person opened enrolment."""
        return CapState(self.limit)

    def _recent(self, now: float) -> dict[str, float]:
        return {name: at for name, at in self.begun.items() if now - at < WINDOW_S}
