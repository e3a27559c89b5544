"""Pure: how often a key that waits for a person may come again at no cost to its address (design §4, "The door").

An app that waits opens two sockets every six seconds. Whoever comes faster than that pays for it as everyone does.
"""

from __future__ import annotations

RETRY_EVERY_S = 2.0  # seconds per socket that is given back: an app opens one every 3 s on the average
RETRY_BURST = 4  # sockets at once: the two of an app, twice, as when its network has just changed
MAX_KEYS = 1024  # keys remembered, 100 bytes each; 32 can wait at a time, and the one seen longest ago is forgotten


class Retries:
    """What was given back, by key: one socket per `RETRY_EVERY_S`, and up to `RETRY_BURST` at once."""

    def __init__(self) -> None:
        self._used: dict[str, tuple[float, float]] = {}

    def spend(self, key: str, came: float) -> bool:
        """Tells whether the visit of a waiting key is given back, and counts it then.

        Args:
            key: the proven key's id.
            came: when it came to the door, in the door's seconds.
        """
        latest, used = self._used.pop(key, (came, came))
        latest = max(latest, came)  # a socket that was held ends after one that came later and was answered at once
        used = max(latest, used)
        granted = used - latest <= RETRY_EVERY_S * (RETRY_BURST - 1)
        while len(self._used) >= MAX_KEYS:
            del self._used[next(iter(self._used))]
        self._used[key] = latest, used + RETRY_EVERY_S if granted else used
        return granted

    def __len__(self) -> int:
        return len(self._used)
