"""How many ceremonies of native nodes were begun lately: the count that keeps a guessed code as rare as promised.

Whoever sits between a node and the bridge has one chance in a million for each ceremony that the bridge begins while
the node waits (design §6). So ceremonies are counted when they begin, over all addresses and across restarts; at the
cap native enrolment closes until a person opens it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from bridge.pairing.ceremony_cap import WINDOW_S, CapState
from bridge.pairing.database import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ceremonies (id TEXT PRIMARY KEY, begun_at REAL NOT NULL, closes INTEGER NOT NULL) STRICT
"""


class CeremonyLedger:
    """The count on disk. Memory decides, by the monotonic clock; the file brings it over a restart.

    Args:
        path: the sqlite file.
        limit: ceremonies in a window that may end without an approval.
        now: monotonic seconds.
        wall: aware UTC time.

    Raises:
        StoreError: from every method: the disk refused; nothing was counted, and nothing may begin.
    """

    def __init__(self, path: Path, limit: int, now: float, wall: datetime) -> None:
        self._database = Database(path, _SCHEMA)
        with self._database.opened() as database:
            rows = database.execute("SELECT id, begun_at, closes FROM ceremonies ORDER BY begun_at").fetchall()
        # A row from the future (the clock was set back) counts as one of this moment.
        begun = {str(row[0]): now - max(0.0, wall.timestamp() - float(row[1])) for row in rows}
        self._state = CapState(limit, begun, closed=any(row[2] for row in rows))

    def closed(self, now: float) -> bool:
        """Whether native enrolment waits for a person."""
        return self._state.is_closed(now)

    def begin(self, ceremony_id: str, now: float, wall: datetime) -> bool:
        """Counts a ceremony, on disk, before it begins; False: it may not begin, and nothing will until `open`."""
        if self._state.is_closed(now):
            return False
        state = self._state.begin(ceremony_id, now)
        with self._database.opened() as database:
            database.execute("DELETE FROM ceremonies WHERE begun_at < ?", (wall.timestamp() - WINDOW_S,))
            database.execute("INSERT INTO ceremonies VALUES (?, ?, 0)", (ceremony_id, wall.timestamp()))
            database.execute("UPDATE ceremonies SET closes = ?", (state.closed,))
        self._state = state
        return True

    def give_back(self, ceremony_id: str) -> None:
        """A ceremony ended in an approval: it does not count."""
        state = self._state.give_back(ceremony_id)
        with self._database.opened() as database:
            database.execute("DELETE FROM ceremonies WHERE id = ?", (ceremony_id,))
            database.execute("UPDATE ceremonies SET closes = ?", (state.closed,))
        self._state = state

    def open(self) -> None:
        """A person opens enrolment: counting begins anew."""
        with self._database.opened() as database:
            database.execute("DELETE FROM ceremonies")
        self._state = self._state.opened()
