"""Pure: how often a key may do something within a minute, with attempts that are given back when they did no harm.

A window of a minute slides: an attempt counts for exactly `WINDOW_S` seconds. A refused attempt counts for nothing, so
whoever goes on trying is let in again as soon as anyone else would be.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from acl.places import Places

WINDOW_S = 60.0  # seconds
# Keys remembered, as OpenSSH remembers sources: about 250 bytes each with one attempt, so 16 MiB. A list of 20 attempts
# takes 0.7 KiB more; to fill all of them somebody has to fail 1.3 million times within the minute.
MAX_KEYS = 65_536


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt that counts until its minute is over or it is given back."""

    _budget: Budget
    _key: str
    _log: list[float]
    _at: float
    _given_back: bool = False

    def give_back(self) -> None:
        """It did no harm and counts no more. Doing this twice, or after its minute, changes nothing."""
        if not self._given_back:
            self._given_back = True
            self._budget.take_back(self._key, self._log, self._at)


@dataclass(slots=True, eq=False)
class Budget:
    """Attempts by key, in a table that no flood of new keys makes forget a key that is kept out (`acl.places`).

    Attributes:
        per_window: attempts of one key within `WINDOW_S` seconds.
        max_keys: keys remembered.
    """

    per_window: int
    max_keys: int = MAX_KEYS
    _places: Places[list[float]] = field(init=False)

    def __post_init__(self) -> None:
        self._places = Places(self.max_keys)

    def __len__(self) -> int:
        return len(self._places)

    def spend(self, key: str, now: float) -> Attempt | None:
        """Takes an attempt; returns None when the key has none left.

        Args:
            key: who tries.
            now: monotonic seconds, never less than before.
        """
        log = self._take_out(key, now)
        if log is None and not self._places.has_room(lambda each: each[-1] <= now - WINDOW_S):
            return None
        attempt = None
        log = [] if log is None else log
        if len(log) < self.per_window:
            log.append(now)
            attempt = Attempt(self, key, log, now)
        self._put_in(key, log)
        return attempt

    def wait(self, key: str, now: float) -> float:
        """Returns the seconds until the key has an attempt; 0.0: it has one now.

        Args:
            key: who would try.
            now: monotonic seconds.
        """
        log = self._places.spent(key) or ()
        alive = log[bisect_right(log, now - WINDOW_S) :]
        return alive[-self.per_window] + WINDOW_S - now if len(alive) >= self.per_window else 0.0

    def take_back(self, key: str, log: list[float], at: float) -> None:
        """What `Attempt.give_back` does; `log` tells whether the key has been forgotten and begun anew since."""
        if at not in log:
            return
        log.remove(at)
        if self._places.get(key) is not log:
            return
        if not log:
            self._places.take_out(key)
        elif self._places.spent(key) is log:
            self._places.take_out(key)
            self._put_in(key, log)

    def _take_out(self, key: str, now: float) -> list[float] | None:
        log = self._places.take_out(key)
        if log is not None:
            del log[: bisect_right(log, now - WINDOW_S)]
        return log

    def _put_in(self, key: str, log: list[float]) -> None:
        self._places.put_in(key, log, spent=len(log) >= self.per_window)
