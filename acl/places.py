"""Pure: a table of keys with a cap, from which no flood of new keys drives out one that is kept out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Kept = TypeVar("Kept")


@dataclass(slots=True, eq=False)
class Places(Generic[Kept]):
    """What is remembered by key.

    Keys that have used up all of theirs are kept apart: others are forgotten first, the one that came longest ago at
    the head. When every place is taken by such keys, a new one gets none.

    Attributes:
        max_keys: keys remembered.
    """

    max_keys: int
    _open: dict[str, Kept] = field(default_factory=dict)
    _spent: dict[str, Kept] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._open) + len(self._spent)

    def spent(self, key: str) -> Kept | None:
        """Returns what is kept for a key that has used up everything; None: it has something left, or is unknown."""
        return self._spent.get(key)

    def get(self, key: str) -> Kept | None:
        """Returns what is kept for a key; None: it is unknown. The order of keys stays."""
        return self._open[key] if key in self._open else self._spent.get(key)

    def take_out(self, key: str) -> Kept | None:
        """Removes a key and returns what was kept; None: it was unknown."""
        kept = self._open.pop(key, None)
        return self._spent.pop(key, None) if kept is None else kept

    def put_in(self, key: str, kept: Kept, *, spent: bool) -> None:
        """Keeps something for a key that is not in the table, as the one that came last.

        Args:
            key: who.
            kept: what is remembered.
            spent: whether the key has used up everything, and must not be forgotten for a newcomer's sake.
        """
        (self._spent if spent else self._open)[key] = kept

    def has_room(self, is_over: Callable[[Kept], bool]) -> bool:
        """Makes room for one more key; returns whether there is some.

        Args:
            is_over: whether something need not be remembered any longer.
        """
        for kept in (self._open, self._spent):
            while kept and is_over(kept[first := next(iter(kept))]):
                del kept[first]
        if len(self) < self.max_keys:
            return True
        if self._open:
            del self._open[next(iter(self._open))]
        return len(self) < self.max_keys
