"""Pure: what `audit verify --json` prints (design §17)."""

from __future__ import annotations

from bridge.control.document import Document


class AuditVerdict(Document):
    """Whether the audit log is as it was written."""

    ok: bool
    events: int
    """Entries that are as they were written, up to the first that is not."""
    last: int
    """Number of the last of them."""
    hash: str
    """Its hash, SHA-256 hex: kept elsewhere, it proves later that nothing before it has changed."""
    pruned: int = 0
    """Entries before the oldest file, which were removed because their time was up."""
    unfinished: bool = False
    """Whether the last line has no end: it is being written, or a crash has torn it; the next start closes it."""
    broken_at: int | None = None
    """Number of the first entry that is not as it was written."""
    whole_after: int | None = None
    """From which number on it may be whole again; see `audit verify --from`."""
    why: str | None = None
    """A stable name for what is wrong there."""
    file: str | None = None
    """The file in which it is seen."""
    line: int | None = None
    """The line of that file."""
    detail: str | None = None
    """What it means, in words."""
    fix: str | None = None
    """What to do."""
