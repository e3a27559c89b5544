"""Pure: what the rest of the daemon asks of the audit log."""

from __future__ import annotations

from typing import Protocol


class Recorder(Protocol):
    """Writes down what happens."""

    async def record(self, event: str, **fields: object) -> None:
        """Writes an event of `kinds.DIRECT` and flushes it to disk; returns when it is there.

        Raises:
            AuditError: it could not be written. What it was about must then not be done.
        """

    @property
    def written(self) -> int:
        """The number of the last entry on disk."""

    @property
    def problem(self) -> str | None:
        """Why nothing can be written now; None: it can."""

    async def flush(self) -> None:
        """Brings everything said so far to disk.

        Raises:
            AuditError: it could not be written; it is tried again.
        """
