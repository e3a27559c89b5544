"""Attacks D8 to D12, D15 and D16: sizes, fragments, compression, slowness and floods, before hello-ok and after it.

Their rules one by one: `tests/bridge/lan/test_frame_rules.py`; over TLS: `test_listener_frames.py`,
`test_listener_limits.py` and `test_listener_websocket.py` (D17, with docs/decisions/0012-websocket-conformance.md); who
never reads: `test_relay.py`; damaged frames on their way to the gateway (D16): `test_path_fuzz.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
import zlib
from contextlib import AsyncExitStack, suppress

import pytest
import pytest_asyncio

from bridge.lan.frame_rules import CONTROL_BURST
from tests.attacks.fortress import Fortress
from tests.attacks.insiders import COMES_IN, RawPeer, inside, paired_phone, raw
from tests.bridge.lan.path_corpus import OF_A_NODE, OF_AN_OPERATOR, mutants
from tests.bridge.lan.wire import (
    BINARY,
    CONTINUATION,
    HOST,
    PING,
    PONG,
    TEXT,
    UPGRADE,
    client_context,
    header,
    masked,
    peer,
)
from tests.support.iphone import IPhone
from tests.support.scale import scale, seed

pytestmark = pytest.mark.asyncio(loop_scope="package")

FRAME_MAX = 26_214_400  # limits.frame_max_bytes
FLAT_KIB = 4 * 1024  # of growth: what a process of this size breathes
FLOOD = scale(1_000_000)


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def phone(keep: Fortress) -> IPhone:
    """A paired phone."""
    return await paired_phone(keep, "device", name="Flooder")


class TestD8:
    """A frame of the limit is read, one byte more closes with 1009, and a header's promise costs nothing.

    Guard: `max_msg_size` of bridge/lan/listener.py; five times as generous, the frame of one byte more is answered.
    """

    async def test_the_limit_and_one_byte_more(self, keep: Fortress, phone: IPhone) -> None:
        result = '{"type":"req","id":"h","method":"node.invoke.result","params":{"id":"i","nodeId":"%s","ok":true}}'
        async with raw(keep, phone) as node:
            whole = (result % phone.node_id).encode()
            await node.say(masked(BINARY, whole + b" " * (FRAME_MAX - len(whole))))
            assert (await node.answer("h"))["payload"] == {"ok": True, "ignored": True}, "the positive control"
            with suppress(OSError):
                await node.say(masked(BINARY, whole + b" " * (FRAME_MAX + 1 - len(whole))))
            assert (await node.closed())[0] == 1009

    @pytest.mark.parametrize("inside_", [True, False], ids=["after", "before"])
    async def test_a_promise_of_all_memory(self, keep: Fortress, phone: IPhone, inside_: bool) -> None:
        async with keep.unharmed(growth_kib=FLAT_KIB, heard=COMES_IN):
            for _ in range(20):
                async with raw(keep, phone if inside_ else None) as made:
                    await made.say(masked(TEXT, b"x", length=2**63 - 1))
                    assert (await made.closed())[0] == 1009


class TestD9:
    """Fragments without end, and frames that RFC 6455 does not know.

    Guard: `_count` of bridge/lan/frame_rules.py: without it a million fragments are read.
    """

    @pytest.mark.parametrize("inside_", [True, False], ids=["after", "before"])
    @pytest.mark.parametrize("piece", [b"x", b""], ids=["one-byte", "empty"])
    async def test_fragments_without_end(self, keep: Fortress, phone: IPhone, piece: bytes, inside_: bool) -> None:
        attacker = phone if inside_ else None
        async with keep.unharmed(growth_kib=FLAT_KIB, heard=COMES_IN), raw(keep, attacker) as made:
            await made.say(masked(TEXT, b"{", final=False))
            sent = await flood(made, masked(CONTINUATION, piece, final=False), FLOOD)
            assert sent < FLOOD, "it went on reading"

    @pytest.mark.parametrize("inside_", [True, False], ids=["after", "before"])
    async def test_what_is_no_frame(self, keep: Fortress, phone: IPhone, inside_: bool) -> None:
        bad = [masked(opcode, b"x") for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF)]
        bad += [masked(TEXT, b"x", reserved=bits) for bits in (1, 2, 4)]
        bad += [header(TEXT, 1, mask=False) + b"x", masked(PING, b"x" * 126), masked(PING, b"", final=False)]
        bad += [masked(CONTINUATION, b"x"), masked(TEXT, b"a", final=False) + masked(TEXT, b"b")]
        async with keep.unharmed(heard=COMES_IN):
            for data in bad:
                async with raw(keep, phone if inside_ else None) as made:
                    await made.say(data)
                    assert (await made.closed())[0] == 1002

    async def test_control_frames_between_fragments_are_in_order(self, keep: Fortress, phone: IPhone) -> None:
        """The positive control."""
        async with raw(keep, phone) as node:
            whole = b'{"type":"req","id":"h","method":"health"}'
            for at, byte in enumerate(whole):
                await node.say(masked(CONTINUATION if at else TEXT, bytes([byte]), final=at == len(whole) - 1))
                if at % 8 == 0:
                    await node.say(masked(PING, b"p"))
            assert (await node.answer("h"))["ok"]


class TestD10:
    """Compression is never agreed on, so a bomb is a frame with a reserved bit.

    Guard: `compress=False` of bridge/lan/listener.py: with the other value it is agreed on. Guard: the reserved bits in
    `_judge` of bridge/lan/frame_rules.py.
    """

    async def test_a_bomb_is_not_unpacked(self, keep: Fortress) -> None:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = b"".join(packer.compress(b"\x00" * 2**20) for _ in range(64)) + packer.flush(zlib.Z_SYNC_FLUSH)
        offer = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
        async with keep.unharmed(growth_kib=2 * 1024), peer(keep.app_port) as stranger:
            await stranger.say(UPGRADE % (b"/", offer))
            head = await stranger.head()
            assert head.startswith("HTTP/1.1 101 ")
            assert "extensions" not in head.lower()
            made = RawPeer(stranger.reader, stranger.writer)
            with suppress(OSError):
                await made.say(masked(BINARY, bomb[:60_000], reserved=4))
            assert (await made.closed())[0] == 1002


DRIPS = {
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", False),
    "head": (UPGRADE % (b"/", b""), True),
    "body": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n", True),
    "websocket": (b"", True),
}
CUT_S = 13.0  # TLS has 5 s, a `connect` 10 s after the upgrade, which has 10 s itself; and some for a busy machine


class TestD11:
    """Sixty peers that drip a byte a second are cut at a moment that nothing they send can move.

    Guard: `Deadlines` of bridge/lan/listener.py and `CONNECT_S` of bridge/lan/session.py, counted from the beginning; a
    deadline that each byte puts off (`_deadline` set anew in `_on_message`) leaves them there.
    """

    async def test_sixty_that_drip(self, keep: Fortress) -> None:
        async with keep.unharmed(heard=COMES_IN | {"node.invoke.result"}):
            started = time.monotonic()
            async with asyncio.TaskGroup() as group:
                ends = [group.create_task(drip(keep, kind)) for kind in DRIPS for _ in range(15)]
                await asyncio.sleep(1.0)
                await keep.invoked()  # the canary is served while all of them hold their places
            assert time.monotonic() - started < CUT_S * 2
            assert max(end.result() for end in ends) < CUT_S


async def drip(keep: Fortress, kind: str) -> float:
    """Sends a byte a second until it is cut; returns after how many seconds that was."""
    data, tls = DRIPS[kind]
    started = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection(
            HOST, keep.app_port, ssl=client_context() if tls else None, server_hostname="x.local" if tls else None
        )
    except OSError:
        return 0.0
    if kind == "websocket":
        writer.write(UPGRADE % (b"/", b"") + masked(TEXT, b"", length=60_000)[:-4])
    ended = asyncio.get_running_loop().create_task(reader.read())
    with suppress(OSError):
        for number in itertools.count():
            writer.write(data[number : number + 1] or b"x")
            await writer.drain()
            if (await asyncio.wait({ended}, timeout=1.0))[0]:
                break
    took = time.monotonic() - started
    with suppress(OSError):
        await ended
    writer.transport.abort()
    return took


class TestD12:
    """Who asks and never reads is not read any further; what waits for it is bounded.

    Guard: `_room` of bridge/lan/relay.py: without it each of the answers is made and waits.
    """

    async def test_a_peer_that_never_reads(self, keep: Fortress, phone: IPhone) -> None:
        before = keep.resident_kib()
        async with keep.unharmed(growth_kib=8 * 1024, heard=COMES_IN), raw(keep, phone) as node:
            assert (await node.ask("health"))["ok"], "the positive control"
            ask = masked(TEXT, b'{"type":"req","id":"%b","method":"health"}' % (b"i" * 250)) * 100
            with suppress(OSError, TimeoutError):
                for _ in range(scale(40_000)):
                    async with asyncio.timeout(2.0):
                        await node.say(ask)
            waiting = keep.resident_kib()
            assert waiting - before < 8 * 1024, "it keeps what nobody reads"


class TestD15:
    """A flood of pings is answered by a few pongs, then closed (CVE-2025-26466).

    Guard: `_spend` of bridge/lan/frame_rules.py: without it every ping is answered. With `CONTROL_BURST` five times as
    large there are more pongs than the bound.
    """

    @pytest.mark.parametrize("inside_", [True, False], ids=["after", "before"])
    async def test_a_million_pings(self, keep: Fortress, phone: IPhone, inside_: bool) -> None:
        attacker = phone if inside_ else None
        async with keep.unharmed(growth_kib=FLAT_KIB, heard=COMES_IN), raw(keep, attacker) as made:
            sent = await flood(made, masked(PING, b"p" * 125), FLOOD)
            assert sent < FLOOD
            assert made.pongs <= CONTROL_BURST + 8

    async def test_an_ordinary_ping_is_answered(self, keep: Fortress, phone: IPhone) -> None:
        """The positive control."""
        async with raw(keep, phone) as node:
            await node.say(masked(PING, b"here?"))
            while (frame := await node.frame()).opcode != PONG:
                pass
            assert frame.payload == b"here?"


async def flood(made: RawPeer, frame: bytes, count: int) -> int:
    """Sends a frame over and over until the connection ends; returns how many were sent until then."""
    sent, block = 0, frame * 100
    ended = asyncio.get_running_loop().create_task(made.drained())
    with suppress(OSError):
        while sent < count and not ended.done():
            await made.say(block)
            await asyncio.sleep(0)
            sent += 100
    await asyncio.wait({ended}, timeout=0 if ended.done() else 5.0)
    ended.cancel()
    return sent if ended.done() else count


class TestD16:
    """Damaged frames over real sockets: the daemon answers, closes or keeps silent, and nothing else."""

    async def test_fuzzed_frames(self, keep: Fortress) -> None:
        rng, count = random.Random(seed()), scale(10_000) // 2  # noqa: S311 - repeatable
        async with AsyncExitStack() as stack:
            spy = await stack.enter_async_context(inside(keep, "voice", "chat", "nodes", "device", name="Fuzzer"))
            for socket, frames in ((spy.node, OF_A_NODE), (spy.chat, OF_AN_OPERATOR)):
                for number, data in enumerate(itertools.islice(mutants(rng, frames), count)):
                    await socket.send_raw(data)
                    if number % 8 == 7:
                        started = time.monotonic()
                        assert (await socket.request("health"))["ok"], data
                        assert time.monotonic() - started < 5.0
                assert (await socket.request("voicewake.get", {}))["ok"], "what was whole has been at the gateway"
                assert socket.closed is None, (socket.closed, seed())
        async with keep.unharmed():
            pass
