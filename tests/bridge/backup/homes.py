"""Homes of a bridge to back up and to restore, and backups that open quickly."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from bridge.backup.archive import Archive, Cost, pack
from bridge.discovery_names import load_names
from bridge.pairing.codes import CodeStore
from bridge.pairing.records import NodeRecord
from bridge.pairing.store import NodeStore
from bridge.pairing.tombstones import TombstoneStore
from certs.passphrase_choice import ChosenPassphrase
from certs.passphrase_keyring import Keychain
from certs.private_files import private_folder
from certs.store import BridgeIdentity, KeyFolder
from tests.bridge.pairing.samples import NOON, record

PHRASE = "correct horse battery staple"
QUICK = Cost(log2_n=14)  # the least that is read: a hundredth of a second instead of one
UPSTREAM_KEY = record().upstream_key
CONFIG = '[bridge]\nname = "Test"\n'
CEREMONIES = "CREATE TABLE ceremonies (id TEXT PRIMARY KEY, begun_at REAL NOT NULL, closes INTEGER NOT NULL) STRICT"


def make_home(home: Path, *records: NodeRecord, keychain: Keychain | None = None) -> BridgeIdentity:
    """Make what a bridge has after its first run, with these nodes."""
    private_folder(home)
    names = load_names(home, "Test")
    keys = KeyFolder(home / "keys", ChosenPassphrase(home / "keys", keychain))
    identity = keys.load_or_create(names.host, now=datetime.now(UTC))
    keys.client_authority(datetime.now(UTC))
    keys.prepare_next(names.host, now=datetime.now(UTC))
    keys.create_ed25519(UPSTREAM_KEY)
    CodeStore(home / "bridge.sqlite3")
    TombstoneStore(home / "bridge.sqlite3")
    (home / "bridge.toml").write_text(CONFIG)
    put(home, *records)
    return identity


def put(home: Path, *records: NodeRecord) -> None:
    """Write records into the store of a home."""

    async def write() -> None:
        store = NodeStore(home)
        for one in records:
            await store.put(one)

    asyncio.run(write())


def nodes(home: Path) -> dict[str, NodeRecord]:
    """Return the records of a home."""
    return dict(NodeStore(home).nodes)


def content(home: Path) -> dict[str, bytes]:
    """Return every file of a home by its name, the daemon's lock apart."""
    files = (path for path in home.rglob("*") if path.is_file() and path.name != "lock")
    return {str(path.relative_to(home)): path.read_bytes() for path in files}


def beside(home: Path) -> list[str]:
    """Return the names in the folder that a home is in."""
    return sorted(each.name for each in home.parent.iterdir())


def count_ceremonies(home: Path, rows: Iterable[tuple[str, float, int]]) -> None:
    """Write ceremonies into the database of a home."""
    with closing(sqlite3.connect(home / "bridge.sqlite3")) as database, database:
        database.execute(CEREMONIES.replace("TABLE", "TABLE IF NOT EXISTS"))
        database.executemany("INSERT INTO ceremonies VALUES (?, ?, ?)", rows)


def rows(home: Path, query: str) -> list[tuple[object, ...]]:
    """Ask the database of a home."""
    with closing(sqlite3.connect(home / "bridge.sqlite3")) as database:
        return database.execute(query).fetchall()


def archive_of(members: Mapping[str, bytes]) -> Archive:
    """Return the content of a backup with these members."""
    return Archive(NOON, "0.1.0", members)


def packed(members: Mapping[str, bytes], passphrase: str = PHRASE) -> bytes:
    """Return the file of a backup that opens quickly."""
    return pack(archive_of(members), passphrase, salt=b"s" * 16, nonce=b"n" * 12, cost=QUICK)
