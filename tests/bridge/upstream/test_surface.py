"""The approval at the gateway: exactly what was offered, for a key of ours, and nothing that it did not offer stays."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.pairing.records import Surface
from bridge.upstream import surface as module
from bridge.upstream.surface import SurfaceError, SurfaceState
from gateway_client.connection import GatewayConnection
from gateway_client.errors import ConnectRefusedError, GatewayError
from gateway_client.identity import DeviceIdentity
from gateway_client.protocol import ConnectProfile, Credentials
from tests.bridge.pairing.samples import identity
from tests.bridge.upstream.scripted import Params, Refused, ScriptedGateway
from tests.bridge.upstream.stage import OFFER, TOKEN, Stage, embedded, staged
from tests.support.waiting import eventually

OURS = identity(1).device_id
NONE_WAITS: Params = {"pending": [], "paired": []}


@pytest.fixture
def url(scripted: ScriptedGateway) -> str:
    return scripted.url


@pytest_asyncio.fixture
async def stage(stage: Stage) -> Stage:
    await eventually(lambda: stage.operator.is_open)
    return stage


def row(state: str, *commands: str) -> Params:
    return {"nodes": [{"nodeId": OURS, "approvalState": state, "commands": [*commands]}]}


def pending(**change: object) -> Params:
    entry = {"requestId": "r1", "nodeId": OURS, "commands": [*OFFER.commands], "caps": [*OFFER.caps], **change}
    return {"pending": [{**entry, "requestId": "other", "nodeId": "bb"}, entry]}


def script(gateway: ScriptedGateway, waits: Params, *effective: str) -> None:
    """Let a surface wait until it is approved, and be effective as given from then on."""
    done = gateway.asked
    gateway.answers |= {
        "node.list": lambda params: row("approved" if done("node.pair.approve") else "pending-approval", *effective),
        "node.pair.list": lambda params: waits,
        "node.pair.approve": lambda params: {},
        "node.pair.remove": lambda params: {},
        "device.pair.remove": lambda params: {},
    }


class TestRename:
    async def test_the_gateway_is_told_over_a_connection_that_may_only_pair(
        self, scripted: ScriptedGateway, stage: Stage
    ) -> None:
        scripted.answers["node.rename"] = lambda params: params
        await stage.switchboard.approval.rename(OURS, "K\u00fcche [aaaaaa]")
        assert scripted.asked("node.rename") == [{"nodeId": OURS, "displayName": "K\u00fcche [aaaaaa]"}]
        assert scripted.connects[-1]["scopes"] == ["operator.pairing", "operator.write"]

    async def test_a_refusal_is_said(self, scripted: ScriptedGateway, stage: Stage) -> None:
        def refuse(params: Params) -> None:
            raise Refused("INVALID_REQUEST", "unknown nodeId")

        scripted.answers["node.rename"] = refuse
        with pytest.raises(SurfaceError, match="unknown nodeId"):
            await stage.switchboard.approval.rename(OURS, "x")


class TestSettle:
    async def test_what_was_offered_is_approved_once_and_named_exactly(
        self, scripted: ScriptedGateway, stage: Stage
    ) -> None:
        script(scripted, pending(), *OFFER.commands)
        state = await stage.switchboard.approval.settle(OURS, OFFER)
        assert state == SurfaceState(frozenset(OFFER.commands), (), fresh=True)
        assert scripted.asked("node.pair.approve") == [{"requestId": "r1"}]

    async def test_what_the_gateway_withholds_is_told_in_order(self, scripted: ScriptedGateway, stage: Stage) -> None:
        script(scripted, pending(commands=["device.info"]), "device.info")
        state = await stage.switchboard.approval.settle(OURS, OFFER)
        assert state.withheld == ("screen.show", "location.get")

    async def test_what_is_approved_already_needs_no_second_connection(
        self, scripted: ScriptedGateway, stage: Stage
    ) -> None:
        scripted.answers["node.list"] = lambda params: row("approved", *OFFER.commands)
        state = await stage.switchboard.approval.settle(OURS, OFFER)
        assert not state.fresh
        assert len(scripted.connects) == 1

    @pytest.mark.parametrize(
        "change",
        [
            {"commands": [*OFFER.commands, "screen.eval"]},
            {"commands": [*OFFER.commands, "system.run"]},
            {"caps": [*OFFER.caps, "file"]},
            {"permissions": {"camera": True}},
            {"commands": "system.run"},
        ],
    )
    async def test_a_surplus_is_not_approved(
        self, scripted: ScriptedGateway, stage: Stage, change: Mapping[str, object]
    ) -> None:
        script(scripted, pending(**change), *OFFER.commands)
        with pytest.raises(SurfaceError, match="another surface"):
            await stage.switchboard.approval.settle(OURS, OFFER)
        assert scripted.asked("node.pair.approve") == []

    async def test_a_surplus_that_is_effective_is_removed_and_said(
        self, scripted: ScriptedGateway, stage: Stage
    ) -> None:
        script(scripted, pending(), *OFFER.commands)
        scripted.answers["node.list"] = lambda params: row("approved", *OFFER.commands, "system.run")
        with pytest.raises(SurfaceError, match="more than was offered"):
            await stage.switchboard.approval.settle(OURS, OFFER)
        assert scripted.asked("node.pair.remove") == [{"nodeId": OURS}]
        assert scripted.asked("device.pair.remove") == [{"deviceId": OURS}]
        [line] = stage.events("surface-surplus")
        assert (line["level"], line["commands"]) == ("error", ["system.run"])

    async def test_admin_is_asked_for_when_the_surface_is_of_the_system_class_only(
        self, scripted: ScriptedGateway, stage: Stage
    ) -> None:
        script(scripted, pending(), *OFFER.commands)
        await stage.switchboard.approval.settle(OURS, OFFER)
        assert not any("operator.admin" in connect["scopes"] for connect in scripted.connects)
        offer = Surface(commands=("system.run",))
        scripted.requests.clear()
        script(scripted, pending(commands=["system.run"], caps=[]), "system.run")
        await stage.switchboard.approval.settle(OURS, offer)
        assert [("operator.admin" in connect["scopes"]) for connect in scripted.connects[-2:]] == [False, True]

    async def test_its_connections_are_closed_when_it_is_done(self, scripted: ScriptedGateway, stage: Stage) -> None:
        script(scripted, pending(), *OFFER.commands)
        await stage.switchboard.approval.settle(OURS, OFFER)
        await eventually(lambda: len(scripted.sockets) == 1, what="only the operator link is left")

    async def test_one_that_was_approved_by_someone_else_meanwhile_is_fine(
        self, scripted: ScriptedGateway, stage: Stage
    ) -> None:
        states = iter([row("pending-approval"), row("approved", *OFFER.commands)])
        scripted.answers |= {"node.list": lambda params: next(states), "node.pair.list": lambda params: NONE_WAITS}
        state = await stage.switchboard.approval.settle(OURS, OFFER)
        assert state.effective == set(OFFER.commands)

    async def test_when_the_gateway_keeps_another_request_it_is_an_error(
        self, scripted: ScriptedGateway, stage: Stage
    ) -> None:
        script(scripted, NONE_WAITS)
        with pytest.raises(SurfaceError, match="another request"):
            await stage.switchboard.approval.settle(OURS, OFFER)

    async def test_a_refused_approval_is_an_error_with_the_gateways_words(
        self, scripted: ScriptedGateway, stage: Stage
    ) -> None:
        def refuse(params: Params) -> Params:
            raise Refused("FORBIDDEN", "missing scope: operator.pairing")

        script(scripted, pending())
        scripted.answers["node.pair.approve"] = refuse
        with pytest.raises(SurfaceError, match=r"node\.pair\.approve: missing scope"):
            await stage.switchboard.approval.settle(OURS, OFFER)

    async def test_a_gateway_that_breaks_off_leaves_no_unread_failure(
        self, scripted: ScriptedGateway, stage: Stage
    ) -> None:
        unread: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: unread.append(context))
        script(scripted, pending())

        async def break_off(params: Params) -> Params:
            scripted.drop_all()
            return {}

        scripted.answers["node.pair.list"] = break_off
        with pytest.raises((GatewayError, SurfaceError)):
            await stage.switchboard.approval.settle(OURS, OFFER)
        await eventually(lambda: stage.operator.is_open)
        gc.collect()
        assert unread == []

    @pytest.mark.slow
    async def test_a_node_that_never_appears_is_given_up(self, scripted: ScriptedGateway, stage: Stage) -> None:
        scripted.answers["node.list"] = lambda params: {"nodes": []}
        began = asyncio.get_running_loop().time()
        with pytest.raises(SurfaceError, match="does not list"):
            await stage.switchboard.approval.settle(OURS, OFFER)
        assert asyncio.get_running_loop().time() - began < module.APPEAR_S + 1.0


class TestRemove:
    async def test_node_and_device_are_removed_and_gone_ones_are_fine(
        self, scripted: ScriptedGateway, stage: Stage
    ) -> None:
        def unknown(params: Params) -> Params:
            raise Refused("INVALID_REQUEST", "unknown nodeId")

        scripted.answers |= {"node.pair.remove": unknown, "device.pair.remove": lambda params: {}}
        await stage.switchboard.approval.remove(OURS)
        assert scripted.asked("node.pair.remove") == [{"nodeId": OURS}]
        assert scripted.asked("device.pair.remove") == [{"deviceId": OURS}]

    async def test_any_other_refusal_is_an_error(self, scripted: ScriptedGateway, stage: Stage) -> None:
        def refuse(params: Params) -> Params:
            raise Refused("FORBIDDEN", "missing scope: operator.pairing")

        scripted.answers |= {"node.pair.remove": lambda params: {}, "device.pair.remove": refuse}
        with pytest.raises(SurfaceError, match=r"device\.pair\.remove: missing scope"):
            await stage.switchboard.approval.remove(OURS)

    async def test_a_gateway_that_refuses_the_connection_is_an_error(
        self, scripted: ScriptedGateway, stage: Stage
    ) -> None:
        def refuse(params: Params) -> Params:
            raise Refused("INVALID_REQUEST", "unauthorized", code="AUTH_TOKEN_MISMATCH")

        scripted.hello = refuse
        with pytest.raises(ConnectRefusedError):
            await stage.switchboard.approval.remove(OURS)


class TestDevice:
    def asked_by(self, key: DeviceIdentity, request_id: str) -> Params:
        return {
            "requestId": request_id,
            "deviceId": key.device_id,
            "publicKey": key.public_key_text,
            "role": "node",
            "scopes": [],
        }

    async def test_only_our_own_key_is_approved(self, scripted: ScriptedGateway, stage: Stage) -> None:
        listed = [self.asked_by(identity(2), "theirs"), self.asked_by(identity(1), "ours")]
        scripted.answers |= {
            "device.pair.list": lambda params: {"pending": listed},
            "device.pair.approve": lambda params: {},
        }
        assert await stage.switchboard.approval.approve_device(identity(1))
        assert scripted.asked("device.pair.approve") == [{"requestId": "ours"}]
        assert not await stage.switchboard.approval.approve_device(identity(3))
        assert scripted.asked("device.pair.approve") == [{"requestId": "ours"}]

    async def test_a_gateway_that_pairs_nobody_by_itself_takes_our_key_and_leaves_the_others(
        self, tmp_path: Path
    ) -> None:
        async with embedded(auto_approve_local=False) as gateway, staged(gateway.url, tmp_path / "home") as stage:
            await eventually(lambda: stage.operator.is_open)
            for number in (1, 2):
                assert await knocked(gateway.url, identity(number)) == "PAIRING_REQUIRED"
            assert await stage.switchboard.approval.approve_device(identity(1))
            assert await knocked(gateway.url, identity(1)) is None
            assert await knocked(gateway.url, identity(2)) == "PAIRING_REQUIRED"


async def knocked(url: str, key: DeviceIdentity) -> str | None:
    """Connect as a node; return the code of the refusal, None when it was let in."""
    client = {"id": "openclaw-ios", "version": "1", "platform": "ios 26.1", "mode": "node", "deviceFamily": "iPhone"}
    try:
        async with GatewayConnection(url, ConnectProfile({**client}, "node"), Credentials("token", TOKEN), key):
            return None
    except ConnectRefusedError as refused:
        return refused.detail_code
