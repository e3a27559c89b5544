"""Paired native nodes without manners, from any loopback address, and what they cost the daemon."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from bridge.node.native_identity import NodeIdentity
from bridge.node.native_node import NativeNode
from tests.attacks.certified import client_of, showing
from tests.attacks.fortress import Fortress
from tests.bridge.lan.wire import CLOSE, HOST, Peer, masked

Json = dict[str, Any]
CLIENT = {"id": "node-host", "displayName": "Flood", "version": "1.0", "platform": "linux", "mode": "node"}
CONNECT: Json = {"minProtocol": 3, "maxProtocol": 4, "client": CLIENT, "role": "node", "commands": ["device.info"]}

LINKED = frozenset(
    {"connect", "node.pair.approve", "node.list", "node.pair.list", "node.event", "config.get", "node.invoke.result"}
)
"""What the bridge says to the gateway when nodes come in and the canary is invoked."""


class KeptOut(Exception):
    """`connect` was refused.

    Attributes:
        error: the error object.
    """

    def __init__(self, error: Json) -> None:
        super().__init__(str(error))
        self.error = error


def req(method: str, request_id: str = "r", **params: Any) -> bytes:
    """A request's text."""
    return orjson.dumps({"type": "req", "id": request_id, "method": method, "params": params})


@asynccontextmanager
async def joined(castle: Fortress, identity: NodeIdentity, folder: Path, address: str) -> AsyncIterator[Peer]:
    """A paired node's open socket, from one address.

    Raises:
        KeptOut: the bridge does not let it in.
        OSError, EOFError: the bridge hung up.
    """
    context = showing(client_of(identity), folder)
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(
            HOST, castle.node_port, ssl=context, server_hostname="x", local_addr=(address, 0), limit=2**22
        )
    peer = Peer(reader, writer)
    try:
        await peer.upgrade()
        await peer.frame()  # the challenge: the certificate has answered it
        await peer.send(req("connect", "c", **CONNECT))
        answer = orjson.loads((await peer.frame()).payload)
        if not answer["ok"]:
            raise KeptOut(answer["error"])
        yield peer
    finally:
        await peer.end()


async def pour(peer: Peer, frames: list[bytes]) -> None:
    """Writes all of it at once, as masked messages, whether or not the bridge reads it."""
    peer.writer.write(b"".join(masked(1, frame) for frame in frames))


async def heard(peer: Peer, until: int) -> tuple[list[Json], tuple[int, str] | None]:
    """Reads so many answers, or up to the close; returns them and how it was closed."""
    answers: list[Json] = []
    while len(answers) < until:
        frame = await peer.frame()
        if frame.opcode == CLOSE:
            return answers, frame.close
        told = orjson.loads(frame.payload) if frame.opcode == 1 else {}
        if told.get("type") == "res":
            answers.append(told)
    return answers, None


def codes(answers: list[Json]) -> list[str]:
    """The codes of the errors among the answers."""
    return [answer["error"]["code"] for answer in answers if not answer["ok"]]


def cpu_s(pid: int) -> float:
    """The processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def paces(node: NativeNode, count: int) -> list[float]:
    """How long so many calls of a node take, one after the other, in seconds, sorted."""
    took = []
    for _ in range(count):
        begin = time.monotonic()
        assert (await node.request("health", {})).ok
        took.append(time.monotonic() - begin)
    return sorted(took)


def p95(took: list[float]) -> float:
    """The 95th percentile of sorted figures."""
    return took[len(took) * 95 // 100]


@dataclass(frozen=True)
class Flood:
    """What came of a flood of one node, and what another one noticed of it.

    Attributes:
        answers: to the flood.
        closed: how its socket ended; None: it is still there.
        took: seconds until everything was answered.
        calm: 95th percentile of the canary's calls before, in seconds.
        busy: the same in the flood.
    """

    answers: list[Json]
    closed: tuple[int, str] | None
    took: float
    calm: float
    busy: float


async def flooded(brief: Fortress, node: NodeIdentity, folder: Path, method: str, count: int) -> Flood:
    """Has a node ask as often as it can, while the canary goes its own pace."""
    async with brief.unharmed(heard=LINKED), brief.node(brief.canary) as canary:
        await canary.connect()
        calm = p95(await paces(canary, 100))
        async with joined(brief, node, folder, "127.0.0.4") as peer:
            begin = time.monotonic()
            await pour(peer, [req(method, f"{number}") for number in range(count)])
            busy = p95(await paces(canary, 100))
            answers, closed = await heard(peer, count)
            return Flood(answers, closed, time.monotonic() - begin, calm, busy)
