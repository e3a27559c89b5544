"""A gateway that pairs nobody by itself; and, last in this file, how it ends."""

from __future__ import annotations

import asyncio

import pytest

from bridge.demo.gateway import EmbeddedGateway
from tests.conformance.target import Target, embedded, pending_surface
from tests.conformance.wire import new_identity, node_params, operator_params, refused, wire

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_unknown_device_waits_for_a_person(strict_gateway: Target) -> None:
    gateway, identity = strict_gateway, new_identity()
    async with gateway.operator() as operator:
        ends = []
        for _ in range(2):
            async with wire(gateway.url) as client:
                ends.append(await refused(client, node_params(client, identity, auth={"token": gateway.token})))
        error = ends[0].error
        assert error is not None
        details = error["details"]
        announced = await operator.event("device.pair.requested")
        listed = (await operator.ok("device.pair.list", {}))["pending"]
        approved = await operator.ok("device.pair.approve", {"requestId": details["requestId"]})
        resolved = await operator.event("device.pair.resolved")
        async with gateway.node(identity) as (node, _):
            token = node.hello["auth"]["deviceToken"]
        async with gateway.node(identity, auth={"token": token}) as (node, node_id):
            row = await operator.ok("node.describe", {"nodeId": node_id})
            surface = await pending_surface(operator, node_id)
    assert (error["code"], details["code"], details["reason"]) == ("NOT_PAIRED", "PAIRING_REQUIRED", "not-paired")
    assert (details["deviceId"], details["requestedRole"]) == (identity.device_id, "node")
    assert ends[1].error == error
    assert ends[0].close_code == 1008
    assert ends[0].close_reason == f"{error['message']} (requestId: {details['requestId']})"
    assert announced["payload"]["requestId"] == listed[0]["requestId"] == details["requestId"]
    assert (listed[0]["publicKey"], listed[0]["silent"]) == (identity.public_key_text, False)
    assert approved["device"]["approvedVia"] == "owner"
    assert (resolved["payload"]["decision"], resolved["payload"]["deviceId"]) == ("approved", identity.device_id)
    assert row["approvalState"] == "pending-approval"
    assert surface is not None
    assert surface.get("silent") is not True


async def test_rejected_device_stays_outside(strict_gateway: Target) -> None:
    gateway, identity = strict_gateway, new_identity()
    async with gateway.operator() as operator:
        async with wire(gateway.url) as client:
            first = await refused(client, node_params(client, identity, auth={"token": gateway.token}))
        assert first.error is not None
        request_id = first.error["details"]["requestId"]
        rejected = await operator.ok("device.pair.reject", {"requestId": request_id})
        unknown = await operator.error("device.pair.approve", {"requestId": request_id})
        async with wire(gateway.url) as client:
            second = await refused(client, node_params(client, identity, auth={"token": gateway.token}))
    assert rejected["deviceId"] == identity.device_id
    assert unknown["message"] == "unknown requestId"
    assert second.error is not None
    assert second.error["details"]["requestId"] != request_id


async def test_approving_a_node_device_needs_admin(strict_gateway: Target) -> None:
    gateway, identity = strict_gateway, new_identity()
    async with gateway.operator(("operator.pairing", "operator.write")) as operator:
        async with wire(gateway.url) as client:
            end = await refused(client, node_params(client, identity, auth={"token": gateway.token}))
        assert end.error is not None
        request = {"requestId": end.error["details"]["requestId"]}
        error = await operator.error("device.pair.approve", request)
    assert (error["code"], error["message"]) == ("INVALID_REQUEST", "device pairing approval denied")


async def test_backend_operator_needs_no_pairing_even_then(strict_gateway: Target) -> None:
    async with strict_gateway.operator() as operator:
        assert operator.hello["auth"]["scopes"][-1] == "operator.admin"


async def test_orderly_stop_says_goodbye(strict_gateway: Target) -> None:
    async with strict_gateway.operator() as operator, asyncio.TaskGroup() as tasks:
        tasks.create_task(strict_gateway.gateway.stop())
        shutdown = await operator.event("shutdown")
        end = await operator.closed()
    assert shutdown["payload"]["reason"] == "gateway stopping"
    assert end == (1012, "service restart")


async def test_embedded_gateway_comes_back_on_its_port_with_its_pairings() -> None:
    identity = new_identity()
    async with embedded() as gateway:
        async with gateway.node(identity) as (node, _):
            token = node.hello["auth"]["deviceToken"]
        await gateway.gateway.stop()
        await gateway.gateway.start()
        async with gateway.node(identity, auth={"token": token}) as (node, _):
            assert node.hello["auth"]["method"] == "device-token"


async def test_embedded_gateway_can_be_killed() -> None:
    async with embedded() as gateway, gateway.operator() as operator:
        assert isinstance(gateway.gateway, EmbeddedGateway)
        await gateway.gateway.kill()
        code, _ = await operator.closed()
    assert code == 1006


async def test_starting_embedded_gateway_puts_everybody_off() -> None:
    async with embedded() as gateway:
        assert isinstance(gateway.gateway, EmbeddedGateway)
        gateway.gateway.core.starting = True
        async with wire(gateway.url) as client:
            end = await refused(client, operator_params({"token": gateway.token}))
    assert (end.code, end.close_code, end.close_reason) == ("UNAVAILABLE", 1013, "gateway starting")
    assert end.error is not None
    assert (end.error["retryable"], end.error["retryAfterMs"]) == (True, 500)
