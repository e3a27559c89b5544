"""Pure: how often a ceremony may begin by a link that is good, without being counted among the others (design §6).

Its proof has 256 bits and no code is compared, so these need neither the cap on ceremonies nor a place on the desk: a
crowd of strangers keeps nobody out who holds a link. They are bounded by themselves; beyond that they are as others.
"""

from __future__ import annotations

MAX_BEGINS = 10  # by one link: the tries of a node whose network comes and goes; as many as the cap on the others
MAX_LINKS = 256  # links remembered, 100 bytes each: as many as there are stored; the one used longest ago is forgotten


class LinkBegins:
    """How often each link has begun a ceremony since a person last opened enrolment."""

    def __init__(self) -> None:
        self._begun: dict[str, int] = {}

    def spend(self, token_id: str) -> bool:
        """Tells whether one more may begin by a link, and counts it then."""
        begun = self._begun.pop(token_id, 0)
        while len(self._begun) >= MAX_LINKS:
            del self._begun[next(iter(self._begun))]
        self._begun[token_id] = min(begun + 1, MAX_BEGINS)
        return begun < MAX_BEGINS

    def clear(self) -> None:
        """A person opens enrolment: counting begins anew."""
        self._begun.clear()

    def __len__(self) -> int:
        return len(self._begun)
