"""What the hub itself says of strangers: each time for the audit log, a few times for the log."""

from __future__ import annotations

from typing import cast

from bridge.lan.coalesced import FIRST
from bridge.lan.events import FileRequest, FilingFailed, SessionEvent
from bridge.lan.relay import Relay
from tests.bridge.house import House
from tests.bridge.pairing.samples import draft


class Throttled:
    """A socket of an address that has asked for too many pairings."""

    address = "192.168.1.9"

    def __init__(self) -> None:
        self.visit = self
        self.told: list[SessionEvent] = []

    def ask(self, _now: float) -> float:
        """Return the seconds to wait."""
        return 7.0

    def post(self, event: SessionEvent) -> None:
        """Keep what the session is told."""
        self.told.append(event)


async def test_every_throttled_request_is_heard_of_and_few_are_lines(bridge: House) -> None:
    """Red when a request that the log leaves out is not said at all: the audit log would not count it."""
    stranger = Throttled()
    for _ in range(50):
        bridge.hub.file_request(cast("Relay", stranger), FileRequest(draft()))
    assert len([one for one in stranger.told if isinstance(one, FilingFailed)]) == 50
    levels = [one["level"] for one in bridge.stage.events("pairing-throttled")]
    assert (levels.count("info"), len(levels)) == (FIRST, 50)
