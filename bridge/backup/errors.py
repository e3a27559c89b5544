"""Pure: the one error of backups."""

from __future__ import annotations

from bridge.errors import RefusedError


class BackupError(RefusedError):
    """A backup that cannot be made, read or restored; nothing has changed then."""

    default_code = "BACKUP_REFUSED"
