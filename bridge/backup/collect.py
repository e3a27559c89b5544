"""Reads a home for a backup: the identity with its passphrase, every other key, store, database and configuration.

The daemon may run meanwhile. Files that change together are read until two readings agree; the database, which has the
tombstones as well, is copied last, so that a revocation during the backup is in it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bridge.backup.contents import CONFIG, DATABASE, KEYS, MAX_BYTES, MAX_KEY_BYTES, NAMES, PASSPHRASE, POLICY, STORE
from bridge.backup.database_copy import database_copy
from bridge.backup.errors import BackupError
from bridge.pairing.records import NodeRecord
from bridge.pairing.store import NodeStore
from certs.passphrase_choice import PLACE_FILE, ChosenPassphrase
from certs.passphrase_keyring import Keychain
from certs.private_files import read_private
from certs.store import BridgeIdentity, KeyFolder

MAX_READINGS = 10  # a busy daemon changes a key or its store a few times a minute; a reading takes milliseconds
PASSPHRASE_PLACE = f"{KEYS}/{PLACE_FILE}"
"""Says where this machine keeps the passphrase. The backup brings the passphrase itself, so it does not go in."""

_KEY_FILE = re.compile(r"[a-z0-9][a-z0-9._-]{0,95}")


@dataclass(frozen=True, slots=True)
class Collected:
    """What a home holds.

    Attributes:
        members: bytes by name, for the archive.
        identity: the bridge's.
        nodes: the records of the store.
        notes: what the owner should know, a sentence each.
    """

    members: dict[str, bytes] = field(repr=False)
    identity: BridgeIdentity
    nodes: tuple[NodeRecord, ...] = field(repr=False)
    notes: tuple[str, ...]


def collect(home: Path, keychain: Keychain | None = None) -> Collected:
    """Reads everything that a backup holds.

    Args:
        home: the bridge's folder.
        keychain: None: the one that `keyring` finds. It may ask a person, and wait.

    Raises:
        BackupError: there is no bridge in it, or it does not hold still.
        IdentityError, StoreError, PrivateFileError: a file is damaged or cannot be trusted; a backup of it would be
            worth nothing.
    """
    if not (home / KEYS).is_dir():
        raise BackupError(
            f"There is no bridge in {home}, so there is nothing to back up.", "Start it: clawdis-bridge run"
        )
    identity = KeyFolder(home / KEYS, ChosenPassphrase(home / KEYS, keychain)).load()
    members = still(lambda: _read(home), home)
    members.pop(PASSPHRASE_PLACE, None)
    members[PASSPHRASE] = identity.passphrase
    nodes = tuple(NodeStore(home).nodes.values())
    database = database_copy(home / DATABASE, MAX_BYTES[DATABASE])
    if database is not None:
        members[DATABASE] = database
    return Collected(members, identity, nodes, tuple(_notes(home, nodes, members)))


def still(read: Callable[[], dict[str, bytes]], home: Path) -> dict[str, bytes]:
    """Reads until two readings in a row agree.

    Args:
        read: reads everything.
        home: for the message.

    Raises:
        BackupError: no two of `MAX_READINGS` do.
    """
    before = read()
    for _ in range(MAX_READINGS - 1):
        now = read()
        if now == before:
            return now
        before = now
    raise BackupError(f"The files in {home} do not stop changing.", "Stop the bridge, make the backup, start it again.")


def _read(home: Path) -> dict[str, bytes]:
    files = [(f"{KEYS}/{name}", MAX_KEY_BYTES) for name in sorted(_key_files(home))]
    files += [(name, MAX_BYTES[name]) for name in (STORE, NAMES)]
    found: dict[str, bytes] = {}
    for name, limit in files:
        try:
            found[name] = read_private(home / name, limit)
        except FileNotFoundError:
            continue
    for name in (CONFIG, POLICY):
        text = _read_plain(home / name, MAX_BYTES[name])
        if text is not None:
            found[name] = text
    return found


def _key_files(home: Path) -> Iterator[str]:
    """The names in the keys folder, without files that are only just being written."""
    return (each.name for each in (home / KEYS).iterdir() if _KEY_FILE.fullmatch(each.name))


def _read_plain(path: Path, limit: int) -> bytes | None:
    """A file that its owner writes by hand: it may be a link, and others may read it."""
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise BackupError(f"{path} cannot be read ({exc.strerror}).", f"See: ls -l {shlex.quote(str(path))}") from exc
    if len(data) > limit:
        raise BackupError(f"{path} is longer than {limit} bytes.", "Move it away, or put the right file in its place.")
    return data


def _notes(home: Path, nodes: tuple[NodeRecord, ...], members: dict[str, bytes]) -> Iterator[str]:
    others = sorted(
        each.name
        for each in (home / KEYS).iterdir()
        if not _KEY_FILE.fullmatch(each.name) and not each.name.startswith(".")
    )
    if others:
        yield f"Not in it, because the bridge has no such files: {', '.join(others)} in {home / KEYS}."
    lost = [one for one in nodes if one.revoked_at is None and f"{KEYS}/node-{one.upstream_key}.pem" not in members]
    for one in lost:
        yield (
            f"The key with which the bridge stands for {one.labels.display_name} ({one.node_id[:12]}) at the gateway "
            f"is missing, here and in the backup. Revoke that node and pair it again: "
            f"clawdis-bridge nodes revoke {one.node_id[:12]}"
        )
