"""Pure: repeats of one event become one line with a count, so that a loop leaves a trace and fills no disk.

The first `free` of a row are lines at once. What follows within the window is counted, and written when the window is
over, as one line with `count`, `first` and `last`. A row is (kind, event, node, address, code). Numbers of the counted
ones are added up where that means something (`bytes`), and the largest is kept where it does not (`ms`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.audit.entry import Draft, Value

WINDOW_S = 60.0  # seconds from a row's first event to the line that tells of the repeats
MAX_ROWS = 256  # rows, some 1 KiB each; whoever makes more is counted in a common row of the event: 60 events, 60 rows
_CODES = ("code", "command", "what", "reason", "why", "phase", "state", "limit", "host")
_WHO = ("node", "address", "listener", "role")
_ROW = (*_WHO, *_CODES, "ok")
_ADDED = ("bytes", "count")
_LARGEST = ("ms", "seconds", "waiting")
MANY = "various"

Row = tuple[str, ...]


@dataclass(slots=True)
class _Counted:
    begun: float
    written: int = 0
    count: int = 0
    first: str = ""
    last: str = ""
    draft: Draft | None = None
    numbers: dict[str, int] = field(default_factory=dict)


class Coalescer:
    """See the module's text. Rows are kept in the order in which their windows end."""

    def __init__(self) -> None:
        self._rows: dict[Row, _Counted] = {}
        self._common = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, draft: Draft, free: int | None, now: float) -> list[Draft]:
        """Takes an event; returns what is to be written now.

        Args:
            draft: the event.
            free: repeats that are lines of their own; None: it is never counted.
            now: monotonic seconds.
        """
        if free is None:
            return [draft]
        due = self.due(now)
        row = _row_of(draft)
        if row not in self._rows and len(self._rows) - self._common >= MAX_ROWS:
            draft = Draft(draft.ts, draft.kind, draft.event, {"address": MANY})
            row = _row_of(draft)
            self._common += row not in self._rows
        counted = self._rows.setdefault(row, _Counted(now))
        if counted.written < free:
            counted.written += 1
            return [*due, draft]
        counted.first = counted.first or draft.ts
        counted.last, counted.draft = draft.ts, draft
        counted.count += 1
        _gather(counted.numbers, draft.fields)
        return due

    def due(self, now: float, *, all_rows: bool = False) -> list[Draft]:
        """Returns the lines of the rows whose window is over, and begins anew with them.

        Args:
            now: monotonic seconds.
            all_rows: whether every window is over: the daemon stops.
        """
        out: list[Draft] = []
        while self._rows:
            row, counted = next(iter(self._rows.items()))
            if not all_rows and now - counted.begun < WINDOW_S:
                break
            del self._rows[row]
            self._common -= row[3:5] == (MANY, "")
            out += _told(counted)
        return out


def _row_of(draft: Draft) -> Row:
    told = draft.fields.get
    return (draft.kind, draft.event, *[str(told(name, "")) for name in _ROW])


def _gather(numbers: dict[str, int], fields: Mapping[str, Value]) -> None:
    for name in _ADDED + _LARGEST:
        value = fields.get(name)
        if type(value) is int:
            known = numbers.get(name, 0)
            numbers[name] = known + value if name in _ADDED else max(known, value)


def _told(counted: _Counted) -> list[Draft]:
    if counted.draft is None:
        return []
    numbers = {("total" if name == "count" else name): value for name, value in counted.numbers.items()}
    fields: dict[str, Value] = {**counted.draft.fields, **numbers}
    fields |= {"count": counted.count, "first": counted.first, "last": counted.last}
    return [Draft(counted.last, counted.draft.kind, counted.draft.event, fields)]
