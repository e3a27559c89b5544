"""Pure: which lines of the log are worth writing when a peer does the same thing over and over.

The first few of a kind are written one by one, then one per minute with the number of those that were left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from acl.buckets import TokenBucket
from acl.places import Places

FIRST = 5  # lines of one kind that are written one by one
REFILL_S = 60.0  # seconds until a kind that went quiet or not gets another line
# Kinds of lines remembered: a key and an event's name, some 500 bytes each, so 512 KiB. When all of them are kept back,
# one more kind is written as a part of what overflows.
MAX_KINDS = 1_024


@dataclass(slots=True, eq=False)
class _Kind:
    lines: TokenBucket
    left_out: int = 0


class Coalesced:
    """Lines by who causes them and what they say."""

    def __init__(self) -> None:
        self._kinds: Places[_Kind] = Places(MAX_KINDS)
        self._overflow = _fresh()

    def __len__(self) -> int:
        return len(self._kinds)

    def line(self, who: str, event: str, now: float) -> int | None:
        """Tells whether a line is to be written.

        Args:
            who: a node or an address.
            event: what the line is about, by a name of ours.
            now: monotonic seconds.

        Returns:
            How many lines of this kind were left out since the last one; None: leave this one out, too.
        """
        key = f"{event} {who}"
        kind = self._kinds.take_out(key)
        if kind is None and not self._kinds.has_room(lambda each: each.lines.used(now) == 0.0):
            return _next(self._overflow, now)
        kind = _fresh() if kind is None else kind
        left_out = _next(kind, now)
        self._kinds.put_in(key, kind, spent=kind.lines.wait(now) > 0.0)
        return left_out


def _fresh() -> _Kind:
    return _Kind(TokenBucket(1 / REFILL_S, FIRST))


def _next(kind: _Kind, now: float) -> int | None:
    if kind.lines.take(now) > 0.0:
        kind.left_out += 1
        return None
    left_out, kind.left_out = kind.left_out, 0
    return left_out
