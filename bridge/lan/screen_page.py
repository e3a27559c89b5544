"""Pure: whether the agent may read what a device's screen shows: what is remembered of its navigations.

A device tells where a navigation has ended up only with its result. From the moment a navigation is sent until its good
result nobody knows what the screen shows, so nothing is read from it; and after a result that names a forbidden place
nothing is read until another navigation has ended well. Hiding a screen or changing its mode does not change its page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Shown(StrEnum):
    """What is known of the page on a screen."""

    ALLOWED = "allowed"
    """Nothing speaks against reading it."""
    UNKNOWN = "unknown"
    """A navigation has begun, and has not ended well."""
    FORBIDDEN = "forbidden"
    """It ended at a place that the policy does not allow."""


@dataclass(slots=True)
class ScreenPage:
    """The page of one device, over all of its connections."""

    shown: Shown = Shown.ALLOWED
    turn: int = 0
    """Navigations that have begun: what was asked in one turn and is answered in another may be of any page between."""
    _last: str = ""
    _before: Shown = Shown.ALLOWED

    def begin(self, invoke_id: str) -> None:
        """A navigation is on its way to the device; the one before, if it is still open, no longer counts."""
        self._last, self._before = invoke_id, self.shown
        self.shown = Shown.UNKNOWN
        self.turn += 1

    def arrived(self, invoke_id: str) -> None:
        """It ended at an allowed place."""
        if invoke_id == self._last:
            self.shown, self._last = Shown.ALLOWED, ""

    def strayed(self) -> None:
        """One ended at a place that is not allowed: what others that are still open end in does not count."""
        self.shown, self._last = Shown.FORBIDDEN, ""

    def not_begun(self, invoke_id: str) -> None:
        """The device did not even try: the page is what it was."""
        if invoke_id == self._last:
            self.shown, self._last = self._before, ""
            self.turn -= 1  # nothing was read in it: a screen is read where it is known what it shows


@dataclass(slots=True)
class ScreenPages:
    """The pages of all devices, by node id: a device that reconnects shows what it showed."""

    limit: int = 1_024
    """Devices that are remembered, some 200 bytes each; the one that came in longest ago is forgotten."""
    _pages: dict[str, ScreenPage] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._pages)

    def of(self, node_id: str) -> ScreenPage:
        """Returns a device's page, always the same one."""
        page = self._pages.pop(node_id, None) or ScreenPage()
        while len(self._pages) >= self.limit:
            del self._pages[next(iter(self._pages))]
        self._pages[node_id] = page
        return page
