"""What became of pairing requests lately, so that their ids are told from ids that nobody ever had."""

from __future__ import annotations

from bridge.lan.events import Outcome
from bridge.pairing.reception import DeskChange, Settled

MAX_REMEMBERED = 256  # requests, some 100 bytes each: eight times what can wait at once; the oldest are forgotten first

_WORDS = {
    Outcome.APPROVED: "was approved already",
    Outcome.DENIED: "was turned down already",
    Outcome.EXPIRED: "has expired: its device has gone",
    Outcome.ELSEWHERE: "was replaced, or settled in another way",
}


class RecentDecisions:
    """Remembers how the latest requests ended. Give `note` to the reception."""

    def __init__(self) -> None:
        self._ended: dict[str, Outcome] = {}

    def note(self, change: DeskChange) -> None:
        """Takes notice of what happened on the desk."""
        if not isinstance(change, Settled):
            return
        self._ended.pop(change.request.id, None)
        while len(self._ended) >= MAX_REMEMBERED:
            del self._ended[next(iter(self._ended))]
        self._ended[change.request.id] = change.outcome

    @property
    def ids(self) -> list[str]:
        """The requests that are remembered, the oldest first."""
        return list(self._ended)

    def said(self, request_id: str) -> str:
        """How a remembered request ended, as the end of a sentence."""
        return _WORDS[self._ended[request_id]]
