"""B17, B20: nobody unpairs or pairs a node but a person at this machine: no stranger, no other node, no gateway."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bridge.node.native_node import NativeNode
from tests.attacks.codes import phone_of, setup_code
from tests.attacks.fortress import Fortress
from tests.attacks.strangers import Stranger, ask, pending
from tests.bridge.lan.wire import peer
from tests.support.iphone import PhoneSocket
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="package")

Json = dict[str, Any]
COMING_IN = frozenset({"connect", "node.list", "node.pair.list", "device.pair.list", "node.event", "health"})
"""What the bridge says to the gateway when a node comes in and asks for nothing."""
UNPAIRS = (
    "node.pair.remove",
    "node.pair.reject",
    "node.unpair",
    "node.revoke",
    "nodes.revoke",
    "device.pair.remove",
    "device.pair.reject",
    "device.token.revoke",
    "unpair",
)
PAIRS = ("node.pair.approve", "device.pair.approve", "node.pair.request", "device.token.rotate", "device.token.issue")


def aims(castle: Fortress) -> Json:
    """Every name that the canary has, in every member that could take one."""
    names = ("nodeId", "deviceId", "id", "requestId", "node", "device")
    return dict.fromkeys(names, castle.canary.node_id) | {"role": "node", "gatewayNodeId": castle.gateway_id}


async def at_the_gateway(castle: Fortress, node_id: str) -> None:
    """Wait until the gateway lets a node's own commands through, so that the bridge has nothing more to say of it."""
    rows = await castle.bridge.ask(castle.bridge.client.nodes)
    own = next(row.gateway_node_id for row in rows if row.node_id == node_id)

    async def is_ready() -> bool:
        """Whether it does."""
        listed = (await castle.operator.request("node.list", {}))["nodes"]
        return any(row["nodeId"] == own and row["connected"] and row["commands"] for row in listed)

    await eventually(is_ready, timeout_s=10, what="the node is at the gateway")


@asynccontextmanager
async def mallory(castle: Fortress) -> AsyncIterator[NativeNode]:
    """Another paired node, connected."""
    identity = await castle.paired()
    async with castle.node(identity) as node:
        await node.connect()
        await at_the_gateway(castle, identity.node_id)
        yield node


class TestB17:
    """A forged "unpair" is ignored, wherever it comes from (CVE-2025-32899). By mDNS: `test_b_window.py`.

    Guard: the routes of bridge/lan/pair_pages.py are a closed list; with a `DELETE enroll/<node id>` that revokes, the
    canary is out. Guard: acl/rules.py and the handlers of bridge/lan/node_traffic.py are closed lists; with
    `node.pair.remove` in the rule of `health` and handled like it, another node's is answered with ok. The same for an
    app's operator socket (bridge/lan/operator_traffic.py).
    """

    async def test_from_a_socket_that_is_not_paired(self, gate: Fortress) -> None:
        canary = gate.canary.node_id
        pages = ("unpair", "revoke", f"enroll/{canary}", f"nodes/{canary}", f"enroll/{canary}/revoke", "identity")
        async with gate.unharmed():
            for page in pages:
                for method in ("POST", "DELETE", "PUT", "PATCH"):
                    for port in (gate.node_port, gate.app_port):
                        answer = await ask(port, method, f"/pair/v1/{page}", aims(gate))
                        assert answer.status in {401, 404}, (method, page, answer.body)

    async def test_before_a_connect(self, gate: Fortress) -> None:
        async with gate.unharmed():
            for method in UNPAIRS:
                async with peer(gate.app_port) as stranger:
                    await stranger.upgrade()
                    await stranger.frame()  # the challenge
                    frame = {"type": "req", "id": "1", "method": method, "params": aims(gate)}
                    await stranger.send(json.dumps(frame).encode())
                    assert json.loads((await stranger.frame()).payload)["ok"] is False

    async def test_from_another_node(self, gate: Fortress) -> None:
        async with mallory(gate) as node, gate.unharmed(heard=COMING_IN):
            for method in (*UNPAIRS, *PAIRS):
                assert not (await node.request(method, aims(gate))).ok, method
                await node.event(method, aims(gate))

    async def test_from_an_apps_operator_socket(self, gate: Fortress) -> None:
        _, token = await setup_code(gate, "device", "chat")
        phone = phone_of(gate)
        async with phone.socket("node", {"bootstrapToken": token}), phone.socket("operator") as chat:
            await at_the_gateway(gate, phone.node_id)
            async with gate.unharmed(heard=COMING_IN):
                await self.tries(gate, chat)

    async def tries(self, gate: Fortress, chat: PhoneSocket) -> None:
        for method in (*UNPAIRS, *PAIRS):
            answer = await chat.request(method, aims(gate))
            assert not answer["ok"], method
            assert (await chat.request("health", {}))["ok"]  # so that it is not closed for its refused calls


class TestB20:
    """What a gateway says about pairing changes nothing here: no request is approved, no node removed, no token made.

    Guard: no listener decides about pairing from an event (`Hub._on_operator_event`, bridge/hub.py): with one that
    takes the request of a `node.pair.approve` from the desk it is gone; with one that revokes the node of a
    `node.pair.remove` the store changes.
    """

    async def test_requests_and_events_of_the_gateway_about_pairing(self, gate: Fortress) -> None:
        waiting = await Stranger(gate.node_port).asked()
        (shown,) = await pending(gate)
        asked = {**aims(gate), "requestId": waiting.id, "code": waiting.code, "decision": "approved"}
        async with gate.node(gate.canary) as canary:
            await canary.connect()
            await eventually(gate.is_ready, timeout_s=10, what="canary at the gateway")
            store, frames = gate.store(), len(gate.tap.seen)
            for name in (*UNPAIRS, *PAIRS, "node.pair.resolved", "node.pair.approved", "device.pair.resolved"):
                for params in (asked, aims(gate)):
                    event = {"type": "event", "event": name, "payload": params}
                    assert await gate.tap.inject(event) >= 2, "the operator link and the canary's"
            await gate.bridge.ask(gate.bridge.client.status)
            assert (await canary.request("health", {})).ok
            said = {one.frame.get("method") for one in gate.tap.seen[frames:] if one.up}
            assert said <= COMING_IN
            assert gate.store() == store
            assert await pending(gate) == [shown]
        async with gate.unharmed():
            pass

    async def test_requests_of_the_gateway_are_no_frames_of_it(self, gate: Fortress) -> None:
        waiting = await Stranger(gate.node_port).asked()
        store, shown = gate.store(), await pending(gate)
        for number, method in enumerate((*PAIRS, *UNPAIRS)):
            params = {**aims(gate), "requestId": waiting.id, "code": waiting.code}
            await gate.tap.inject({"type": "req", "id": f"evil-{number}", "method": method, "params": params})
            await gate.bridge.connected()
        assert not [one for one in gate.tap.seen if one.up and str(one.frame.get("id")).startswith("evil-")]
        assert gate.store() == store
        assert await pending(gate) == shown
        async with gate.unharmed():
            pass
