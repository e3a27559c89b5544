"""Who answers for a phone that is away: its words go to the gateway, what else it hears goes nowhere."""

from __future__ import annotations

import io
import json

from acl.permissions import PROFILES
from bridge import clock
from bridge.lan.coalesced import FIRST, Coalesced
from bridge.lan.events import FromGateway, LinkLost, LinkReady, Report
from bridge.lan.recall import Replay
from bridge.lan.stand_in import StandIn
from bridge.log import make_log
from bridge.pairing.records import Surface
from bridge.upstream.idempotency import memo_of, node_owner
from gateway_client.frames import Event, Json
from tests.bridge.lan.phones import IPHONE
from tests.bridge.lan.playbook import book


class Ear:
    """A stand-in and what it said."""

    def __init__(self) -> None:
        self.said: list[Report | Replay] = []
        self.log = io.StringIO()
        self.directory = book()
        offer = Surface(commands=("screen.show", "device.info"))
        record = IPHONE.record(PROFILES["phone"])
        self.tapped: list[dict[str, object]] = []
        self.noted: list[tuple[str, dict[str, Json]]] = []
        log = make_log("info", "json", self.log, tap=lambda _, event: self.tapped.append(dict(event)))
        lines = Coalesced()
        self.stand_in = StandIn(
            record,
            offer,
            self.directory,
            self.said.append,
            lambda who, event: lines.line(who, event, 0.0),
            lambda event, fields: self.noted.append((event, dict(fields))),
            log,
        )

    def hears(self, command: str, **more: Json) -> None:
        """The gateway invokes something."""
        payload: Json = {"id": "i", "nodeId": IPHONE.gateway_id, "command": command, **more}
        self.stand_in.post(FromGateway(Event("node.invoke.request", payload)))


async def test_an_invoke_is_answered_and_noted_without_what_it_said() -> None:
    ear = Ear()
    ear.hears("device.info", paramsJSON='{"planted":1}')
    (report,) = ear.said
    assert isinstance(report, Report)
    assert report.error.code == "NODE_DISCONNECTED"
    line = json.loads(ear.log.getvalue())
    assert (line["event"], line["command"], line["code"]) == ("invoke-refused", "device.info", "NODE_DISCONNECTED")
    assert line["away"] is True
    assert [event["node"] for event in ear.tapped] == [IPHONE.node_id]  # whole, as the audit log has it of all others
    assert "planted" not in ear.log.getvalue()


async def test_an_agent_in_a_loop_fills_no_log_and_the_audit_log_hears_of_each_with_the_whole_id() -> None:
    """Red when a line is written for each, or the id is shortened: `audit tail --node` would not find it."""
    ear = Ear()
    for _ in range(1_000):
        ear.hears("device.info")
    assert len(ear.said) == 1_000
    assert len(ear.log.getvalue().splitlines()) == FIRST
    assert len(ear.tapped) == 1_000
    assert ear.noted == [("invoke-refused", {"command": "device.info", "code": "NODE_DISCONNECTED"})] * 1_000
    assert {one["node"] for one in ear.tapped} == {IPHONE.node_id}


async def test_what_was_done_before_is_told_again() -> None:
    ear = Ear()
    memo = memo_of(node_owner(IPHONE.node_id), "k", "device.info", None)
    ear.directory.ledger.done(memo, {"ok": True, "payload": {"a": 1}}, clock.now().mono)
    ear.hears("device.info", idempotencyKey="k")
    assert ear.said == [Replay("i", {"ok": True, "payload": {"a": 1}})]


async def test_whatever_else_is_said_goes_nowhere() -> None:
    ear = Ear()
    for event in (LinkReady(), LinkLost(), FromGateway(Event("chat", {"text": "planted"})), FromGateway(Event("tick"))):
        ear.stand_in.post(event)
    assert ear.said == []
    assert ear.log.getvalue() == ""
