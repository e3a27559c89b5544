"""A node's own link: who it says it is, what it carries, and how it comes back."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from pathlib import Path

import pytest

from bridge.demo.gateway import EmbeddedGateway
from bridge.demo.gateway.invokes import read_call
from bridge.demo.gateway.refusals import Refusal
from bridge.lan.events import FromGateway, LinkLost, LinkReady, Report, SessionEvent, Unanswered
from bridge.pairing.records import Labels, Surface
from bridge.upstream.channel import LinkDownError
from bridge.upstream.node_link import NodeLink, node_profile
from gateway_client.errors import GatewayGoneError
from gateway_client.frames import ErrorShape, JsonObject
from gateway_client.identity import DeviceIdentity
from gateway_client.retry import FIRST_S
from tests.bridge.pairing.samples import identity, record
from tests.bridge.upstream.scripted import HELLO, Answer, Params, Refused, ScriptedGateway
from tests.bridge.upstream.stage import OFFER, Phone, Stage, embedded, staged
from tests.support.waiting import eventually


def link_of(stage: Stage, phone: Phone) -> NodeLink:
    link = stage.switchboard.link(phone.node_id or "")
    assert link is not None
    return link


def invoked(gateway: EmbeddedGateway, node_id: str, command: str = "screen.show") -> asyncio.Task[object]:
    """Have the gateway invoke a command; the caller awaits the task."""
    fields: JsonObject = {"nodeId": node_id, "command": command, "idempotencyKey": "k", "timeoutMs": 5000}
    return asyncio.get_running_loop().create_task(gateway.core.invoke(read_call(fields)), name="invoke")


class TestProfile:
    def test_it_says_the_phones_kind_a_unique_name_and_exactly_the_offer(self) -> None:
        node = record(1)
        profile = node_profile(node, OFFER)
        assert profile.client == {
            "id": "openclaw-ios",
            "displayName": f"Anna's iPhone [{node.node_id[:6]}]",
            "version": "2026.9.6",
            "platform": "ios 26.1",
            "mode": "node",
            "deviceFamily": "iPhone",
        }
        assert (profile.role, tuple(profile.scopes)) == ("node", ())
        assert (profile.caps, profile.commands, profile.permissions) == (OFFER.caps, OFFER.commands, {})

    def test_labels_that_are_empty_are_left_out_and_others_told(self) -> None:
        labels = Labels(display_name="x", client_id="node-host", client_version="1", platform="linux", instance_id="i")
        client = node_profile(record(1, labels=labels), Surface()).client
        assert client["instanceId"] == "i"
        assert "deviceFamily" not in client
        assert "modelIdentifier" not in client


class TestAtTheGateway:
    async def test_it_has_its_own_key_and_name_and_the_granted_surface(
        self, gateway: EmbeddedGateway, stage: Stage
    ) -> None:
        node, phone = await stage.linked()
        device = gateway.core.devices.paired[node.gateway_node_id]
        assert device.role == "node"
        assert node.node_id not in gateway.core.devices.paired
        approved = gateway.core.surfaces.approved[node.gateway_node_id]
        assert set(approved.surface.commands) == set(OFFER.commands)
        link = link_of(stage, phone)
        assert link.surface is not None
        assert link.surface.effective == set(OFFER.commands)
        assert link.surface.withheld == ()

    async def test_what_the_gateway_withholds_is_known(self, tmp_path: Path) -> None:
        async with embedded(allow=()) as strict, staged(strict.url, tmp_path / "home") as stage:
            _, phone = await stage.linked()
            surface = link_of(stage, phone).surface
            assert surface is not None
            assert surface.withheld == ("screen.show",)
            assert [line["commands"] for line in stage.events("commands-withheld")] == [["screen.show"]]

    async def test_it_links_anew_when_more_is_allowed_and_again_while_that_gains_nothing(self, tmp_path: Path) -> None:
        async with embedded(allow=()) as strict, staged(strict.url, tmp_path / "home") as stage:
            node, phone = await stage.linked()
            link = link_of(stage, phone)

            def linked() -> int:
                return len(stage.events("node-linked"))

            before = linked()
            for allowed in (frozenset[str](), frozenset({"camera.snap"})):
                link.consider(allowed)
            link.consider(frozenset({"screen.show"}))
            await eventually(lambda: linked() == before + 1)
            await stage.settled(node)
            link.consider(frozenset({"screen.show"}))
            await stage.operator.request("health", {})
            assert link.ready.is_set()
            assert linked() == before + 1
            link.consider(frozenset({"screen.show"}))  # the third look: said before it was acted on
            await eventually(lambda: linked() == before + 2)
            await stage.settled(node)
            link.consider(frozenset())
            link.consider(frozenset({"screen.show"}))
            await eventually(lambda: linked() == before + 3)

    async def test_a_gateway_that_pairs_nobody_gets_it_approved(self, tmp_path: Path) -> None:
        async with embedded(auto_approve_local=False) as strict, staged(strict.url, tmp_path / "home") as stage:
            node, _ = await stage.linked()
            assert strict.core.devices.paired[node.gateway_node_id].approved_via == "owner"

    async def test_invokes_reach_the_phone(self, gateway: EmbeddedGateway, stage: Stage) -> None:
        node, phone = await stage.linked()
        call = invoked(gateway, node.gateway_node_id)
        found = await eventually(lambda: [e for e in phone.of(FromGateway) if e.event.event == "node.invoke.request"])
        payload = found[0].event.payload
        assert isinstance(payload, dict)
        answer: JsonObject = {"id": payload["id"], "nodeId": node.gateway_node_id, "ok": True, "payloadJSON": "{}"}
        assert (await link_of(stage, phone).request("node.invoke.result", answer)).ok
        await call

    async def test_a_report_ends_an_invoke_with_code_and_message_only(
        self, gateway: EmbeddedGateway, stage: Stage
    ) -> None:
        node, phone = await stage.linked()
        call = invoked(gateway, node.gateway_node_id)
        found = await eventually(lambda: [e for e in phone.of(FromGateway) if e.event.event == "node.invoke.request"])
        payload = found[0].event.payload
        assert isinstance(payload, dict)
        error = ErrorShape("FORBIDDEN", "no", {"more": 1}, retryable=True)
        link_of(stage, phone).report(Report(str(payload["id"]), error))
        with pytest.raises(Refusal) as caught:
            await call
        assert caught.value.error.detail("nodeError") == {"code": "FORBIDDEN", "message": "no"}

    async def test_with_nobody_attached_an_invoke_ends_as_disconnected(
        self, gateway: EmbeddedGateway, stage: Stage
    ) -> None:
        node, phone = await stage.linked()
        assert link_of(stage, phone).detach(phone)
        with pytest.raises(Refusal) as caught:
            await invoked(gateway, node.gateway_node_id)
        assert "NODE_DISCONNECTED" in caught.value.error.message

    async def test_a_report_on_a_link_that_is_down_is_borne(self, gateway: EmbeddedGateway, stage: Stage) -> None:
        _, phone = await stage.linked()
        link = link_of(stage, phone)
        await gateway.kill()
        await eventually(lambda: phone.of(LinkLost))
        link.report(Report("i1", ErrorShape("FORBIDDEN", "no")))
        async with asyncio.timeout(1.0):
            await link.finish_reports()
        assert stage.events("report-lost")


class TestReplay:
    async def test_whoever_attaches_gets_the_latest_voice_wake_events(
        self, gateway: EmbeddedGateway, stage: Stage
    ) -> None:
        _, first = await stage.linked()
        await stage.operator.request("voicewake.set", {"triggers": ["anna"]})
        await eventually(lambda: triggers(first)[-1:] == [["anna"]])
        second = Phone(first.node_id)
        link_of(stage, first).attach(second)
        assert triggers(second) == [["anna"]]
        assert {e.event.event for e in second.of(FromGateway)} == {"voicewake.changed", "voicewake.routing.changed"}

    async def test_an_event_goes_to_the_newest_socket_only(self, gateway: EmbeddedGateway, stage: Stage) -> None:
        _, first = await stage.linked()
        second = Phone(first.node_id)
        link = link_of(stage, first)
        link.attach(second)
        before = len(first.told)
        assert not link.detach(first), "the newer socket is still there"
        await stage.operator.request("voicewake.set", {"triggers": ["two"]})
        await eventually(lambda: triggers(second)[-1:] == [["two"]])
        assert len(first.told) == before


def triggers(phone: Phone) -> list[object]:
    changed = [e.event.payload for e in phone.of(FromGateway) if e.event.event == "voicewake.changed"]
    return [payload["triggers"] for payload in changed if isinstance(payload, dict)]


class TestComingBack:
    async def test_after_a_kill_it_is_there_again_and_the_phone_was_told(
        self, gateway: EmbeddedGateway, stage: Stage
    ) -> None:
        node, phone = await stage.linked()
        link = link_of(stage, phone)
        lost, ready = len(phone.of(LinkLost)), len(phone.of(LinkReady))
        assert ready >= 1
        await gateway.kill()
        await eventually(lambda: len(phone.of(LinkLost)) == lost + 1)
        assert not link.ready.is_set()
        with pytest.raises(LinkDownError):
            await link.request("node.event", {})
        await gateway.start()
        await eventually(link.ready.is_set)
        assert len(phone.of(LinkReady)) == ready + 1
        assert link_of(stage, phone) is link
        assert node.gateway_node_id in gateway.core.nodes.sessions

    async def test_what_is_in_flight_when_it_ends_fails_once(self, tmp_path: Path) -> None:
        async with ScriptedGateway() as scripted, staged(scripted.url, tmp_path / "home") as stage:
            phone = stage.join(stage.node())
            await eventually(lambda: [c for c in scripted.connects if c["role"] == "node"])
            link = await eventually(lambda: stage.switchboard.link(phone.node_id or ""))
            await eventually(lambda: stage.events("node-linked"))
            calls = asyncio.gather(*(link.request("node.event", {}) for _ in range(20)), return_exceptions=True)
            await eventually(lambda: len(scripted.asked("node.event")) == 20)
            scripted.drop_all()
            async with asyncio.timeout(1.0):
                assert [type(outcome) for outcome in await calls] == [GatewayGoneError] * 20
            assert phone.of(Unanswered) == []

    async def test_a_refusal_that_needs_a_person_is_said_once_and_not_hammered(self, tmp_path: Path) -> None:
        async with ScriptedGateway() as scripted, staged(scripted.url, tmp_path / "home") as stage:
            await eventually(lambda: stage.operator.is_open)
            scripted.hello = refuse_nodes("AUTH_TOKEN_MISMATCH")
            stage.join(stage.node())
            await eventually(lambda: stage.events("node-link-refused"))
            await asyncio.sleep(FIRST_S * 1.5)  # longer than any first pause: to see that nothing happens
            assert len([connect for connect in scripted.connects if connect["role"] == "node"]) == 1

    async def test_an_approval_that_changes_nothing_is_not_hammered(self, tmp_path: Path) -> None:
        async with ScriptedGateway() as scripted, staged(scripted.url, tmp_path / "home") as stage:
            await eventually(lambda: stage.operator.is_open)
            node = stage.node()
            scripted.hello = refuse_nodes("PAIRING_REQUIRED")
            key = DeviceIdentity(stage.keys.load_ed25519(node.upstream_key)).public_key_text
            entry = {
                "requestId": "d1",
                "deviceId": node.gateway_node_id,
                "publicKey": key,
                "role": "node",
            }
            scripted.answers |= {
                "device.pair.list": lambda params: {"pending": [entry]},
                "device.pair.approve": lambda params: {},
            }
            stage.join(node)
            await eventually(lambda: scripted.asked("device.pair.approve"))
            await asyncio.sleep(FIRST_S * 1.5)  # to see how often it tries
            assert 1 <= len([connect for connect in scripted.connects if connect["role"] == "node"]) <= 4

    async def test_a_gateway_that_wants_approval_again_and_again_does_not_make_the_link_spin(
        self, tmp_path: Path
    ) -> None:
        async with ScriptedGateway() as scripted, staged(scripted.url, tmp_path / "home") as stage:
            await eventually(lambda: stage.operator.is_open)
            node = stage.node()
            offered: Params = {"nodeId": node.gateway_node_id, "commands": [*OFFER.commands], "caps": [*OFFER.caps]}
            states = itertools.cycle(["pending-approval", "approved"])
            scripted.answers |= {
                "node.list": lambda params: {"nodes": [{**offered, "approvalState": next(states)}]},
                "node.pair.list": lambda params: {"pending": [{**offered, "requestId": "r1"}]},
                "node.pair.approve": lambda params: {},
                "node.rename": lambda params: {},
            }
            stage.join(node)
            await stage.settled(node)
            assert len(scripted.asked("node.pair.approve")) == 2
            assert len(stage.events("node-linked")) == 2

    async def test_after_a_fault_of_its_socket_it_comes_back(self, tmp_path: Path) -> None:
        class Faulty(Phone):
            def post(self, event: SessionEvent) -> None:
                if isinstance(event, FromGateway):
                    raise ZeroDivisionError

        async with ScriptedGateway() as scripted, staged(scripted.url, tmp_path / "home") as stage:
            await eventually(lambda: stage.operator.is_open)
            phone = stage.join(stage.node())
            await eventually(lambda: stage.events("node-linked"))
            link_of(stage, phone).attach(Faulty(phone.node_id))
            await scripted.say("voicewake.changed", {})
            await eventually(lambda: len(stage.events("node-linked")) == 2)
            assert stage.events("node-link-failed")

    async def test_a_gateway_that_dies_at_a_relink_is_not_hammered(self, tmp_path: Path) -> None:
        async with ScriptedGateway() as scripted, staged(scripted.url, tmp_path / "home") as stage:
            await eventually(lambda: stage.operator.is_open)
            phone = stage.join(stage.node())
            await eventually(lambda: stage.events("node-linked"))
            before, scripted.challenge = scripted.dials, "no challenge"
            link_of(stage, phone).relink()
            await asyncio.sleep(FIRST_S * 1.5)  # to see how often it tries
            assert 1 <= scripted.dials - before <= 3

    async def test_somebody_elses_request_is_not_approved(self, tmp_path: Path) -> None:
        async with ScriptedGateway() as scripted, staged(scripted.url, tmp_path / "home") as stage:
            await eventually(lambda: stage.operator.is_open)
            scripted.hello = refuse_nodes("PAIRING_REQUIRED")
            other = identity(77)
            entry = {"requestId": "d1", "deviceId": other.device_id, "publicKey": other.public_key_text, "role": "node"}
            scripted.answers["device.pair.list"] = lambda params: {"pending": [entry]}
            stage.join(stage.node())
            await eventually(lambda: len(scripted.asked("device.pair.list")) == 2)
            assert scripted.asked("device.pair.approve") == []

    async def test_without_a_secret_it_waits_and_sends_nothing(self, tmp_path: Path) -> None:
        async with (
            ScriptedGateway() as scripted,
            staged(scripted.url, tmp_path / "home", run_operator=False) as stage,
        ):
            stage.environ.clear()
            phone = stage.join(stage.node())
            link = await eventually(lambda: stage.switchboard.link(phone.node_id or ""))
            with suppress(LinkDownError):
                await link.request("node.event", {})
            assert scripted.connects == []
            assert not link.ready.is_set()


def refuse_nodes(code: str) -> Answer:
    """Return a hello that lets operators in and refuses nodes."""

    def hello(params: Params) -> Params:
        if params["role"] == "node":
            raise Refused("NOT_PAIRED", "refused", code=code)
        return HELLO

    return hello
