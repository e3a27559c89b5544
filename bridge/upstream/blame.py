"""Pure: whose large answers ended the connection that all phones share, and for how long they get no more of them.

The gateway ends a connection when more than 50 MiB wait in it to be read (1008 "slow consumer"). A command's result
stands twice in its answer, so a phone that asks for the screens of others can do that to the operator link alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_S = 60.0  # seconds without large answers after the first time; twice as long after each further one
LONGEST_S = 600.0
FORGOTTEN_S = 3_600.0  # seconds after which it counts as the first time again
MAX_OWNERS = 256  # nodes remembered, 200 bytes each; the one that was blamed longest ago is forgotten


@dataclass(frozen=True, slots=True)
class _Entry:
    since: float
    length: float


@dataclass(slots=True)
class Blame:
    """See the module's text."""

    _entries: dict[str, _Entry] = field(default_factory=dict)

    def hit(self, owner: str, now: float) -> float:
        """The connection ended while a large answer for this node was under way; returns the seconds without more.

        Several calls that ended with the same connection count once.

        Args:
            owner: the node's id.
            now: monotonic seconds.
        """
        last = self._entries.pop(owner, None)
        length = FIRST_S
        if last is not None and now - last.since < FORGOTTEN_S:
            same = now < last.since + last.length
            length = last.length if same else min(LONGEST_S, 2 * last.length)
        while len(self._entries) >= MAX_OWNERS:
            del self._entries[next(iter(self._entries))]
        self._entries[owner] = _Entry(now, length)
        return length

    def rests(self, owner: str, now: float) -> bool:
        """Whether this node gets no large answers now."""
        entry = self._entries.get(owner)
        return entry is not None and now < entry.since + entry.length
