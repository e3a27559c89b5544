"""What the hub itself says: of strangers for the logs, and of phones that are away for the metrics, too."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from bridge.lan.coalesced import FIRST
from bridge.lan.events import FileRequest, FilingFailed, FromGateway, SessionEvent
from bridge.lan.relay import Relay
from gateway_client.frames import Event, Json
from tests.bridge.house import House, house
from tests.bridge.lan.phones import IPHONE
from tests.bridge.pairing.samples import draft
from tests.support.waiting import eventually


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


async def test_what_is_asked_of_a_phone_that_is_away_is_measured(tmp_path: Path) -> None:
    """A phone is away most of the time; red when its stand-in tells the logs only."""
    async with house(tmp_path / "home", linger_s=60.0) as bridge:
        switchboard = bridge.stage.switchboard
        await bridge.pair(IPHONE)
        async with bridge.call(IPHONE) as caller:
            await caller.gets_in()
            await eventually(lambda: switchboard.link(IPHONE.node_id), what="its link")
        await eventually(lambda: switchboard.lingers(IPHONE.node_id), what="the link lingers")
        link = switchboard.link(IPHONE.node_id)
        assert link is not None
        asked: Json = {"id": "i", "nodeId": link.record.gateway_node_id, "command": "device.info"}
        bridge.hub._stand_in(link).post(FromGateway(Event("node.invoke.request", asked)))
        told = 'invokes_total{family="device",outcome="NODE_DISCONNECTED"} 1.0'
        assert told in bridge.stage.flow.metrics.text()
