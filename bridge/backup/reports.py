"""Pure: what `backup` and `restore` print with `--json`."""

from __future__ import annotations

from typing import Literal

from bridge.control.document import Document, Instant


class NodeCount(Document):
    """How many nodes a home knows."""

    paired: int
    revoked: int


class BackupReport(Document):
    """What a backup holds."""

    file: str
    bytes: int
    created_at: Instant
    pin: str
    spki: str
    nodes: NodeCount
    notes: tuple[str, ...] = ()


class RestoreReport(Document):
    """What a restore did."""

    home: str
    created_at: Instant
    """When the backup was made."""
    pin: str
    spki: str
    nodes: NodeCount
    revoked_since: tuple[str, ...] = ()
    """Nodes that the backup held in force and that were revoked since; they stay out."""
    passphrase_place: Literal["keyring", "file"]
    """Where this machine keeps the passphrase of the keys."""
    kept_aside: str | None = None
    """Where the former home is now."""
    notes: tuple[str, ...] = ()
