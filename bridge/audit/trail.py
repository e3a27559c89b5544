"""The daemon's hold on the audit log: takes what is said, brings it to disk in the background or before an answer.

What is only said waits at most `FLUSH_S`. What has to be on disk first is awaited. When the disk refuses, what was to
be awaited fails, what was said waits, and what finds no room any more is counted and told of in a line of its own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from bridge.audit.coalescer import Coalescer
from bridge.audit.entry import Draft, clean
from bridge.audit.errors import AuditError
from bridge.audit.files import FOLDER
from bridge.audit.journal import FILE_BYTES, KEPT_FILES, Journal
from bridge.audit.kinds import DIRECT, FROM_LOG, Kept
from bridge.audit.verification import MAX_BATCH
from bridge.log import Log
from bridge.pairing.database import FILE_NAME

FLUSH_S = 1.0  # seconds that a line waits at the most while the disk is well
MAX_WAITING = 4096  # lines that wait while it is not, some 1 KiB each: 4 MiB


class Trail:
    """See the module's text; a `Recorder`, and a tap of the log.

    Args:
        home: the bridge's folder.
        file_bytes: see `Journal`.
        kept: see `Journal`.
    """

    def __init__(self, home: Path, *, file_bytes: int = FILE_BYTES, kept: int = KEPT_FILES) -> None:
        self._journal = Journal(home / FOLDER, home / FILE_NAME, file_bytes=file_bytes, kept=kept)
        self._coalescer = Coalescer()
        self._waiting: deque[Draft] = deque()
        self._lost = 0
        self._guard = threading.Lock()  # of the three above: a library may log from a thread
        self._writing = asyncio.Lock()
        self._work: set[asyncio.Task[None]] = set()
        self._log: Log | None = None
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """Why nothing can be written now; None: it can."""
        return self._problem

    @property
    def written(self) -> int:
        """The number of the last entry on disk."""
        return self._journal.position.count

    async def open(self, log: Log) -> None:
        """Opens the log.

        Args:
            log: is told when the disk refuses.

        Raises:
            AuditError: it cannot be written.
        """
        self._log = log
        await asyncio.to_thread(self._journal.open, _stamp())

    def note(self, event: str, fields: Mapping[str, object]) -> None:
        """Takes what the log was told; what the table does not name is none of the trail's. From any thread.

        Args:
            event: its name.
            fields: all that was said; the table tells which of them are kept.
        """
        kept = FROM_LOG.get(event)
        if kept is None:
            return
        draft = _draft(kept, event, fields)
        with self._guard:
            self._put(self._coalescer.add(draft, kept.free, time.monotonic()))

    def _put(self, drafts: list[Draft]) -> None:
        for draft in drafts:
            if len(self._waiting) < MAX_WAITING:
                self._waiting.append(draft)
            else:
                self._lost += 1

    async def record(self, event: str, **fields: object) -> None:
        """Writes an event of `kinds.DIRECT` and flushes it to disk; returns when it is there.

        Raises:
            AuditError: it could not be written.
            KeyError: the table does not name the event.
        """
        await self._write(_draft(DIRECT[event], event, fields))

    async def flush(self) -> None:
        """Brings everything said so far to disk.

        Raises:
            AuditError: it could not be written; it waits.
        """
        await self._write(None)

    async def _write(self, last: Draft | None) -> None:
        # A task of its own: a caller that goes away in the middle of a write must not let the next writer in.
        work = asyncio.get_running_loop().create_task(self._write_all(last), name="audit")
        self._work.add(work)
        work.add_done_callback(self._done)
        await asyncio.shield(work)

    def _done(self, work: asyncio.Task[None]) -> None:
        self._work.discard(work)
        if not work.cancelled():
            work.exception()  # whoever went away hears nothing of it; `problem` tells

    async def _write_all(self, last: Draft | None) -> None:
        async with self._writing:
            try:
                while self._waits():
                    await self._append(*self._take())
                if last is not None:
                    await asyncio.to_thread(self._journal.append, [last])
            except AuditError as exc:
                self._tell(str(exc))
                raise
            self._tell(None)

    async def _append(self, batch: list[Draft], lost: int) -> None:
        told = [Draft(_stamp(), "audit", "lost", {"count": lost})] if lost else []
        try:
            await asyncio.to_thread(self._journal.append, [*batch, *told])
        except AuditError:
            self._put_back(batch, lost)
            raise

    def _waits(self) -> bool:
        with self._guard:
            self._put(self._coalescer.due(time.monotonic()))
            return bool(self._waiting)

    def _take(self) -> tuple[list[Draft], int]:
        with self._guard:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH - 1))]
            lost, self._lost = self._lost, 0
            return batch, lost

    def _put_back(self, batch: list[Draft], lost: int) -> None:
        """What the disk refused is the first that waits; the newest of all find no room for it."""
        with self._guard:
            self._waiting.extendleft(reversed(batch))
            self._lost += lost
            while len(self._waiting) > MAX_WAITING:
                self._waiting.pop()
                self._lost += 1

    def _tell(self, problem: str | None) -> None:
        if problem is not None and self._problem is None and self._log is not None:
            self._log.error("audit-failed", error=problem)
        self._problem = problem

    async def run(self) -> None:
        """Brings what is said to disk until it is cancelled."""
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                await self.flush()
            except AuditError:
                continue  # it was told, and is tried again

    async def close(self) -> None:
        """Writes what is left and closes the log; what the disk refuses now is lost."""
        with self._guard:
            self._put(self._coalescer.due(time.monotonic(), all_rows=True))
        try:
            await self.record("stopped")
        except AuditError:
            pass  # it was told
        finally:
            async with self._writing:
                self._journal.close()


def _draft(kept: Kept, event: str, fields: Mapping[str, object]) -> Draft:
    chosen = {name: fields[name] for name in kept.fields if name in fields}
    return Draft(_stamp(), kept.kind, event, clean(chosen))


def _stamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
