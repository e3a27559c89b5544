"""What can go wrong with the audit log."""

from __future__ import annotations

from bridge.pairing.store_error import StoreError


class AuditError(StoreError):
    """The audit log cannot be written or read; the text says why and what mends it.

    It is a `StoreError`: whatever waits for the disk before it takes effect does not take effect.

    Attributes:
        why: what is wrong, without a full stop.
        mend: what mends it, with the command.
    """

    def __init__(self, why: str, mend: str) -> None:
        super().__init__(f"{why}. {mend}")
        self.why = why
        self.mend = mend
