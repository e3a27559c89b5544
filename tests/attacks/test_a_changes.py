"""Attacks A8, A14, A15: a node is revoked, and the bridge's certificate and key change, while everybody is busy."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.control.requests import RevokeBody
from bridge.errors import RefusedError
from bridge.node.native_node import NativeNode
from bridge.node.pairing_errors import BridgeMismatch
from bridge.pairing.tombstones import TombstoneStore
from certs.context import node_server_context
from certs.pins import pin_of_der
from certs.store import IDENTITY_FILE, KeyFolder
from gateway_client.frames import JsonObject
from tests.attacks.certified import FORBIDDEN, Visit, client_of, showing
from tests.attacks.forged import Challenged, challenged
from tests.attacks.fortress import FACTS, WISHES, Fortress
from tests.attacks.in_clear import logged, now_in
from tests.attacks.strangers import PAIRED
from tests.bridge.lan.wire import CLOSE, HOST, peer
from tests.support.operator import OperatorError
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

REMOVED = 4001
REVOKED_S = 1.0  # seconds until the socket of a revoked node is closed
UNREAD_BYTES = 8 * 1024 * 1024  # three times as much fills every buffer between the bridge and a node
PUMPS = 10
PACE_S = 0.03  # seconds between two messages of a pump: below the 50 a second that a node may be asked
HOST_NAME = "clawdis-bridge-0a1b2c3d.local"
BUSY = PAIRED | {"node.invoke.result", "node.pair.approve", "health", "config.get"}
CONNECT = {
    "minProtocol": 4,
    "maxProtocol": 4,
    "client": {"id": "node-host", "mode": "node", "version": "1.0", "platform": "linux"},
    "role": "node",
    "caps": ["device"],
    "commands": ["device.info"],
}


async def gateway_id(castle: Fortress, node_id: str) -> str:
    rows = await castle.bridge.ask(castle.bridge.client.nodes)
    return next(row.gateway_node_id for row in rows if row.node_id == node_id)


async def invoke(castle: Fortress, node: str, value: object) -> Any:
    """Have the gateway's operator ask a node; return what it answered."""
    params = {"nodeId": node, "command": "device.info", "params": {"v": value}, "idempotencyKey": secrets.token_hex(8)}
    return (await castle.operator.request("node.invoke", params))["payload"]


class TestA8RevokedWhileBusy:
    """A revoked node is cut off within a second, in the middle of what it was asked to do.

    Guards: `Ended(REMOVED, ...)` in `Hub._on_record` (bridge/hub.py): without it no close frame comes. `call_later(...,
    abort)` in `Relay._close` (bridge/lan/relay.py): without it the node that does not read stays. The end of the
    session and of its link, both in `_on_record`: with a mere close frame in their place the late result is answered.
    """

    async def test_it_is_cut_off(self, castle: Fortress, tmp_path: Path) -> None:
        identity = await castle.paired()
        node = await gateway_id(castle, identity.node_id)
        context = showing(client_of(identity), tmp_path)
        async with castle.unharmed(store=False, heard=BUSY), challenged(castle.node_port, context) as socket:
            answer = await socket.say(CONNECT)
            assert answer["ok"], answer
            await castle.bridge.settled(identity.node_id, "device.info")
            asked = asyncio.get_running_loop().create_task(invoke(castle, node, 1))
            first = await _invoke_request(socket)
            await socket.wire.send(_result(first))
            await asked
            asked = asyncio.get_running_loop().create_task(invoke(castle, node, 2))
            request = await _invoke_request(socket)
            done, closed = await asyncio.gather(
                castle.bridge.cli("nodes", "revoke", identity.node_id, "--yes"), _end_of(socket, request)
            )
            assert done.returncode == 0, done.stderr
            with pytest.raises(OperatorError):
                await asked
        record = castle.store()[identity.node_id]
        revoked_at = datetime.fromisoformat(record["revokedAt"])
        assert 0 <= (closed - revoked_at).total_seconds() < REVOKED_S
        assert identity.node_id in TombstoneStore(castle.bridge.home / "bridge.sqlite3").all()
        results = [sent["params"]["id"] for sent in castle.tap.sent_up("node.invoke.result") if sent["params"]["ok"]]
        assert first["id"] in results
        assert request["id"] not in results, "the late result went up"
        visit = await asyncio.to_thread(Visit, castle.node_port, context)
        assert visit.answer.startswith(FORBIDDEN)

    async def test_so_is_one_that_does_not_read(self, castle: Fortress, tmp_path: Path) -> None:
        identity = await castle.paired()
        node, context = await gateway_id(castle, identity.node_id), showing(client_of(identity), tmp_path)
        async with castle.unharmed(store=False, heard=BUSY, growth_kib=8 * UNREAD_BYTES // 1024):
            async with challenged(castle.node_port, context) as socket:
                assert (await socket.say(CONNECT))["ok"]
                await castle.bridge.settled(identity.node_id, "device.info")
                asked = [
                    asyncio.get_running_loop().create_task(invoke(castle, node, "x" * UNREAD_BYTES)) for _ in "123"
                ]
                await eventually(lambda: len(_requests(castle, node)) == len(asked), what="it is being asked")
                await castle.bridge.ask(lambda: castle.bridge.client.revoke(RevokeBody(ids=[identity.node_id])))
                await eventually(lambda: _nobody(castle), timeout_s=REVOKED_S, what="cut off")
            assert all(isinstance(each, OperatorError) for each in await asyncio.gather(*asked, return_exceptions=True))


def _requests(castle: Fortress, node: str) -> list[JsonObject]:
    """What the gateway has asked of a node."""
    frames = [
        seen.frame for seen in castle.tap.seen if not seen.up and seen.frame.get("event") == "node.invoke.request"
    ]
    return [frame for frame in frames if frame["payload"]["nodeId"] == node]


async def _nobody(castle: Fortress) -> bool:
    return (await castle.bridge.ask(castle.bridge.client.status)).nodes.connected == 0


def _result(request: JsonObject) -> bytes:
    params = {"id": request["id"], "nodeId": request["nodeId"], "ok": True, "payloadJSON": "{}"}
    return json.dumps({"type": "req", "id": "r", "method": "node.invoke.result", "params": params}).encode()


async def _invoke_request(socket: Challenged) -> dict[str, Any]:
    while True:
        frame: dict[str, Any] = json.loads((await socket.wire.frame()).payload)
        if frame.get("event") == "node.invoke.request":
            return dict(frame["payload"])


async def _end_of(socket: Challenged, request: JsonObject) -> datetime:
    """Wait for the close frame, answer the invoke instead, and tell when the connection had ended."""
    while (frame := await socket.wire.frame(30)).opcode != CLOSE:
        pass
    assert frame.close == (REMOVED, "device removed")
    with suppress(OSError):
        await socket.wire.send(_result(request))
        await socket.wire.rest()
    return datetime.now(UTC)


@dataclass
class Pump:
    """A node that is asked for an echo, again and again.

    Attributes:
        sent: how often it was asked.
        echoed: how often it gave the right answer.
        failed: what else came.
    """

    castle: Fortress
    node: str
    sent: int = 0
    echoed: int = 0
    failed: list[object] = field(default_factory=list)

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until told to stop."""
        while not stop.is_set():
            self.sent += 1
            value = f"{self.node}-{self.sent}"
            try:
                answer = await invoke(self.castle, self.node, value)
            except OperatorError as exc:
                self.failed.append(exc)
            else:
                self.echoed += answer == {"v": value}
            await asyncio.sleep(PACE_S)


async def _echo(params: JsonObject) -> JsonObject:
    return params


@asynccontextmanager
async def pumping(castle: Fortress) -> AsyncIterator[list[Pump]]:
    """Connect ten nodes, and have them asked for as long as the block runs."""
    async with AsyncExitStack() as stack:
        pumps: list[Pump] = []
        for _ in range(PUMPS):
            identity = await castle.paired()
            node = await stack.enter_async_context(NativeNode(identity, FACTS, WISHES, {"device.info": _echo}))
            await node.connect()
            await castle.bridge.settled(identity.node_id, "device.info")
            pumps.append(Pump(castle, await gateway_id(castle, identity.node_id)))
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for pump in pumps:
                group.create_task(pump.run(stop))
            try:
                yield pumps
            finally:
                stop.set()


async def shown_pin(port: int) -> str:
    """Return the pin of what the bridge shows to a newcomer."""
    async with peer(port) as client:
        der = client.tls.getpeercert(binary_form=True)
        assert der is not None
        return pin_of_der(der)


class TestA15ReloadsUnderLoad:
    """Bad files never come into force, a good one does at once, and no connection notices either.

    Guards: `_checked` and the note in certs/pair_file.py: without the comparison of certificate and key, and the note,
    a mismatched file comes as far as the handshakes' context, which fails in another way. `identity-refused` in
    `Certificates.reload` (bridge/certificates.py): without it the log says nothing. `nodes.use` in `take`
    (bridge/parts.py): without it the renewed certificate is not shown. With `end_all` after a reload
    (bridge/certificate_desk.py) pumps fail.
    """

    async def test_ten_pumps_lose_nothing(self, castle: Fortress, tmp_path: Path) -> None:
        file, client = castle.bridge.home / "keys" / IDENTITY_FILE, castle.bridge.client
        good, pin = file.read_bytes(), castle.bridge.pin
        other = KeyFolder(tmp_path / "keys").load_or_create(HOST_NAME, now=datetime.now(UTC)).file.read_bytes()
        end = b"-----END ENCRYPTED PRIVATE KEY-----\n"
        mismatched = good.partition(end)[0] + end + other.partition(end)[2]
        async with castle.unharmed(store=False, heard=BUSY, growth_kib=64 * 1024):
            async with pumping(castle) as pumps:
                for bad in (good[: len(good) // 2], b"", mismatched, other):
                    since = now_in(castle)
                    file.write_bytes(bad)
                    with pytest.raises(RefusedError, match="stays in force"):
                        await castle.bridge.ask(client.reload_certificates)
                    await logged(castle, "identity-refused", since)
                    assert await shown_pin(castle.node_port) == await shown_pin(castle.app_port) == pin
                    await _all_go_on(pumps)
                file.write_bytes(good)
                renewed = KeyFolder(castle.bridge.home / "keys").renew_certificate(HOST_NAME, now=datetime.now(UTC))
                assert (await castle.bridge.ask(client.reload_certificates)).pin == renewed.pin != pin
                assert await shown_pin(castle.node_port) == await shown_pin(castle.app_port) == renewed.pin
                await _all_go_on(pumps)
            assert [pump.failed for pump in pumps] == [[]] * PUMPS
            assert sum(pump.echoed for pump in pumps) == sum(pump.sent for pump in pumps) > 10 * PUMPS


async def _all_go_on(pumps: list[Pump]) -> None:
    before = [pump.echoed for pump in pumps]
    await eventually(lambda: all(pump.echoed > was + 2 for pump, was in zip(pumps, before, strict=True)))


@dataclass
class Rogue:
    """A server in the bridge's place, with a key of its own.

    Attributes:
        heard: what a client sent to it.
        shown: the clients' certificates.
    """

    heard: bytes = b""
    shown: list[bytes | None] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read to the end."""
        self.shown.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        with suppress(OSError):
            self.heard += await reader.read()
        writer.close()


class TestA14NewCertificates:
    """A new certificate for the same key is nothing to a native node; a new key is refused unless it was announced.

    Guards: `renew` in certs/identity.py keeps the key; with a new one in it the canary gets `BridgeMismatch`.
    `pin.check` in `PinnedObject.do_handshake` (certs/spki_pin.py) and, behind it, in `NativeNode._open`: without both
    the node speaks to the rogue, and the untold one connects; what the first is for, that not even the certificate is
    sent, tests/certs/test_spki_pin.py shows. `moved` (bridge/node/native_renewal.py): with any key in place of the
    announced one the same.
    """

    async def test_a_renewal_while_a_node_reconnects(self, castle: Fortress) -> None:
        stop, seen = asyncio.Event(), [castle.bridge.pin]

        async def reconnect() -> int:
            times = 0
            while not stop.is_set():
                async with castle.node(castle.canary) as node:
                    await node.connect()
                times += 1
            return times

        async with castle.unharmed(heard=BUSY):
            reconnecting = asyncio.get_running_loop().create_task(reconnect())
            done = await castle.bridge.cli("certs", "renew", "--yes")
            assert done.returncode == 0, done.stderr
            for _ in range(3):
                seen.append(await shown_pin(castle.node_port))
                await castle.bridge.ask(castle.bridge.client.renew_certificate)
            stop.set()
            assert await reconnecting > 3
        assert len(set(seen)) == 4, "each showed another certificate"

    async def test_a_rogue_with_another_key(self, castle: Fortress, tmp_path: Path) -> None:
        keys, now = KeyFolder(tmp_path / "keys"), datetime.now(UTC)
        identity, rogue = keys.load_or_create(HOST_NAME, now=now), Rogue()
        context = node_server_context(identity, keys.client_authority(now=now).certificate)
        server = await asyncio.start_server(rogue.serve, HOST, 0, ssl=context)
        async with castle.unharmed(), server:
            port = server.sockets[0].getsockname()[1]
            async with castle.node(replace(castle.canary, port=port)) as node:
                with pytest.raises(BridgeMismatch) as refused:
                    await node.connect()
            assert refused.value.seen == identity.spki
            async with peer(port):  # whatever came before has been dealt with when this one is
                await eventually(lambda: rogue.shown)
            assert rogue.shown == [None], "the node showed its certificate"
            assert rogue.heard == b""

    async def test_a_rotation(self, castle: Fortress) -> None:
        untold = await castle.paired()
        async with castle.unharmed(store=False, heard=BUSY):
            await castle.bridge.ask(lambda: castle.bridge.client.rotate_key(commit=False))
            async with castle.node(castle.canary) as node:
                castle.canary = await node.identity()
            assert (await castle.bridge.cli("certs", "rotate", "--commit", "--yes")).returncode == 0
            async with castle.node(untold) as node:
                with pytest.raises(BridgeMismatch):
                    await node.connect()
                assert node.state == untold
            async with castle.node(castle.canary) as node:
                await node.connect()
                castle.canary = node.state
            assert castle.spki == (await castle.bridge.ask(castle.bridge.client.certs)).spki != untold.spki
