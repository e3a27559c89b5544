"""The switchboard's links: taken over, replaced, closed, and none that outlives its phone."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.demo.gateway import EmbeddedGateway
from bridge.demo.gateway.invokes import read_call
from bridge.demo.gateway.refusals import Refusal
from bridge.lan.events import Answered, FromGateway, Link, Report
from bridge.pairing.records import Surface, UpstreamIdentity
from bridge.upstream.switchboard import CONNECTS
from certs.errors import IdentityError
from gateway_client.errors import GatewayError
from gateway_client.frames import ErrorShape, Json, JsonObject
from tests.bridge.pairing.samples import labels
from tests.bridge.upstream.scripted import ScriptedGateway
from tests.bridge.upstream.stage import OFFER, Phone, Stage, embedded, forward, outcome, running, skills, staged
from tests.support.scale import scale
from tests.support.waiting import eventually

QUICK_S = 1.0  # seconds: what is down says so within (design §11)


class TestJoin:
    async def test_a_first_call_waits_until_the_link_works(self, stage: Stage) -> None:
        await eventually(lambda: stage.operator.is_open)
        phone = stage.join(stage.node())
        told = await outcome(stage, phone, skills("k"))
        assert isinstance(told, Answered)
        assert told.response.ok

    async def test_it_is_being_made_until_what_it_offers_is_settled(
        self, gateway: EmbeddedGateway, stage: Stage
    ) -> None:
        """Also while it is made anew after its approval; not when it has failed to be, whatever comes then."""
        await eventually(lambda: stage.operator.is_open)
        node = stage.node()
        assert not stage.switchboard.is_linking(node.node_id)
        stage.join(node)
        while stage.switchboard.is_linking(node.node_id):
            link = stage.switchboard.link(node.node_id)
            assert link is None or link.surface is None
            await asyncio.sleep(0)
        made = stage.switchboard.link(node.node_id)
        assert made is not None
        assert made.surface is not None
        await gateway.kill()
        await eventually(lambda: not stage.operator.is_open)
        assert not stage.switchboard.is_linking(node.node_id)

    async def test_the_same_offer_takes_the_link_over(self, gateway: EmbeddedGateway, stage: Stage) -> None:
        node, first = await stage.linked()
        link = stage.switchboard.link(node.node_id)
        second = stage.join(node)
        assert stage.switchboard.link(node.node_id) is link
        stage.switchboard.leave(first)
        assert stage.switchboard.link(node.node_id) is link
        assert isinstance(await outcome(stage, second, skills("k")), Answered)

    @pytest.mark.parametrize("commands", [("device.info",), (*OFFER.commands, "motion.activity")])
    async def test_another_offer_is_another_link(
        self, gateway: EmbeddedGateway, stage: Stage, commands: tuple[str, ...]
    ) -> None:
        node, _ = await stage.linked()
        link = stage.switchboard.link(node.node_id)
        stage.join(node, Surface(commands=commands, caps=OFFER.caps))
        await eventually(lambda: stage.switchboard.link(node.node_id) not in {None, link})
        await stage.settled(node)
        session = gateway.core.nodes.sessions[node.gateway_node_id]
        assert set(session.effective.commands) == set(commands)

    async def test_other_labels_are_another_link(self, gateway: EmbeddedGateway, stage: Stage) -> None:
        node, _ = await stage.linked()
        renamed = node.model_copy(update={"labels": labels("Kitchen")})
        stage.join(renamed)
        await eventually(lambda: stage.switchboard.link(node.node_id))
        await stage.settled(renamed)
        names = [client["displayName"] for client in clients(gateway) if client["mode"] == "node"]
        assert names == [f"Kitchen [{node.node_id[:6]}]"]

    async def test_who_leaves_while_its_link_is_opened_gets_none(self, stage: Stage) -> None:
        node = stage.node()
        phone = stage.join(node)
        stage.switchboard.leave(phone)
        await eventually(lambda: not [task for task in asyncio.all_tasks() if task.get_name() == "open-link"])
        assert stage.switchboard.link(node.node_id) is None

    async def test_of_two_that_join_at_once_the_newer_has_the_link(self, stage: Stage) -> None:
        await eventually(lambda: stage.operator.is_open)
        node = stage.node()
        older, newer = stage.join(node), stage.join(node)
        await eventually(lambda: stage.switchboard.link(node.node_id))
        await stage.settled(node)
        assert newer.of(FromGateway)
        assert not older.of(FromGateway)
        stage.switchboard.leave(older)
        assert stage.switchboard.link(node.node_id) is not None


def clients(gateway: EmbeddedGateway) -> list[JsonObject]:
    return [peer.client.client for peer in gateway.core.peers.values() if peer.client is not None]


class TestLeave:
    async def test_what_was_reported_goes_out_before_the_link_closes(
        self, gateway: EmbeddedGateway, stage: Stage
    ) -> None:
        node, phone = await stage.linked()
        fields: JsonObject = {"nodeId": node.gateway_node_id, "command": "screen.show", "idempotencyKey": "k"}
        async with asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(nodes_error(gateway, fields)) for _ in range(8)]
            asked = await eventually(lambda: requests(phone) if len(requests(phone)) == 8 else None)
            for payload in asked:
                error = ErrorShape("NODE_DISCONNECTED", "NODE_DISCONNECTED: the phone has gone")
                stage.switchboard.report(phone, Report(str(payload["id"]), error))
            stage.switchboard.leave(phone)
        assert {str(call.result()) for call in calls} == {"NODE_DISCONNECTED"}
        await eventually(lambda: node.gateway_node_id not in gateway.core.nodes.sessions)

    async def test_closing_tells_the_gateway_at_once(self, gateway: EmbeddedGateway, stage: Stage) -> None:
        node, _ = await stage.linked()
        stage.switchboard.close(node.node_id)
        stage.switchboard.close(node.node_id)
        assert stage.switchboard.link(node.node_id) is None
        await eventually(lambda: node.gateway_node_id not in gateway.core.nodes.sessions, timeout_s=QUICK_S)

    @pytest.mark.slow
    async def test_joining_and_leaving_leaves_nothing_behind(self, gateway: EmbeddedGateway, stage: Stage) -> None:
        node, phone = await stage.linked()
        stage.switchboard.leave(phone)
        await eventually(lambda: len(stage.tasks) == 1, what="the operator link alone")
        baseline = len(asyncio.all_tasks())
        for number in range(max(50, scale(500))):
            phone = stage.join(node, OFFER if number % 2 else Surface(commands=("device.info",)))
            if number % 3:
                await eventually(lambda: stage.switchboard.link(node.node_id))
            stage.switchboard.leave(phone)
        await eventually(lambda: len(stage.tasks) == 1, timeout_s=20.0, what="the operator link alone")
        await eventually(lambda: len(asyncio.all_tasks()) <= baseline)
        await eventually(lambda: len(clients(gateway)) == 1)
        assert stage.switchboard.link(node.node_id) is None

    async def test_an_approval_that_hangs_ends_with_its_link(self, tmp_path: Path) -> None:
        async with ScriptedGateway() as scripted, staged(scripted.url, tmp_path / "home") as stage:
            await eventually(lambda: stage.operator.is_open)
            phone = stage.join(stage.node())
            await eventually(lambda: scripted.asked("node.list"))
            stage.switchboard.leave(phone)
            await eventually(lambda: running("settle-surface") == 0, timeout_s=4.0)
            assert stage.operator.is_open


def requests(phone: Phone) -> list[JsonObject]:
    found: list[Json] = [e.event.payload for e in phone.of(FromGateway) if e.event.event == "node.invoke.request"]
    return [payload for payload in found if isinstance(payload, dict)]


async def nodes_error(gateway: EmbeddedGateway, fields: JsonObject) -> Json:
    """Invoke and return the code of the error that the gateway gives as the node's."""
    try:
        await gateway.core.invoke(read_call(fields))
    except Refusal as refusal:
        error = refusal.error.detail("nodeError")
        return error.get("code") if isinstance(error, dict) else None
    return None


class TestRemoval:
    async def test_what_stood_for_a_revoked_key_is_removed(self, gateway: EmbeddedGateway, stage: Stage) -> None:
        node, phone = await stage.linked()
        stage.switchboard.leave(phone)
        gone = UpstreamIdentity(key_name="dd" * 8, gateway_node_id="dd" * 32)
        stale = node.model_copy(update={"stale_upstream": (gone, node.upstream)})
        assert await stage.switchboard.remove_stale(stale) == [gone, node.upstream]
        with pytest.raises(IdentityError):
            stage.keys.load_ed25519(node.upstream_key)
        assert node.gateway_node_id not in gateway.core.devices.paired
        assert node.gateway_node_id not in gateway.core.surfaces.approved

    async def test_while_the_gateway_is_gone_it_is_an_error(self, gateway: EmbeddedGateway, stage: Stage) -> None:
        node, _ = await stage.linked()
        await gateway.kill()
        with pytest.raises(GatewayError):
            await stage.switchboard.remove_stale(node.model_copy(update={"stale_upstream": (node.upstream,)}))


class TestAllowedAtTheGateway:
    @pytest.mark.parametrize(
        ("config", "allowed"),
        [
            ({"gateway": {"nodes": {"commands": {"allow": ["screen.show", 5]}}}}, ["screen.show"]),
            ({"gateway": {"nodes": {"commands": {"allow": "x"}}}}, []),
            ({"gateway": {"nodes": []}}, []),
            (None, []),
        ],
    )
    async def test_the_list_is_read_from_the_gateways_configuration(
        self, tmp_path: Path, config: Json, allowed: list[str]
    ) -> None:
        async with ScriptedGateway() as scripted, staged(scripted.url, tmp_path / "home") as stage:
            await eventually(lambda: stage.operator.is_open)
            scripted.answers["config.get"] = lambda params: {"config": config}
            assert await stage.switchboard.allowed_at_gateway() == allowed

    async def test_a_gateway_that_is_gone_cannot_be_asked(self, tmp_path: Path) -> None:
        async with staged("ws://127.0.0.1:9", tmp_path / "home") as stage:
            assert await stage.switchboard.allowed_at_gateway() is None

    async def test_after_a_change_a_relink_has_the_rest_approved(self, tmp_path: Path) -> None:
        async with embedded(allow=()) as gateway, staged(gateway.url, tmp_path / "home") as stage:
            node, _ = await stage.linked()
            assert withheld(stage, node.node_id) == ("screen.show",)
            link = stage.switchboard.link(node.node_id)
            assert link is not None
            gateway.core.setup = replace(gateway.setup, commands_allow=("screen.show",))
            link.relink()
            await eventually(lambda: withheld(stage, node.node_id) == ())
            assert "screen.show" in gateway.core.nodes.sessions[node.gateway_node_id].effective.commands


async def test_eight_links_are_made_at_a_time_when_all_phones_come_back(tmp_path: Path) -> None:
    """Red without the semaphore; when the gateway answers, the others follow, without a phone that comes again."""
    async with ScriptedGateway() as scripted, staged(scripted.url, tmp_path / "home") as stage:
        await eventually(lambda: stage.operator.is_open)
        answer, go = scripted.hello, asyncio.Event()

        async def later(params: JsonObject) -> object:
            await go.wait()
            return answer(dict(params))

        scripted.hello = later
        for number in range(3 * CONNECTS):
            stage.join(stage.node(number))
        await eventually(lambda: len(scripted.connects) == 1 + CONNECTS)
        with pytest.raises(TimeoutError):
            await eventually(lambda: len(scripted.connects) > 1 + CONNECTS, timeout_s=0.5)
        go.set()
        await eventually(lambda: len(stage.events("node-linked")) == 3 * CONNECTS)


def withheld(stage: Stage, node_id: str) -> tuple[str, ...] | None:
    link = stage.switchboard.link(node_id)
    return link.surface.withheld if link is not None and link.surface is not None else None


async def test_a_result_does_not_wait_for_a_surface_that_is_not_settled(tmp_path: Path) -> None:
    """Red when what is owed waits like a call: a gateway that is slow to say what it has approved would cost results.

    They answer what has come over the very connection, and are lost with it.
    """
    async with ScriptedGateway() as scripted, staged(scripted.url, tmp_path / "home") as stage:
        scripted.answers["node.invoke.result"] = lambda params: {"ok": True}
        await eventually(lambda: stage.operator.is_open)
        node = await asyncio.to_thread(stage.node)
        phone = stage.join(node)
        link = await eventually(lambda: stage.switchboard.link(node.node_id))
        await eventually(lambda: link.is_open)
        owed = replace(forward("r", "node.invoke.result", {"id": "i"}, link=Link.NODE), owed=True)
        assert isinstance(await outcome(stage, phone, owed, within_s=QUICK_S), Answered)
        assert not link.ready.is_set()
        assert not stage.events("surface-not-settled")
