"""A bridge under attack: the real daemon in a process of its own, a gateway that records, and a paired canary.

`unharmed` is what has to hold after every attack: the canary comes in and is invoked in time, the store is as it was,
nothing leaks, nothing was logged that is a fault or a secret, and the gateway heard nothing.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from bridge.demo.gateway import EmbeddedGateway, GatewaySetup, Invoke
from bridge.node.native_enrolment import DeviceFacts, NativeEnrolment, Wishes
from bridge.node.native_identity import NodeIdentity
from bridge.node.native_node import NativeNode
from bridge.pairing.native_link import NativeLink, read_link
from certs.keys import NodePrivateKey
from gateway_client.frames import JsonObject
from tests.support.bridge_process import BridgeProcess
from tests.support.operator import Operator, operator
from tests.support.tap import Tap
from tests.support.waiting import eventually

CANARY_S = 2.0  # seconds for the canary to come in and to be invoked
SETTLE_S = 5.0  # seconds for descriptors to come back to what they were
MAX_DESCRIPTORS = 3  # more than before that are borne
MAX_GROWTH_KIB = 16 * 1024  # of resident memory
FACTS = DeviceFacts("Canary", "linux", "canary", version="1.0")
WISHES = Wishes(("device",), ("device.info",), ("device",))
FAULTS = ("Traceback", "task-failed", "operator-link-failed", "control.failed", '"exception"')


@dataclass
class Fortress:
    """The parts; see the module's text."""

    gateway: EmbeddedGateway
    tap: Tap
    bridge: BridgeProcess
    operator: Operator
    secrets: list[str]
    """What must be in no output: tokens, keys, codes. Attacks add theirs."""
    canary: NodeIdentity = field(init=False)
    gateway_id: str = field(init=False)

    @property
    def node_port(self) -> int:
        """The port of native nodes."""
        return self.bridge.node_port

    @property
    def app_port(self) -> int:
        """The port of OpenClaw apps."""
        return self.bridge.app_port

    @property
    def spki(self) -> str:
        """The bridge's key, SHA-256 hex."""
        return self.canary.spki

    async def link(self, *permissions: str) -> NativeLink:
        """Make a native link for some permissions."""
        words = list(permissions) or ["device"]
        made = await self.bridge.ask(lambda: self.bridge.client.mint_native_link(words, None, 300, None))
        self.secrets.append(made.link.partition("#")[2])
        return read_link(made.link, datetime.now(UTC))

    def enrolment(self, key: NodePrivateKey | None = None, **more: Any) -> NativeEnrolment:
        """Return a node that is about to pair here; its codes go nowhere unless `show_code` is given."""
        show = more.pop("show_code", lambda code: None)
        key = key or ec.generate_private_key(ec.SECP256R1())
        facts, wishes = more.pop("facts", FACTS), more.pop("wishes", WISHES)
        return NativeEnrolment("127.0.0.1", self.node_port, key, facts, wishes, show, **more)

    async def paired(self, key: NodePrivateKey | None = None, *permissions: str) -> NodeIdentity:
        """Pair a node by a link."""
        return (await self.enrolment(key, link=await self.link(*permissions)).enrol()).identity

    def node(self, identity: NodeIdentity) -> NativeNode:
        """Return a paired node that answers `device.info`; enter it, then `connect`."""
        return NativeNode(identity, FACTS, WISHES, {"device.info": _device_info})

    def store(self) -> dict[str, Any]:
        """The paired store without the moments at which somebody was seen."""
        stored: dict[str, Any] = json.loads((self.bridge.home / "paired-nodes.json").read_text())
        return {node["nodeId"]: {**node, "lastSeenAt": None} for node in stored["nodes"]}

    def descriptors(self) -> int:
        """How many file descriptors the daemon has open."""
        return len(list(Path(f"/proc/{self.bridge.pid}/fd").iterdir()))

    async def held(self) -> int:
        """How many of them are not the links of nodes that are away, which the gateway still counts as connected."""
        rows = await self.bridge.ask(self.bridge.client.nodes)
        return self.descriptors() - sum(bool(row.at_gateway) for row in rows)

    async def links_rest(self) -> bool:
        """Whether no node's link is being made: that goes on by itself, also when the node has gone."""
        return not any(row.linking for row in await self.bridge.ask(self.bridge.client.nodes))

    def resident_kib(self) -> int:
        """Its resident memory."""
        status = Path(f"/proc/{self.bridge.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def events(self, name: str, since: int = 0) -> list[dict[str, Any]]:
        """The log's entries of one event, from line `since` on."""
        return [line for line in self.bridge.log_lines()[since:] if line.get("event") == name]

    async def raise_canary(self) -> None:
        """Pair the canary, and have its surface approved at the gateway."""
        self.canary = await self.paired()
        rows = await self.bridge.ask(self.bridge.client.nodes)
        self.gateway_id = next(row.gateway_node_id for row in rows if row.node_id == self.canary.node_id)
        self.secrets.append((self.bridge.home / "keys" / "passphrase").read_text())
        async with self.node(self.canary) as node:
            await node.connect()
            await eventually(self.is_ready, timeout_s=20, what="canary approved")
            await self.bridge.settled(self.canary.node_id, "device.info")  # its link was made anew after the approval

    async def invoked(self) -> None:
        """The canary comes in, and the gateway's operator has it do something.

        Raises:
            TimeoutError: not within `CANARY_S`.
        """
        async with asyncio.timeout(CANARY_S), self.node(self.canary) as node:
            await node.connect()
            await eventually(self.is_ready, timeout_s=CANARY_S, what="canary at the gateway")
            params = {"nodeId": self.gateway_id, "command": "device.info", "idempotencyKey": secrets.token_hex(8)}
            answer = await self.operator.request("node.invoke", params)
            assert answer["ok"], answer

    async def is_ready(self) -> bool:
        """Whether the canary can be invoked at the gateway."""
        rows = (await self.operator.request("node.list", {}))["nodes"]
        return any(row["nodeId"] == self.gateway_id and row["connected"] and row["commands"] for row in rows)

    @asynccontextmanager
    async def unharmed(
        self, *, store: bool = True, heard: frozenset[str] = frozenset(), growth_kib: int = MAX_GROWTH_KIB
    ) -> AsyncIterator[None]:
        """Run an attack in the block; afterwards everything has to be as the module's text says.

        Args:
            store: whether the paired store must be as it was.
            heard: methods that the bridge may have called at the gateway meanwhile.
            growth_kib: of resident memory that is borne.
        """
        await eventually(self.links_rest, timeout_s=20, what="no link is being made")
        before, frames = self.store(), len(self.tap.seen)
        descriptors, resident = await self.held(), self.resident_kib()
        yield
        await self.bridge.ask(self.bridge.client.status)  # whatever the attack sent has been dealt with by now
        await self.operator.request("health", {})
        said = {one.frame.get("method") for one in self.tap.seen[frames:] if one.up}
        assert said <= heard, f"the gateway heard {said - heard}"
        if store:
            assert self.store() == before, "the paired store has changed"
        await self.invoked()

        async def are_back() -> bool:
            return await self.held() <= descriptors + MAX_DESCRIPTORS

        await eventually(are_back, timeout_s=SETTLE_S, what="descriptors back")
        assert self.resident_kib() - resident < growth_kib, "memory grew"
        self.check_output()

    def check_output(self) -> None:
        """Nothing that is a fault, and nothing that is a secret, stands in the log."""
        text = self.bridge.log_path.read_text()
        for fault in FAULTS:
            assert fault not in text, text[text.index(fault) - 500 :][:4000]
        for secret in self.secrets:
            assert secret not in text, "a secret is in the log"


async def _device_info(params: JsonObject) -> JsonObject:
    return {"name": "Canary"}


async def _no_turn(text: str, invoke: Invoke) -> str:
    return "nothing to do"


@asynccontextmanager
async def fortress(**settings: Any) -> AsyncIterator[Fortress]:
    """Build one; `settings` go to `BridgeProcess`."""
    token = secrets.token_hex(16)
    setup = GatewaySetup(token=token, commands_allow=("device.info",))
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(EmbeddedGateway(setup, _no_turn))
        tap = await stack.enter_async_context(Tap(gateway.url))
        bridge = await stack.enter_async_context(BridgeProcess(tap.url, token, **settings))
        witness = await stack.enter_async_context(operator(gateway.url, token))
        await bridge.connected()
        made = Fortress(gateway, tap, bridge, witness, secrets=[token])
        await made.raise_canary()
        yield made
