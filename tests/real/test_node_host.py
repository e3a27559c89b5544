"""The real `openclaw node run` behind the bridge: paired by one approval, and by a setup code."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256

import pytest
import trustme

from bridge.control.documents import NodeRow
from tests.real.conftest import Estate, check_told
from tests.support.iphone import pinned_context
from tests.support.node_host import NodeHost
from tests.support.tap import Tap
from tests.support.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.real]


async def _which(estate: Estate, node_id: str, key: str) -> dict[str, object]:
    row = await estate.bridge.settled(node_id, "system.which")
    async with estate.operator() as client:
        answer = await client.request(
            "node.invoke",
            {
                "nodeId": row.gateway_node_id,
                "command": "system.which",
                "params": {"bins": ["sh"]},
                "idempotencyKey": key,
            },
        )
    payload: dict[str, object] = answer["payload"]
    return payload


@asynccontextmanager
async def recorded(estate: Estate) -> AsyncIterator[tuple[str, ...]]:
    """A recorder between a node host and the bridge, with a certificate of its own; yields how to reach it."""
    certificate = trustme.CA().issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    pin = sha256(ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())).hexdigest()
    async with Tap(estate.bridge.url, listens=context, dials=pinned_context()) as tap:
        yield ("--host", "127.0.0.1", "--port", str(tap.port), "--tls", "--tls-fingerprint", pin)
        told = tap.told()
    assert {"connect", "node.invoke.result"} <= {method for _, method in told}
    for frame, method in told:
        check_told(frame, method)


async def test_one_approval_pairs_the_real_node_host(estate: Estate) -> None:
    async with recorded(estate) as arguments:
        await _pair_by_approval(estate, arguments)


async def _pair_by_approval(estate: Estate, arguments: tuple[str, ...]) -> None:
    bridge = estate.bridge
    async with NodeHost(*arguments, "--commands", "system.which") as host:
        (request,) = await bridge.pending()
        assert request.commands == ["system.which"]
        done = await bridge.cli("approve", request.id, "--permissions", "system", "--yes", "--json")
        assert done.returncode == 0, done.stderr
        approval = json.loads(done.stdout)
        assert approval["withheld"] == []
        assert approval["permissions"] == ["system"]
        bins = (await _which(estate, approval["nodeId"], "a-1"))["bins"]
        assert isinstance(bins, dict)
        assert bins["sh"].endswith("/sh")
        assert "gateway connected" in host.output()


async def test_a_new_name_is_the_one_that_the_agent_sees(estate: Estate) -> None:
    bridge = estate.bridge
    made = await bridge.cli("pair", "--qr", "--permissions", "system", "--json")
    link = json.loads(made.stdout)["link"]
    async with NodeHost("--pair", link, "--commands", "system.which", "--display-name", "To be renamed"):
        row = await eventually(lambda: _named(estate, "To be renamed"), timeout_s=60, what="paired by the code")
        detail = await bridge.settled(row.node_id, "system.which")
        done = await bridge.cli("nodes", "rename", row.node_id[:8], "B\u00fcro")
        assert done.returncode == 0, done.stderr

        async def shown() -> bool:
            async with estate.operator() as client:
                rows = (await client.request("node.list", {}))["nodes"]
            names = [each["displayName"] for each in rows if each["nodeId"] == detail.gateway_node_id]
            return names == [f"B\u00fcro [{row.node_id[:6]}]"]

        await eventually(shown, timeout_s=30, what="the new name at the gateway")


async def test_a_restarted_node_host_comes_back_by_its_token(estate: Estate) -> None:
    bridge = estate.bridge
    arguments = ("--host", "127.0.0.1", "--port", str(bridge.app_port), "--tls", "--tls-fingerprint", bridge.pin)
    async with NodeHost(*arguments, "--commands", "system.which", "--display-name", "Second host") as host:
        (request,) = await bridge.pending()
        approval = await bridge.ask(lambda: bridge.client.approve(request.id, ["system"], None))
        await host.stop()
        await bridge.node_in(approval.node_id, "offline")
        host.start()
        await bridge.node_in(approval.node_id, "connected", timeout_s=60)
        assert await bridge.ask(bridge.client.pending) == []
        assert "sh" in str(await _which(estate, approval.node_id, "a-2"))


async def test_a_setup_code_pairs_the_real_node_host(estate: Estate) -> None:
    bridge = estate.bridge
    made = await bridge.cli("pair", "--qr", "--permissions", "system", "--json")
    assert made.returncode == 0, made.stderr
    code = json.loads(made.stdout)
    assert code["link"] == "oc-pair://" + code["setupCode"]
    async with NodeHost("--pair", code["link"], "--commands", "system.which", "--display-name", "By code") as host:
        row = await eventually(lambda: _named(estate, "By code"), timeout_s=60, what="paired by the code")
        assert row.permissions == ["system"]
        assert "sh" in str(await _which(estate, row.node_id, "b-1"))
        await host.stop()  # --pair presents the spent code again: it is accepted from this key and grants nothing new
        await bridge.node_in(row.node_id, "offline")
        host.start()
        await bridge.node_in(row.node_id, "connected", timeout_s=60)
        assert "sh" in str(await _which(estate, row.node_id, "b-2"))
    async with NodeHost("--pair", code["link"], "--commands", "system.which", "--display-name", "Thief") as thief:
        assert await thief.wait_ended() == 1  # a second key gets the answer of an unknown code
        assert "setup code" in thief.output()
    assert await bridge.ask(bridge.client.pending) == []


async def _named(estate: Estate, name: str) -> NodeRow | None:
    rows = await estate.bridge.ask(estate.bridge.client.nodes)
    return next((row for row in rows if row.display_name == name and row.state == "connected"), None)
