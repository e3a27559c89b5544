"""An audit log in memory, for parts that are tried without a daemon."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.audit.errors import AuditError
from bridge.audit.kinds import DIRECT

FULL = AuditError("the audit log in /home/audit cannot be written (No space left on device)", "Make room: df -h /home")


@dataclass
class Remembered:
    """A `Recorder`.

    Attributes:
        events: what was recorded, name and fields.
        refuses: raised instead, while it is set.
    """

    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    refuses: AuditError | None = None

    async def record(self, event: str, **fields: object) -> None:
        """Remember an event of the table, with fields that the table keeps."""
        if self.refuses is not None:
            raise self.refuses
        unknown = set(fields) - set(DIRECT[event].fields)
        if unknown:
            raise LookupError(f"{event} does not keep {unknown}")
        self.events.append((event, fields))

    @property
    def written(self) -> int:
        """How many were remembered."""
        return len(self.events)

    @property
    def problem(self) -> str | None:
        """Why it refuses."""
        return str(self.refuses) if self.refuses is not None else None

    async def flush(self) -> None:
        """Do nothing, or refuse."""
        if self.refuses is not None:
            raise self.refuses

    def named(self, event: str) -> list[dict[str, object]]:
        """Return the fields of all events of a name."""
        return [fields for name, fields in self.events if name == event]
