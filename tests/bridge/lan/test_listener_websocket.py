"""WebSocket cases 1 to 7 of the Autobahn suite, in spirit, over the real listener (decision 12).

Its cases 3, 4 and parts of 5 are `frame_cases.OUT_OF_ORDER`, which test_listener_frames plays. Case 6 asks for a check
of UTF-8 in the WebSocket layer; here the reader of frames refuses it (tests/gateway_client/malformed.py).
"""

from __future__ import annotations

import pytest
from aiohttp import WSMsgType

from bridge.lan.listener import Upgraded
from tests.bridge.lan.conftest import Serve
from tests.bridge.lan.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Peer, header, masked, peer

SIZES = (0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537, 131_072)
GOOD_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
BAD_CODES = (0, 999, 1004, 1005, 1016, 1100, 2000, 2999)


async def echo(upgraded: Upgraded) -> None:
    """Sends every message back as text."""
    upgraded.promote()
    async for message in upgraded.socket:
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            break
        await upgraded.socket.send_frame(bytes(message.data), WSMsgType.TEXT)


def code(number: int, reason: bytes = b"") -> bytes:
    """Returns the payload of a close frame."""
    return number.to_bytes(2) + reason


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_1_messages_of_every_size(serve: Serve, opcode: int) -> None:
    async with serve(echo) as listener, peer(listener.port) as phone:
        await phone.upgrade()
        for size in SIZES:
            await phone.send(b"*" * size, opcode)
            assert (await phone.frame()).payload == b"*" * size


async def test_1_messages_that_come_byte_by_byte(serve: Serve) -> None:
    async with serve(echo) as listener, peer(listener.port) as phone:
        await phone.upgrade()
        for byte in masked(TEXT, b"x" * 130):
            await phone.say(bytes([byte]))
        assert (await phone.frame()).payload == b"x" * 130


@pytest.mark.parametrize("payload", [b"", b"hello", bytes(range(125))])
async def test_2_pings_are_answered_with_their_payload(serve: Serve, payload: bytes) -> None:
    async with serve(echo) as listener, peer(listener.port) as phone:
        await phone.upgrade()
        for _ in range(10):
            await phone.send(payload, PING)
        for _ in range(10):
            answer = await phone.frame()
            assert (answer.opcode, answer.payload) == (PONG, payload)


async def test_2_pongs_that_nobody_asked_for_are_ignored(serve: Serve) -> None:
    async with serve(echo) as listener, peer(listener.port) as phone:
        await phone.upgrade()
        await phone.send(b"unasked", PONG)
        await phone.send(b"next")
        assert (await phone.frame()).payload == b"next"


async def test_2_a_ping_of_126_bytes_is_too_long(serve: Serve) -> None:
    await _ends_with(serve, masked(PING, b"x" * 126), 1002)


async def test_5_fragments_are_joined_and_control_frames_come_between(serve: Serve) -> None:
    async with serve(echo) as listener, peer(listener.port) as phone:
        await phone.upgrade()
        parts = (b"frag", b"", b"men", b"ted")
        await phone.say(masked(TEXT, parts[0], final=False) + masked(PING, b"1"))
        await phone.say(masked(CONTINUATION, parts[1], final=False) + masked(PONG, b"2"))
        await phone.say(masked(CONTINUATION, parts[2], final=False) + masked(CONTINUATION, parts[3]))
        assert (await phone.frame()).opcode == PONG
        assert (await phone.frame()).payload == b"fragmented"
        await phone.send(b"whole")
        assert (await phone.frame()).payload == b"whole"


async def test_5_what_came_whole_before_a_breach_may_be_answered_and_nothing_after_it(serve: Serve) -> None:
    async with serve(echo) as listener, peer(listener.port) as phone:
        await phone.upgrade()
        await phone.send(b"before")
        assert (await phone.frame()).payload == b"before"
        await phone.say(masked(CONTINUATION, b"x") + masked(TEXT, b"after"))
        assert (await phone.frame()).close[0] == 1002
        assert b"after" not in await phone.rest()


@pytest.mark.parametrize("number", GOOD_CODES)
async def test_7_a_close_is_answered(serve: Serve, number: int) -> None:
    async with serve(echo) as listener, peer(listener.port) as phone:
        await phone.upgrade()
        await phone.send(code(number, b"x" * 123), CLOSE)
        assert (await phone.frame()).opcode == CLOSE
        assert await phone.rest() == b""


@pytest.mark.parametrize("number", BAD_CODES)
async def test_7_a_code_that_must_not_be_sent_is_an_error(serve: Serve, number: int) -> None:
    await _ends_with(serve, masked(CLOSE, code(number)), 1002)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (masked(CLOSE, b"\x03"), 1002),
        (masked(CLOSE, code(1000, b"x" * 124)), 1002),
        (masked(CLOSE, code(1000, b"\xff")), 1007),
        (header(CLOSE, 2, mask=False) + code(1000), 1002),
    ],
    ids=["one-byte", "too-long", "not-utf8", "unmasked"],
)
async def test_7_a_close_that_is_none_is_an_error(serve: Serve, frame: bytes, expected: int) -> None:
    await _ends_with(serve, frame, expected)


async def test_7_nothing_is_answered_after_a_close(serve: Serve) -> None:
    async with serve(echo) as listener, peer(listener.port) as phone:
        await phone.upgrade()
        await phone.say(masked(CLOSE, code(1000)) + masked(TEXT, b"late") + masked(PING, b"late"))
        assert (await phone.frame()).opcode == CLOSE
        assert b"late" not in await phone.rest()


async def _ends_with(serve: Serve, frame: bytes, expected: int) -> None:
    async with serve(echo) as listener, peer(listener.port) as phone:
        await phone.upgrade()
        await phone.say(frame)
        assert (await phone.frame()).close[0] == expected
        await _closed(phone)


async def _closed(phone: Peer) -> None:
    assert await phone.rest() == b""
