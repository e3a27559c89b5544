"""Attack G4: many paired nodes announce the largest message at once, and do not finish it.

Guard: `metering.inflow.claim` in `FrameGate._go_on` (bridge/lan/frame_gate.py); when it is always granted, memory grows
by all of the messages: 193 MB.
"""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.node.native_identity import NodeIdentity
from tests.attacks.certified import client_of, showing
from tests.attacks.fortress import Fortress, fortress
from tests.attacks.strangers import PAIRED
from tests.bridge.lan.wire import TEXT, Peer, masked, peer
from tests.support.bridge_process import WIDE_LIMITS
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

BUDGET = 26_214_400  # bytes: one of the largest messages
NODES = 8
SIZE = 25_000_000
KEPT_BACK = 1_000_000  # bytes of each message that do not come
MAX_GROWTH_KIB = 5 * BUDGET // 1024  # the bound is the budget; without it NODES * 24 MB = 192 MB come

WORKED_ON_KIB = (
    8 * BUDGET // 1024
)  # what is joined, parsed and answered of a message at a time is some four times of it


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tight() -> AsyncIterator[Fortress]:
    """A bridge with room for one large message."""
    async with fortress(limits={**WIDE_LIMITS, "in_flight_bytes": BUDGET}) as made:
        yield made


def large_message(node_id: str) -> bytes:
    """Return a result of `SIZE` bytes, as one frame; nobody waits for it."""
    params = {"id": "late", "nodeId": node_id, "ok": True, "payloadJSON": ""}
    head = json.dumps({"type": "req", "id": "big", "method": "node.invoke.result", "params": params})
    return masked(TEXT, head.replace('""', '"' + "x" * (SIZE - len(head)) + '"').encode())


@asynccontextmanager
async def inside(tight: Fortress, identity: NodeIdentity, folder: Path) -> AsyncIterator[Peer]:
    """A paired node that is in, by hand."""
    async with peer(tight.node_port, showing(client_of(identity), folder)) as wire:
        await wire.upgrade()
        await wire.frame()
        client = {"id": "node-host", "version": "1", "platform": "linux", "mode": "node", "displayName": "Big"}
        params = {"minProtocol": 4, "maxProtocol": 4, "client": client, "role": "node", "scopes": [], "caps": []}
        await wire.send(json.dumps({"type": "req", "id": "c", "method": "connect", "params": params}).encode())
        assert await answered(wire, "c")
        yield wire


async def answered(wire: Peer, name: str) -> bool:
    """Read up to the answer of a request; return whether it is a good one."""
    while (frame := json.loads((await wire.frame()).payload)).get("id") != name:
        pass
    return bool(frame["ok"])


async def test_g4_half_sent_messages_take_no_more_than_the_budget_and_hold_up_nobodys_calls(
    tight: Fortress, tmp_path: Path
) -> None:
    identities = [await tight.paired() for _ in range(NODES)]
    messages = [large_message(each.node_id) for each in identities]
    heard = PAIRED | {"node.pair.approve", "node.invoke.result", "config.get", "connect", "node.list", "node.pair.list"}
    async with tight.unharmed(store=False, heard=heard, growth_kib=WORKED_ON_KIB), AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(inside(tight, each, tmp_path)) for each in identities]
        before = tight.resident_kib()
        for wire, message in zip(wires, messages, strict=True):
            wire.writer.write(message[:-KEPT_BACK])
        await eventually(lambda: holds(tight, 1), timeout_s=20.0, what="one has room, the others wait")
        await tight.invoked()  # the canary: its calls are small
        assert tight.resident_kib() - before < MAX_GROWTH_KIB
        for done in range(1, 4):  # the positive control: each gets its turn, in order
            wires[done - 1].writer.write(messages[done - 1][-KEPT_BACK:])
            assert await answered(wires[done - 1], "big"), "it is read, to its end"
            await eventually(functools.partial(holds, tight, 1 + done), timeout_s=20.0, what="the next has room")


async def holds(tight: Fortress, began: int) -> bool:
    """Whether so many have had their turn, and one of them has it now."""
    load = (await tight.bridge.ask(tight.bridge.client.status)).load
    assert load.bytes_in_flight <= BUDGET
    return load.sockets_held == NODES - began and load.bytes_in_flight > SIZE - 1_000


async def test_g4_nothing_is_left_of_them(tight: Fortress) -> None:
    async def is_empty() -> bool:
        load = (await tight.bridge.ask(tight.bridge.client.status)).load
        return load.bytes_in_flight == 0 and load.sockets_held == 0

    await eventually(is_empty, what="the budget is free")
