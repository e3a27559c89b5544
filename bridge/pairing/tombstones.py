"""Tombstones on disk: `bridge.sqlite3`, table `tombstones`, beside the ones of the store (design §6).

`paired-nodes.json` can be put back from a copy that is older than a revocation. The key stays out then, because its
tombstone is here as well. A revocation is written here first, then in the store; a person who pairs the key anew is
written in the store first, and only then is the tombstone lifted. So a crash between the two leaves the key out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from bridge.pairing.database import Database, keep_newest
from bridge.pairing.grant import tombstone
from bridge.pairing.records import NodeRecord
from bridge.pairing.store import NodeStore

# Rows: four stores of MAX_NODES (4096) records, all revoked. At some 150 bytes each that is 2.5 MB. A revocation is
# never refused for want of a place; what was written longest ago goes.
MAX_TOMBSTONES = 16384

_SCHEMA = "CREATE TABLE IF NOT EXISTS tombstones (node_id TEXT PRIMARY KEY, revoked_at REAL NOT NULL) STRICT"
_BURY = (  # a row that is replaced counts as written anew
    "INSERT OR REPLACE INTO tombstones (node_id, revoked_at) "
    "SELECT :node, max(:when, coalesce((SELECT revoked_at FROM tombstones WHERE node_id = :node), :when))"
)


class TombstoneStore:
    """The keys that were revoked, and when.

    Args:
        path: the sqlite file; its folder exists.

    Raises:
        StoreError: from every method, and on opening: the file is damaged, or the disk refused; nothing has changed.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _SCHEMA)

    def bury(self, node_id: str, when: datetime) -> None:
        """Writes a tombstone; of two for one key the later one stays.

        Args:
            node_id: the key.
            when: aware time of the revocation.
        """
        self.bury_all({node_id: when})

    def bury_all(self, tombstones: Mapping[str, datetime]) -> None:
        """Writes several, all or none."""
        rows = [{"node": node_id, "when": when.timestamp()} for node_id, when in tombstones.items()]
        with self._database.opened() as database:
            database.executemany(_BURY, rows)
            keep_newest(database, "tombstones", MAX_TOMBSTONES)

    def all(self) -> Mapping[str, datetime]:
        """Returns all tombstones: when each key was revoked."""
        with self._database.opened() as database:
            rows = database.execute("SELECT node_id, revoked_at FROM tombstones").fetchall()
        return {node_id: datetime.fromtimestamp(revoked_at, UTC) for node_id, revoked_at in rows}

    def lift(self, node_id: str) -> bool:
        """Takes a tombstone away, because a person has paired the key anew; returns whether there was one."""
        with self._database.opened() as database:
            return database.execute("DELETE FROM tombstones WHERE node_id = ?", (node_id,)).rowcount > 0


def bury_returned(
    records: Iterable[NodeRecord], tombstones: Mapping[str, datetime]
) -> tuple[tuple[NodeRecord, ...], tuple[NodeRecord, ...]]:
    """Finds the records that claim to be in force although their key was revoked after they were made.

    Args:
        records: a store, which may be older than the tombstones.
        tombstones: when each revoked key was revoked.

    Returns:
        All records, in their order, and those of them that were made tombstones here.
    """
    after: list[NodeRecord] = []
    returned: list[NodeRecord] = []
    for record in records:
        revoked = tombstones.get(record.node_id)
        if record.revoked_at is None and revoked is not None and _made_before(record, revoked):
            returned.append(tombstone(record, revoked))
            after.append(returned[-1])
        else:
            after.append(record)
    return tuple(after), tuple(returned)


def _made_before(record: NodeRecord, revoked: datetime) -> bool:
    # As numbers: a hand-written stamp without a time zone must not stop the comparison.
    return record.created_at.timestamp() <= revoked.timestamp()


async def reconcile(store: NodeStore, tombstones: TombstoneStore) -> tuple[NodeRecord, ...]:
    """Brings the two together before anyone is let in: what either holds as revoked is revoked in both.

    Returns:
        The records that had come back and are tombstones now.

    Raises:
        StoreError: one of the files cannot be used.
    """
    records = tuple(store.nodes.values())
    known = {record.node_id: record.revoked_at for record in records if record.revoked_at is not None}
    await asyncio.to_thread(tombstones.bury_all, known)
    _, returned = bury_returned(records, await asyncio.to_thread(tombstones.all))
    for record in returned:
        await store.put(record)
    return returned
