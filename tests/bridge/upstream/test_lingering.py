"""Links whose phones are away: kept for a while, not for ever, and not any number of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge.demo.gateway import EmbeddedGateway
from bridge.lan.events import Join, Report, SessionEvent
from bridge.pairing.records import NodeRecord, Role, Surface
from bridge.upstream.lingering import MAX_LINGERING, Lingering
from bridge.upstream.node_link import REPORT_TRIES, Attached, NodeLink
from gateway_client.frames import ErrorShape
from gateway_client.protocol import MAX_IN_FLIGHT
from tests.bridge.upstream.scripted import Params, Refused, ScriptedGateway
from tests.bridge.upstream.stage import OFFER, Phone, Stage, staged
from tests.support.waiting import eventually


class TestLingering:
    async def test_the_one_whose_phone_left_longest_ago_makes_room(self) -> None:
        closed: list[str] = []
        links = Lingering(60.0, closed.append)
        for number in range(5 * MAX_LINGERING):
            links.begin(f"n{number}")
        assert len(links) == MAX_LINGERING
        assert closed == [f"n{number}" for number in range(4 * MAX_LINGERING)]
        for number in range(5 * MAX_LINGERING):
            links.end(f"n{number}")
        assert len(links) == 0

    async def test_it_is_over_when_its_time_is_and_not_when_the_phone_is_back(self) -> None:
        closed: list[str] = []
        links = Lingering(0.05, closed.append)
        links.begin("back")
        links.begin("away")
        links.end("back")
        await eventually(lambda: closed)
        assert closed == ["away"]
        assert len(links) == 0


@dataclass
class StandIn:
    """Who answers for a phone; only remembers."""

    link: NodeLink
    told: list[SessionEvent] = field(default_factory=list)

    def post(self, event: SessionEvent) -> None:
        """Remember what was said."""
        self.told.append(event)


def stand_in(link: NodeLink) -> Attached:
    return StandIn(link)


@pytest.fixture
def linger_s() -> float:
    return 60.0


def at_gateway(gateway: EmbeddedGateway, node: NodeRecord) -> bool:
    return node.gateway_node_id in gateway.core.nodes.sessions


class TestSwitchboard:
    async def test_a_phone_that_comes_back_finds_its_link(self, gateway: EmbeddedGateway, stage: Stage) -> None:
        node, phone = await stage.linked()
        link = stage.switchboard.link(node.node_id)
        stage.switchboard.leave(phone, stand_in)
        assert stage.switchboard.lingers(node.node_id)
        assert at_gateway(gateway, node)
        back = stage.join(node)
        assert stage.switchboard.link(node.node_id) is link
        assert not stage.switchboard.lingers(node.node_id)
        assert back.told
        assert len(stage.events("node-linked")) == 2  # once, and once more after the first approval

    async def test_with_another_offer_its_link_is_made_anew(self, gateway: EmbeddedGateway, stage: Stage) -> None:
        node, phone = await stage.linked()
        link = stage.switchboard.link(node.node_id)
        stage.switchboard.leave(phone, stand_in)
        stage.join(node, Surface(commands=("device.info",)))
        await stage.settled(node)
        assert stage.switchboard.link(node.node_id) is not link
        await eventually(
            lambda: gateway.core.nodes.sessions[node.gateway_node_id].effective.commands == ("device.info",)
        )

    async def test_with_another_key_too(self, stage: Stage) -> None:
        node, phone = await stage.linked()
        link = stage.switchboard.link(node.node_id)
        stage.switchboard.leave(phone, stand_in)
        anew = stage.node(7).model_copy(update={"node_id": node.node_id})
        stage.switchboard.join(Phone(node.node_id), Join(anew, Role.NODE, OFFER))
        await stage.settled(anew)
        assert stage.switchboard.link(node.node_id) is not link

    async def test_closing_ends_it_at_once(self, gateway: EmbeddedGateway, stage: Stage) -> None:
        node, phone = await stage.linked()
        stage.switchboard.leave(phone, stand_in)
        stage.switchboard.close(node.node_id)
        assert not stage.switchboard.lingers(node.node_id)
        await eventually(lambda: not at_gateway(gateway, node))

    async def test_so_do_other_terms(self, gateway: EmbeddedGateway, stage: Stage) -> None:
        node, phone = await stage.linked()
        stage.switchboard.leave(phone, stand_in)
        stage.switchboard.changed(node.model_copy(update={"permissions": ("voice",)}))
        await eventually(lambda: not at_gateway(gateway, node))

    async def test_other_terms_while_the_phone_is_there_end_it_when_that_goes(self, stage: Stage) -> None:
        node, phone = await stage.linked()
        stage.switchboard.changed(node.model_copy(update={"permissions": ("voice",)}))
        assert stage.switchboard.link(node.node_id) is not None
        stage.switchboard.leave(phone, stand_in)
        assert stage.switchboard.link(node.node_id) is None

    async def test_who_stands_in_hears_the_gateway_and_the_phone_no_more(self, stage: Stage) -> None:
        node, phone = await stage.linked()
        made: list[StandIn] = []

        def make(link: NodeLink) -> Attached:
            """Keep it."""
            made.append(StandIn(link))
            return made[-1]

        before = len(phone.told)
        stage.switchboard.leave(phone, make)
        link = stage.switchboard.link(node.node_id)
        assert link is not None
        link.relink()
        await eventually(lambda: made[0].told)
        assert len(phone.told) == before

    async def test_a_time_of_zero_closes_at_once(self, gateway: EmbeddedGateway, tmp_path: Path) -> None:
        async with staged(gateway.url, tmp_path / "other", linger_s=0.0) as stage:
            node, phone = await stage.linked()
            stage.switchboard.leave(phone, stand_in)
            assert stage.switchboard.link(node.node_id) is None


async def test_a_report_that_the_gateway_refuses_for_a_moment_is_sent_again_and_not_for_ever(tmp_path: Path) -> None:
    """Red without the loop of `NodeLink._report`: the invoke would only end with its time."""
    refusals = [1, 2]

    def result(params: Params) -> Params:
        """Refuse twice, then take it."""
        if refusals:
            refusals.pop()
            raise Refused("UNAVAILABLE", "changed", code="PAIRING_CHANGED")
        return {"ok": True}

    async with ScriptedGateway() as scripted, staged(scripted.url, tmp_path / "home") as stage:
        await eventually(lambda: stage.operator.is_open)
        node = await asyncio.to_thread(stage.node)
        stage.join(node)
        link = await eventually(lambda: stage.switchboard.link(node.node_id))
        await eventually(lambda: link.is_open)
        scripted.answers["node.invoke.result"] = result
        link.report(Report("i1", ErrorShape("TIMEOUT", "x")))
        await link.finish_reports()
        assert [params["id"] for params in scripted.asked("node.invoke.result")] == ["i1"] * 3
        refusals.extend(range(20))
        link.report(Report("i2", ErrorShape("TIMEOUT", "x")))
        await link.finish_reports()
        assert len(scripted.asked("node.invoke.result")) == 3 + 1 + REPORT_TRIES


async def test_more_reports_than_a_connection_takes_at_once_all_reach_the_gateway(tmp_path: Path) -> None:
    """Red when a connection that is full of them counts as lost: those calls would only end with their time."""
    count = MAX_IN_FLIGHT + 100
    async with ScriptedGateway() as scripted, staged(scripted.url, tmp_path / "home") as stage:
        await eventually(lambda: stage.operator.is_open)
        node = await asyncio.to_thread(stage.node)
        stage.join(node)
        link = await eventually(lambda: stage.switchboard.link(node.node_id))
        await eventually(lambda: link.is_open)
        scripted.answers["node.invoke.result"] = lambda params: {"ok": True}
        for number in range(count):
            link.report(Report(f"i{number}", ErrorShape("FORBIDDEN", "x")))
        await link.finish_reports()
        assert {params["id"] for params in scripted.asked("node.invoke.result")} == {f"i{n}" for n in range(count)}
        assert not stage.events("report-lost")
