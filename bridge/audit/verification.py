"""Pure: whether a stream of lines is the chain that was written, and where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bridge.audit.entry import DamagedLineError, Entry, Position, read_line
from bridge.audit.kinds import GAP

MAX_BATCH = 256  # lines that are written at once
MAX_AHEAD = MAX_BATCH + 32  # lines that a crash can leave beyond the head: one batch and what opens a file


class Why(StrEnum):
    """What is wrong at a place."""

    DAMAGED = "damaged"
    """The line is no entry."""
    CHANGED = "changed"
    """The line's content does not fit its hash."""
    MISSING = "missing"
    """Another line is where this one should be."""
    UNCHAINED = "unchained"
    """The line does not continue the one before: one of the two was put in its place."""
    CUT = "cut"
    """The log ends before the last line that is known to have been written."""
    HEAD = "head"
    """The last line that the database knows is another one."""
    NO_HEAD = "no-head"
    """The database knows nothing of this log."""
    BEYOND = "beyond"
    """There are more lines after the last known one than a crash can leave."""
    GAP = "gap"
    """The daemon itself found the log damaged when it started, and said so here."""
    UNFINISHED = "unfinished"
    """A line in the middle has no end."""


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain is broken.

    Attributes:
        seq: the number of the first line that is not as it was written.
        why: what is wrong there.
        detail: more about it, in words; may be empty.
        after: from which number on the log may be whole again.
    """

    seq: int
    why: Why
    detail: str = ""
    after: int = 0


@dataclass(slots=True)
class Verifier:
    """Takes a log line by line, the oldest first, and remembers only where it stands.

    Attributes:
        at: where the chain stands; before the first line: what the first one has to continue.
        since: number of the first line that is looked at; 1: all.
        head: the last line that the database knows, or None when it knows nothing.
        checked: lines that were found good.
    """

    at: Position
    since: int
    head: Position | None
    checked: int = 0
    _begun: bool = False

    def line(self, data: bytes) -> Break | None:
        """Takes a whole line; returns what is wrong with it."""
        expected = max(self.at.count + 1, self.since)
        try:
            entry = read_line(data)
        except DamagedLineError as exc:
            if not self._begun and self.since > 1:
                return None
            why, detail = (Why.CHANGED, "") if exc.changed else (Why.DAMAGED, str(exc))
            return Break(expected, why, detail, expected + 1)
        if entry.seq < self.since:
            return None
        return self._next(entry, expected)

    def _next(self, entry: Entry, expected: int) -> Break | None:
        if entry.seq != expected:
            return Break(expected, Why.MISSING, f"number {entry.seq} is there", max(expected + 1, entry.seq))
        if (self._begun or self.since == 1) and entry.prev != self.at.hash:
            return Break(entry.seq, Why.UNCHAINED)
        if (entry.draft.kind, entry.draft.event) == GAP and not self._begins_here:
            return Break(entry.seq, Why.GAP, str(entry.draft.fields.get("why", "")), entry.seq + 1)
        if self.head is not None and entry.seq == self.head.count and entry.hash != self.head.hash:
            return Break(entry.seq, Why.HEAD)
        self.at, self._begun = entry.position, True
        self.checked += 1
        return None

    @property
    def _begins_here(self) -> bool:
        """Whether a person has asked to begin with this very file: it opens with one line, then says what was found."""
        return self.since > 1 and self.checked <= 1

    def end(self, growth: int = 0) -> Break | None:
        """The log is over; returns what is wrong with its end.

        Args:
            growth: lines that were written while it was read.
        """
        if self.head is None:
            return Break(self.at.count, Why.NO_HEAD) if self.checked else None
        if self.at.count < self.head.count and self.since <= self.head.count:
            return Break(
                max(self.at.count + 1, self.since), Why.CUT, f"{self.head.count} were written", self.head.count + 1
            )
        if self.at.count > self.head.count + growth + MAX_AHEAD:
            return Break(self.head.count + 1, Why.BEYOND)
        return None
