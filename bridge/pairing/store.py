"""`paired-nodes.json`: the paired nodes in memory and on disk (design §7).

A change is on disk before anyone is told of it. A file that cannot be read stops the bridge: it never starts empty.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from bridge.pairing.records import STORE_VERSION, NodeRecord, StoreFile
from bridge.pairing.store_error import StoreError as StoreError
from certs.private_files import PrivateFileError, read_private, write_private

FILE_NAME = "paired-nodes.json"
MAX_NODES = 4096  # records, tombstones included: at 4 KiB each the file stays below its bound
MAX_FILE_BYTES = 16 * 1024 * 1024  # bytes

Listener = Callable[[NodeRecord], None]


def open_store(folder: Path, *, was_used: bool) -> NodeStore:
    """Opens the store of a bridge that starts; the very first time an empty one is written.

    Args:
        folder: the bridge's home.
        was_used: whether anything tells that nodes were paired: then a store that is missing is lost, not new.

    Raises:
        StoreError: it is lost, or it cannot be read or written.
    """
    path = folder / FILE_NAME
    if not os.path.lexists(path):
        if was_used:
            raise StoreError(
                f"{path} is missing, and keys of paired nodes are there.\n"
                f"Put it back from a backup, or start without any paired node:\n{start_empty(path)}"
            )
        _save(path, StoreFile())
    return NodeStore(folder)


def start_empty(path: Path) -> str:
    """Returns the line with which a person begins a store anew; what is there is kept beside it."""
    quoted = shlex.quote(str(path))
    aside = f"mv {quoted} {shlex.quote(f'{path}.bad')}; " if os.path.lexists(path) else ""
    return f"{aside}(umask 077; echo '{{}}' > {quoted})"


class NodeStore:
    """The paired nodes by id.

    Reading is immediate. `put` writes the whole file durably, one writer at a time, and only then changes what readers
    see and tells the listeners.

    Args:
        folder: the bridge's home.

    Raises:
        StoreError: the file is there and cannot be read as what this version wrote.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._lock = asyncio.Lock()
        self._listeners: list[Listener] = []
        self._nodes: dict[str, NodeRecord] = {record.node_id: record for record in _load(self._path).nodes}
        self._work: asyncio.Task[NodeRecord] | None = None
        self._unsaved = False

    @property
    def nodes(self) -> Mapping[str, NodeRecord]:
        """All records, tombstones included, oldest first."""
        return MappingProxyType(self._nodes)

    def get(self, node_id: str) -> NodeRecord | None:
        """Returns the record of a key, or None."""
        return self._nodes.get(node_id)

    def on_change(self, listener: Listener) -> None:
        """Calls `listener` with each record that was written."""
        self._listeners.append(listener)

    async def put(self, record: NodeRecord) -> NodeRecord:
        """Writes one record.

        Raises:
            StoreError: the disk refused, or the store is full; nothing has changed then.
        """
        return await self.update(record.node_id, lambda _: record)

    async def save_again(self) -> None:
        """Writes what is in force and not on disk, if anything.

        Raises:
            StoreError: the disk still refuses.
        """
        async with self._lock:
            if self._unsaved:
                await asyncio.to_thread(_save, self._path, StoreFile(nodes=tuple(self._nodes.values())))
                self._unsaved = False

    async def update(
        self, node_id: str, change: Callable[[NodeRecord | None], NodeRecord], *, takes_away: bool = False
    ) -> NodeRecord:
        """Changes one record from what is stored at that moment, so that two changes at once do not undo each other.

        Args:
            node_id: which record.
            change: from what is stored to what shall be.
            takes_away: whether the change only takes something from the node. Such a change is in force even when the
                disk refuses it; it is written with the next one that the disk takes, or by `save_again`.

        Raises:
            StoreError: the disk refused, or the store is full; nothing has changed then, unless it takes away.
        """
        await self._lock.acquire()
        # The work has the lock from here on, and a task of its own: a caller that goes away in the middle of a write
        # must neither leave memory and disk apart, nor let the next writer in, nor keep the listeners from hearing.
        loop = asyncio.get_running_loop()
        self._work = loop.create_task(self._locked_update(node_id, change, takes_away), name="store-update")
        return await asyncio.shield(self._work)

    async def _locked_update(
        self, node_id: str, change: Callable[[NodeRecord | None], NodeRecord], takes_away: bool
    ) -> NodeRecord:
        refused: StoreError | None = None
        try:
            record = change(self._nodes.get(node_id))
            if record == self._nodes.get(node_id):
                return record
            if node_id not in self._nodes and len(self._nodes) >= MAX_NODES:
                raise StoreError(f"{self._path} holds {MAX_NODES} nodes already")
            after = {**self._nodes, node_id: record}
            try:
                await asyncio.to_thread(_save, self._path, StoreFile(nodes=tuple(after.values())))
            except StoreError as exc:
                if not takes_away:
                    raise
                refused = exc
            self._nodes, self._unsaved = after, refused is not None
        finally:
            self._lock.release()
        for listener in self._listeners:
            listener(record)
        if refused is not None:
            raise refused
        return record


def _load(path: Path) -> StoreFile:
    try:
        data = read_private(path, MAX_FILE_BYTES)
    except FileNotFoundError:
        return StoreFile()
    except PrivateFileError as exc:
        raise StoreError(str(exc)) from exc
    try:
        stored = StoreFile.model_validate_json(data)
    except ValidationError as exc:
        raise StoreError(
            f"{path} is damaged ({exc.error_count()} faults; the first: {exc.errors()[0]['msg']}).\n"
            f"Put a backup in its place, or start without any paired node:\n{start_empty(path)}"
        ) from exc
    if stored.version != STORE_VERSION:
        raise StoreError(
            f"{path} was written by another version of clawdis-bridge: it has version {stored.version}, and this one "
            f"reads version {STORE_VERSION}.\n"
            f"Install that clawdis-bridge again, or start without any paired node:\n{start_empty(path)}"
        )
    if len({record.node_id for record in stored.nodes}) != len(stored.nodes):
        raise StoreError(
            f"{path} holds two records of one node.\n"
            f"Put a backup in its place, or start without any paired node:\n{start_empty(path)}"
        )
    return stored


def _save(path: Path, stored: StoreFile) -> None:
    data = stored.model_dump_json(by_alias=True, indent=1).encode("utf-8")
    if len(data) > MAX_FILE_BYTES:
        raise StoreError(f"{path} would be longer than {MAX_FILE_BYTES} bytes, which no start would read")
    try:
        write_private(path, data)
    except PrivateFileError as exc:
        raise StoreError(str(exc)) from exc
