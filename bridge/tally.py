"""Pure: counters by name and label, for `status` and for metrics; nothing that a peer sends makes one more of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

MAX_LABELS = 64  # labels of one name, some 150 bytes each; what comes after them counts under `OTHER`
OTHER = "other"


class Tally:
    """What has been counted since the start.

    Args:
        names: every name that can be counted.
    """

    def __init__(self, *names: str) -> None:
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in names}

    def add(self, name: str, label: str = "", n: int = 1) -> None:
        """Counts something.

        Args:
            name: one of the names.
            label: which kind of it; from a closed set, never a peer's own words.
            n: how often.

        Raises:
            KeyError: there is no such name: a mistake of the caller's.
        """
        labels = self._counts[name]
        labels[label if label in labels or len(labels) < MAX_LABELS else OTHER] += n

    def of(self, name: str) -> Mapping[str, int]:
        """Returns the counts of a name by label, those that are not zero.

        Raises:
            KeyError: there is no such name.
        """
        return dict(self._counts[name])

    def total(self, name: str) -> int:
        """Returns the sum over all labels of a name.

        Raises:
            KeyError: there is no such name.
        """
        return self._counts[name].total()

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that can be counted."""
        return tuple(self._counts)
