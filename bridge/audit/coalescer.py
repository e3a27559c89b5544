"""Pure: repeats of one event become one line with a count, so that a loop leaves a trace and fills no disk.

The first `free` of a row are lines at once. What follows within the window is counted, and written when the window is
over, as one line with `count`, `first` and `last`. A row is (kind, event, node, address, code). Numbers of the counted
ones are added up where that means something (`bytes`), and the largest is kept where it does not (`ms`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.audit.entry import Draft, Value

WINDOW_S = 60.0  # seconds from a row's first event to the line that tells of the repeats
# Rows, some 1 KiB each. Whoever makes more is counted in a common row of the event, of which there are 60. Paired nodes
# have rows of their own, each its share: neither a stranger nor another node makes their traces say less.
MAX_ROWS = 256  # of strangers
MAX_ROWS_OF_NODE = 64
MAX_ROWS_OF_NODES = 1024  # of all: sixteen that fill their share
_OF_PAIRED = frozenset({"deny", "invoke", "limit"})  # kinds: a node in them is a paired one; a stranger's key is not
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
    owner: str | None  # who made the row: a node, or "" for strangers; None: it is a common one
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
        self._held: Counter[str] = Counter()

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
        counted, draft = self._counted(draft, now)
        if counted.written < free:
            counted.written += 1
            return [*due, draft]
        counted.first = counted.first or draft.ts
        counted.last, counted.draft = draft.ts, draft
        counted.count += 1
        _gather(counted.numbers, draft.fields)
        return due

    def _counted(self, draft: Draft, now: float) -> tuple[_Counted, Draft]:
        """The row of an event, and the event as it is told there."""
        row, owner = _row_of(draft), _owner_of(draft)
        if row not in self._rows and not self._has_room(owner):
            fields: dict[str, Value] = {"node": owner, "address": MANY} if self._held[owner] and owner else {}
            draft = Draft(draft.ts, draft.kind, draft.event, fields or {"address": MANY})
            return self._rows.setdefault(_row_of(draft), _Counted(now, None)), draft
        if row not in self._rows:
            self._rows[row] = _Counted(now, owner)
            self._held[owner] += 1
        return self._rows[row], draft

    def _has_room(self, owner: str) -> bool:
        if not owner:
            return self._held[""] < MAX_ROWS
        return self._held[owner] < MAX_ROWS_OF_NODE and self._held.total() - self._held[""] < MAX_ROWS_OF_NODES

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
            self._let_go(counted.owner)
            out += _told(counted)
        return out

    def _let_go(self, owner: str | None) -> None:
        if owner is not None:
            self._held[owner] -= 1
            if not self._held[owner]:
                del self._held[owner]


def _owner_of(draft: Draft) -> str:
    known = draft.kind in _OF_PAIRED or "role" in draft.fields
    return str(draft.fields.get("node") or "") if known else ""


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
