"""A native node behind the bridge: paired by the code that it shows or by a link, invoked through the real gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bridge.node.native_enrolment import DeviceFacts, Enrolled, NativeEnrolment, Wishes
from bridge.node.native_identity import NodeIdentity
from bridge.node.native_node import NativeNode
from bridge.pairing.native_link import read_link
from bridge.pairing.transcript import spaced
from gateway_client.frames import JsonObject
from tests.real.conftest import Estate

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.real]

FACTS = DeviceFacts("Kiosk", "iOS 26.1", "kiosk-1", device_family="iPad", version="1.0")
WISHES = Wishes(("screen",), ("screen.show", "screen.navigate"), ("screen",))


def enrolment(estate: Estate, show_code: Callable[[str], None], **more: Any) -> NativeEnrolment:
    key = ec.generate_private_key(ec.SECP256R1())
    return NativeEnrolment("127.0.0.1", estate.bridge.node_port, key, FACTS, WISHES, show_code, **more)


async def by_code(estate: Estate) -> Enrolled:
    """Pair as people do: the node shows six digits, a person types them at the Mac."""
    shown: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    enrolling = asyncio.get_running_loop().create_task(enrolment(estate, shown.set_result).enrol(), name="enrolling")
    code = await shown
    (request,) = await estate.bridge.pending()
    assert request.kind == "native"
    assert code not in request.model_dump_json()
    missing = await estate.bridge.cli("approve", request.id)
    assert (missing.returncode, "--code" in missing.stderr) == (2, True)
    done = await estate.bridge.cli("approve", request.id, "--code", spaced(code), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["security"] == "mtls"
    return await enrolling


async def navigates(estate: Estate, identity: NodeIdentity, url: str) -> None:
    """The gateway's operator has the node show a page."""
    visited: list[object] = []

    async def navigate(params: JsonObject) -> JsonObject:
        visited.append(params.get("url"))
        return {"url": params.get("url"), "title": "A page"}

    async with NativeNode(identity, FACTS, WISHES, {"screen.navigate": navigate}) as node:
        await node.connect()
        detail = await estate.bridge.settled(identity.node_id, "screen.navigate")
        assert detail.security == "mtls"
        params = {"nodeId": detail.gateway_node_id, "command": "screen.navigate", "params": {"url": url}}
        async with estate.operator() as operator:
            answer = await operator.request("node.invoke", {**params, "idempotencyKey": url})
    assert answer["payload"] == {"url": url, "title": "A page"}
    assert visited == [url]


async def test_a_node_paired_by_its_code_serves_the_real_gateway(estate: Estate) -> None:
    enrolled = await by_code(estate)
    assert enrolled.permissions == ("screen",)
    await navigates(estate, enrolled.identity, "https://example.com/by-code")


async def test_a_node_paired_by_a_link_does_and_after_a_restart_of_the_bridge(estate: Estate) -> None:
    made = await estate.bridge.cli("pair", "--qr", "--native", "--permissions", "screen", "--json")
    assert made.returncode == 0, made.stderr
    link = read_link(json.loads(made.stdout)["link"], datetime.now(UTC))
    assert link.spki == (await estate.bridge.ask(estate.bridge.client.status)).spki
    enrolled = await enrolment(estate, lambda code: None, link=link).enrol()
    await navigates(estate, enrolled.identity, "https://example.com/by-link")
    await estate.bridge.stop()
    await estate.bridge.start()
    await estate.bridge.connected()
    await navigates(estate, enrolled.identity, "https://example.com/after-restart")
