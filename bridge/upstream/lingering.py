"""The links whose phones are away: for a while the gateway goes on to count those phones as connected (design §11)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# Each for `gateway.linger_s` at the most: a socket and below 100 KiB each, 6 MiB in all. The one whose phone left
# longest ago makes room.
MAX_LINGERING = 64


class Lingering:
    """See the module's text.

    Args:
        seconds: for how long; 0: not at all.
        close: ends the link of a node whose time is up.
    """

    def __init__(self, seconds: float, close: Callable[[str], None]) -> None:
        self._seconds = seconds
        self._close = close
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def __contains__(self, node_id: str) -> bool:
        return node_id in self._timers

    def __len__(self) -> int:
        return len(self._timers)

    @property
    def is_on(self) -> bool:
        """Whether any link lingers at all."""
        return self._seconds > 0

    def begin(self, node_id: str) -> None:
        """The phone has gone; its link lingers from now on."""
        self.end(node_id)
        while len(self._timers) >= MAX_LINGERING:
            first = next(iter(self._timers))
            self.end(first)
            self._close(first)
        loop = asyncio.get_running_loop()
        self._timers[node_id] = loop.call_later(self._seconds, self._over, node_id)

    def end(self, node_id: str) -> None:
        """The phone is back, or its link is closed."""
        timer = self._timers.pop(node_id, None)
        if timer is not None:
            timer.cancel()

    def _over(self, node_id: str) -> None:
        self.end(node_id)
        self._close(node_id)
