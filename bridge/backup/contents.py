"""Pure: which files of a home a backup holds, and how long each may be."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.backup.errors import BackupError

KEYS = "keys"
STORE = "paired-nodes.json"
DATABASE = "bridge.sqlite3"
CONFIG = "bridge.toml"
POLICY = "policy.toml"
NAMES = "names.json"
PASSPHRASE = f"{KEYS}/passphrase"
IDENTITY = f"{KEYS}/bridge.pem"
MAX_KEY_BYTES = 16384  # bytes, as the keys folder reads its files; the longest has some 1,400
MAX_BYTES = {
    STORE: 16 * 1024 * 1024,
    DATABASE: 64 * 1024 * 1024,
    CONFIG: 262144,
    POLICY: 262144,
    NAMES: 4096,
}  # bytes, as their readers accept them; of the database as much as any use of it should ever need
"""The files beside the keys folder, with the most bytes of each."""


def require_known(members: Iterable[tuple[str, int]]) -> None:
    """Checks what a backup brings before anything of it is written.

    Args:
        members: name and size of each.

    Raises:
        BackupError: a file that this version does not know, one that is too long, or no identity.
    """
    seen = set()
    for name, size in members:
        limit = MAX_KEY_BYTES if name.startswith(f"{KEYS}/") else MAX_BYTES.get(name)
        if limit is None:
            raise BackupError(
                f"The backup holds {name!r}, which this version does not know.",
                "Restore with the version that made it, or a newer one.",
            )
        if size > limit:
            raise BackupError(f"The backup's {name} has {size} bytes; {limit} is the most that it may have.")
        seen.add(name)
    if not {IDENTITY, PASSPHRASE, NAMES} <= seen:
        raise BackupError("The backup holds no identity of a bridge: key, passphrase and names.", "Use another backup.")
