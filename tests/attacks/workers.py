"""Native nodes that do as they are asked and count it, over the real daemon."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from bridge.node.native_enrolment import Wishes
from bridge.node.native_identity import NodeIdentity
from bridge.node.native_node import NativeNode
from bridge.upstream.idempotency import memo_of
from gateway_client.frames import JsonObject, object_of
from tests.attacks.fortress import FACTS, Fortress
from tests.support.operator import OperatorError
from tests.support.waiting import eventually

COMMANDS = ("device.info", "screen.show")
CAN = Wishes(("device", "screen"), COMMANDS, ("device", "screen", "nodes"))
Json = dict[str, Any]


@dataclass
class Worker:
    """One node, over all of its connections.

    Attributes:
        ran: the parameters of each command that it did.
        free: while it is not set, commands begin and do not end.
    """

    castle: Fortress
    identity: NodeIdentity
    gateway_id: str = ""
    ran: list[JsonObject] = field(default_factory=list)
    free: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def node_id(self) -> str:
        """Its id on the LAN."""
        return self.identity.node_id

    def node(self) -> NativeNode:
        """Return a connection of it, to be entered and connected."""
        return NativeNode(self.identity, FACTS, CAN, dict.fromkeys(COMMANDS, self._run))

    @asynccontextmanager
    async def here(self) -> AsyncIterator[NativeNode]:
        """Connect it for a block, once the gateway takes its commands."""
        async with self.node() as node:
            await node.connect()
            await self.castle.bridge.settled(self.node_id, *COMMANDS)
            yield node

    async def _run(self, params: JsonObject) -> JsonObject:
        self.ran.append(params)
        await self.free.wait()
        return {"count": len(self.ran)}

    def asks(self, key: str, command: str = "device.info", **more: Any) -> Json:
        """Return the parameters of `node.invoke` for the gateway's operator."""
        return {"nodeId": self.gateway_id, "command": command, "idempotencyKey": key, **more}

    async def invoked(self, key: str, command: str = "device.info", **more: Any) -> Any:
        """Have the agent's side invoke it; return the payload, or the code of the node's error."""
        try:
            answer = await self.castle.operator.request("node.invoke", self.asks(key, command, **more))
        except OperatorError as exc:
            error = object_of(exc.details.get("nodeError"))
            return error.get("code") or exc.details.get("code") or exc.code
        return answer.get("payload")

    def upstream(self) -> list[Json]:
        """What the bridge has called at the gateway for it: frames of `node.invoke` for this node."""
        calls = self.castle.tap.sent_up("node.invoke")
        return [call for call in calls if call["params"]["nodeId"] == self.gateway_id]

    async def state(self) -> tuple[str, bool]:
        """What `nodes` says: its state, and whether the gateway still counts on it."""
        rows = await self.castle.bridge.ask(self.castle.bridge.client.nodes)
        row = next(row for row in rows if row.node_id == self.node_id)
        return row.state, bool(row.at_gateway)

    async def connected_at_gateway(self) -> bool:
        """Whether the gateway lists it as connected."""
        rows = (await self.castle.operator.request("node.list", {}))["nodes"]
        return any(row["nodeId"] == self.gateway_id and row["connected"] for row in rows)


def allow_commands(castle: Fortress) -> None:
    """Have the gateway's owner allow what workers can do."""
    castle.gateway.core.setup = replace(castle.gateway.setup, commands_allow=COMMANDS)


async def worker(castle: Fortress) -> Worker:
    """Pair one."""
    key = ec.generate_private_key(ec.SECP256R1())
    link = await castle.link(*CAN.permissions)
    made = Worker(castle, (await castle.enrolment(key, wishes=CAN, link=link).enrol()).identity)
    made.free.set()
    rows = await castle.bridge.ask(castle.bridge.client.nodes)
    made.gateway_id = next(row.gateway_node_id for row in rows if row.node_id == made.node_id)
    async with made.here():
        pass
    return made


def a_key() -> str:
    """Return a key that nobody has used."""
    return secrets.token_hex(8)


async def written(castle: Fortress, *keys: tuple[str, str]) -> None:
    """Wait until the outcomes of these keys, each with its owner, are on the bridge's disk."""
    digests = {memo_of(owner, key, "", None).digest for owner, key in keys}

    def are_written() -> bool:
        with closing(sqlite3.connect(castle.bridge.home / "bridge.sqlite3")) as database:
            return digests <= {row[0] for row in database.execute("SELECT digest FROM calls WHERE status = 'done'")}

    await eventually(are_written, what="outcomes on disk")
