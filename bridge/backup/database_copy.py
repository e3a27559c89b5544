"""A copy of the sqlite file that is whole whatever its users do meanwhile, by sqlite's own backup."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from bridge.backup.errors import BackupError
from bridge.pairing.database import BUSY_S
from certs.private_files import read_private


def database_copy(path: Path, max_bytes: int) -> bytes | None:
    """The content of a consistent copy; None when there is no such file.

    Raises:
        PrivateFileError: the file cannot be trusted.
        BackupError: it is damaged, too long, or the copy could not be made.
    """
    try:
        read_private(path, max_bytes)  # for its checks: sqlite would follow a link
    except FileNotFoundError:
        return None
    try:
        with tempfile.TemporaryDirectory(prefix="clawdis-bridge-") as folder:
            copy = Path(folder) / "copy"
            _copy(path, copy)
            return read_private(copy, max_bytes)
    except (sqlite3.Error, OSError) as exc:
        raise BackupError(
            f"{path} could not be copied ({exc}).",
            "Make room where temporary files go (TMPDIR); if the file is damaged, the bridge says how to mend it: "
            "clawdis-bridge run",
        ) from exc


def _copy(path: Path, copy: Path) -> None:
    copy.touch(mode=0o600)
    # mode=rw: a daemon that was killed has left a journal, which only a writer may roll back; never made anew.
    with (
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_S)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
        (verdict,) = target.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"it is damaged: {verdict}")
