"""A paired native node against the double: it connects by certificate, runs commands, renews, keeps to its bridge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bridge.node.native_identity import NodeIdentity
from bridge.node.native_invokes import Handler
from bridge.node.native_node import NativeNode
from bridge.node.pairing_errors import BridgeMismatch
from gateway_client.errors import GatewayError, GatewayGoneError, GatewayUnreachableError
from gateway_client.frames import Event, JsonObject
from tests.bridge.node.stages import FACTS, KINDS, WISHES, paired
from tests.doubles.node_socket import NodeSocket
from tests.doubles.pairing_bridge import PairingBridge
from tests.support.waiting import eventually


async def show(params: JsonObject) -> JsonObject:
    return {"shown": True, **params}


@asynccontextmanager
async def node_of(
    double: PairingBridge, identity: NodeIdentity, handlers: Mapping[str, Handler] | None = None, **more: Any
) -> AsyncIterator[NativeNode]:
    async with NativeNode(identity, FACTS, WISHES, handlers or {"screen.show": show}, **more) as node:
        yield node


async def socket_of(double: PairingBridge) -> NodeSocket:
    await eventually(lambda: bool(double.sockets), what="a node at the bridge")
    return double.sockets[-1]


class TestConnects:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_by_its_certificate_alone(self, double: PairingBridge, kind: str) -> None:
        async with node_of(double, await paired(double, kind), os_permissions={"microphone": True}) as node:
            hello = await node.connect()
            assert hello == node.hello
            assert hello["type"] == "hello-ok"
            connect = (await socket_of(double)).connect
        assert "device" not in connect
        assert "auth" not in connect
        assert connect["role"] == "node"
        assert connect["client"] == {
            "id": "node-host",
            "mode": "node",
            "displayName": FACTS.display_name,
            "platform": FACTS.platform,
            "instanceId": FACTS.instance_id,
            "deviceFamily": "iPad",
            "version": "1.0",
        }
        assert (connect["caps"], connect["commands"]) == (list(WISHES.caps), list(WISHES.commands))
        assert connect["permissions"] == {"microphone": True}

    async def test_requests_and_events_are_answered(self, double: PairingBridge) -> None:
        async with node_of(double, await paired(double)) as node:
            await node.connect()
            assert (await node.event("voice.transcript", {"text": "hello"})).ok
            (request,) = (await socket_of(double)).requests
        assert request["method"] == "node.event"
        assert request["params"] == {"event": "voice.transcript", "payloadJSON": '{"text":"hello"}'}

    async def test_it_may_connect_again_after_the_end(self, double: PairingBridge) -> None:
        async with node_of(double, await paired(double)) as node:
            await node.connect()
            await (await socket_of(double)).socket.close(code=4001, message=b"device removed")
            ended = await node.wait_closed()
            assert isinstance(ended, GatewayGoneError)
            assert (ended.code, ended.reason) == (4001, "device removed")
            assert node.hello == {}
            await node.connect()
            assert len(double.sockets) == 2

    async def test_it_connects_once_at_a_time(self, double: PairingBridge) -> None:
        async with node_of(double, await paired(double)) as node:
            with pytest.raises(RuntimeError, match="never"):
                await node.wait_closed()
            await node.connect()
            with pytest.raises(RuntimeError, match="already"):
                await node.connect()

    async def test_of_two_that_connect_at_a_time_one_does(self, double: PairingBridge) -> None:
        """Red when it is looked at before the lock: two connections, and nobody owns the first."""
        async with node_of(double, await paired(double)) as node:
            first, second = await asyncio.gather(node.connect(), node.connect(), return_exceptions=True)
            assert not isinstance(first, BaseException)
            assert isinstance(second, RuntimeError)
            assert len(double.sockets) == 1

    async def test_leaving_it_ends_whoever_waits(self, double: PairingBridge) -> None:
        async with node_of(double, await paired(double)) as node:
            await node.connect()
        assert isinstance(await node.wait_closed(), GatewayGoneError)

    async def test_without_a_connection_a_request_fails(self, double: PairingBridge) -> None:
        async with node_of(double, await paired(double)) as node:
            with pytest.raises(GatewayError, match="not connected"):
                await node.request("health", {})

    async def test_a_frame_that_cannot_be_read_costs_that_frame(self, double: PairingBridge) -> None:
        async with node_of(double, await paired(double)) as node:
            await node.connect()
            await (await socket_of(double)).socket.send_str("no frame")
            assert (await node.event("voice.transcript", {"text": "hello"})).ok

    async def test_a_revoked_node_is_not_let_in(self, double: PairingBridge) -> None:
        identity = await paired(double)
        double.nodes.clear()
        async with node_of(double, identity) as node:
            with pytest.raises(GatewayUnreachableError):
                await node.connect()
            assert double.sockets == []


class TestCommands:
    async def test_they_are_run_and_answered(self, double: PairingBridge) -> None:
        identity = await paired(double)
        events: list[Event] = []
        async with node_of(double, identity, on_event=events.append) as node:
            await node.connect()
            socket = await socket_of(double)
            await socket.send({"type": "event", "event": "tick", "payload": {"ts": 1}})
            await socket.invoke("i1", "screen.show", paramsJSON='{"a":1}')
            result = await eventually(lambda: socket.results().get("i1"), what="a result")
        assert result == {"id": "i1", "nodeId": identity.node_id, "ok": True, "payloadJSON": '{"shown":true,"a":1}'}
        assert [event.event for event in events] == ["tick"]

    async def test_what_runs_is_stopped_when_the_connection_ends(self, double: PairingBridge) -> None:
        stopped = asyncio.Event()

        async def forever(params: JsonObject) -> JsonObject:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                stopped.set()
            return {}

        async with node_of(double, await paired(double), {"screen.show": forever}) as node:
            await node.connect()
            socket = await socket_of(double)
            await socket.invoke("i1", "screen.show")
            assert (await node.event("x", {})).ok  # so the command before it has begun
            await socket.socket.close()
            await node.wait_closed()
            await asyncio.wait_for(stopped.wait(), 5)


class TestTheBridgesKey:
    """Guard out, `SpkiPin()` without a key in `_open`: `test_another_key_gets_nothing` connects."""

    async def test_another_key_gets_nothing(self, double: PairingBridge) -> None:
        identity = replace(await paired(double), next_spki="ab" * 32)
        double.seen.clear()
        double.use_key(ec.generate_private_key(ec.SECP256R1()))
        async with node_of(double, identity) as node:
            for ask in (node.connect, node.renew, node.identity):
                with pytest.raises(BridgeMismatch) as caught:
                    await ask()
                assert (caught.value.expected, caught.value.seen) == (identity.spki, double.spki)
            assert node.state == identity
        assert double.seen == []

    async def test_the_announced_next_key_moves_the_pin(self, double: PairingBridge) -> None:
        identity = await paired(double)
        kept: list[NodeIdentity] = []
        async with node_of(double, identity, keep=kept.append) as node:
            double.next_key = ec.generate_private_key(ec.SECP256R1())
            await node.identity()
            assert [each.next_spki for each in kept] == [double.next_spki]
            double.use_key(double.next_key)
            double.next_key = None
            await node.connect()
            assert node.state == kept[-1] == replace(identity, spki=double.spki, next_spki=None)
            assert len(kept) == 2

    async def test_a_next_key_that_it_learnt_is_said_back_once_it_is_kept(self, double: PairingBridge) -> None:
        """Guard out (no second question): the bridge would lock it out, or believe what never arrived."""
        identity = await paired(double)
        kept: list[NodeIdentity] = []
        async with node_of(double, identity, keep=kept.append) as node:
            double.next_key = ec.generate_private_key(ec.SECP256R1())
            double.seen.clear()
            await node.identity()
            await node.identity()
            named = f"/pair/v1/identity?knows={double.next_spki}"
            assert double.paths == ["/pair/v1/identity", named, named]
            double.next_key = ec.generate_private_key(ec.SECP256R1())
            double.seen.clear()
            await node.renew()
            assert double.paths == ["/pair/v1/renew", f"/pair/v1/identity?knows={double.next_spki}"]
        assert len(kept) == 2

    async def test_a_bridge_that_does_not_hear_it_has_renewed_all_the_same(self, double: PairingBridge) -> None:
        identity = await paired(double)
        async with node_of(double, identity) as node:
            double.next_key = ec.generate_private_key(ec.SECP256R1())
            double.cuts["/pair/v1/identity"] = 1
            assert (await node.renew()).certificate != identity.certificate

    async def test_a_bridge_that_only_names_the_next_key_moves_nothing(self, double: PairingBridge) -> None:
        identity = replace(await paired(double), next_spki="ab" * 32)
        double.twists["identity"] = lambda answer: answer.update(spki="ab" * 32)
        async with node_of(double, identity) as node:
            with pytest.raises(BridgeMismatch):
                await node.identity()
            assert node.state == identity

    async def test_a_pin_that_cannot_be_kept_is_not_moved(self, double: PairingBridge) -> None:
        def full(identity: NodeIdentity) -> None:
            raise OSError("disk full")

        double.next_key = ec.generate_private_key(ec.SECP256R1())
        identity = await paired(double)
        double.use_key(double.next_key)
        async with node_of(double, identity, keep=full) as node:
            with pytest.raises(OSError, match="disk full"):
                await node.connect()
            assert node.state == identity


class TestRenews:
    async def test_the_new_certificate_is_kept_before_it_is_used(self, double: PairingBridge) -> None:
        identity = await paired(double)
        kept: list[NodeIdentity] = []
        async with node_of(double, identity, keep=kept.append) as node:
            new = await node.renew()
            assert kept == [new]
            assert node.state == new
            assert new.certificate != identity.certificate
            await node.connect()

    async def test_two_changes_at_once_lose_nothing(self, double: PairingBridge) -> None:
        identity = await paired(double)
        async with node_of(double, identity) as node:
            double.twists["renewed"] = lambda answer: answer.pop("nextSpki", None)
            double.next_key = ec.generate_private_key(ec.SECP256R1())
            await asyncio.gather(node.renew(), node.identity())
            assert node.state.certificate != identity.certificate
            assert node.state.next_spki == double.next_spki
