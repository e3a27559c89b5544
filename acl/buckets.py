"""Pure: token buckets over a monotonic clock (design §10).

A bucket holds up to `burst` tokens and gains `rate_per_s` of them each second; whoever finds too few takes none and is
told the seconds until there are enough. Going on asking costs nothing and delays nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

_DUST = 1e-9  # tokens: whoever waited exactly as long as it was told must not find a rounding error missing


@dataclass(slots=True, eq=False)
class TokenBucket:
    """One bucket; it begins full.

    Attributes:
        rate_per_s: tokens gained per second; more than 0.
        burst: tokens that it holds at the most; more than 0.
    """

    rate_per_s: float
    burst: float
    _tokens: float = field(init=False)
    _at: float | None = None

    def __post_init__(self) -> None:
        if self.rate_per_s <= 0 or self.burst <= 0:
            raise ValueError("a bucket's rate and burst must be more than 0")
        self._tokens = self.burst

    def take(self, now: float, n: float = 1.0) -> float:
        """Takes tokens when there are enough.

        Args:
            now: monotonic seconds; a moment before the last one counts as the last one.
            n: how many.

        Returns:
            0.0: they are taken. Otherwise nothing is, and this is the number of seconds until they would be there;
            infinite when the bucket never holds as many.
        """
        wait = self.wait(now, n)
        if wait == 0.0:
            self._tokens = max(0.0, self._tokens - n)  # the dust that was missing is not owed
        return wait

    def wait(self, now: float, n: float = 1.0) -> float:
        """Returns what `take` would, and takes nothing."""
        self._fill(now)
        if n > self.burst:
            return inf
        missing = n - self._tokens
        return missing / self.rate_per_s if missing > _DUST else 0.0

    def charge(self, now: float, n: float) -> None:
        """Takes tokens for what has happened already; those that are not there are owed, at most one `burst` of them.

        Args:
            now: monotonic seconds.
            n: how many.
        """
        self._fill(now)
        self._tokens = max(self._tokens - n, -self.burst)

    def give_back(self, n: float = 1.0) -> None:
        """Returns tokens of something that did not happen after all."""
        self._tokens = min(self.burst, self._tokens + n)

    def used(self, now: float) -> float:
        """Returns how many tokens are missing from a full bucket; 0.0: it is as good as a new one."""
        self._fill(now)
        return self.burst - self._tokens

    def _fill(self, now: float) -> None:
        if self._at is None:
            self._at = now
        elif now > self._at:
            self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate_per_s)
            self._at = now
