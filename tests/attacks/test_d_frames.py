"""Attacks D1 to D7: documents that are no frames, from a paired phone, on its node socket and on its operator socket.

Before hello-ok the same documents end a socket: `tests/real/test_bad_input.py`, where the real gateway listens, and
`tests/bridge/lan/test_opening.py`. What is refused for which reason: `tests/gateway_client/test_frames_malformed.py`.
"""

from __future__ import annotations

import json

import pytest

from bridge.lan.intake import MAX_ITEMS
from gateway_client.frames import Bounds, FrameFault
from tests.attacks.fortress import Fortress
from tests.attacks.insiders import Insider
from tests.gateway_client.malformed import Carrier, carrier, cases, node_carriers
from tests.support.iphone import PhoneSocket
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="package")

BOUNDS = Bounds(max_bytes=1_048_576, max_items=MAX_ITEMS)
CHAT = carrier("chat.send", '{"sessionKey":"main","message":"hi","idempotencyKey":"k","x":%b}')
CLASSES = {
    "d1": ("not-json-", "not_json-", "truncated-", "tokens-", "shapes-"),
    "d2": ("costly-",),
    "d3": ("duplicates-",),
    "d4": ("numbers-",),
    "d5": ("encodings-",),
    "d6": ("surrogates-",),
}
DEEP = {f"deep-{depth}": b"[" * depth + b"]" * depth for depth in (33, 1_000, 100_000)}
NOT_COUNTS = ("true", "1.5", '"5"', "-1", "null", "[]", "1e3")
NO_NUMBERS = ("9007199254740993", "-0")  # two readers may take them for different ones


def documents(name: str, within: Carrier) -> list[bytes]:
    """The documents of one class, in a request that is forwarded when it is whole."""
    found = [
        data
        for case, data, fault in cases(BOUNDS, within)
        if case.startswith(CLASSES[name]) and fault is not FrameFault.TOO_LARGE
    ]
    assert found, name
    return found


def sockets(mallory: Insider) -> list[tuple[PhoneSocket, Carrier]]:
    """Each socket with a request that it may send."""
    return [(mallory.node, node_carriers(mallory.phone.node_id)[3]), (mallory.chat, CHAT)]


@pytest.mark.parametrize("name", CLASSES)
async def test_malformed_documents_are_refused_and_never_go_on(keep: Fortress, mallory: Insider, name: str) -> None:
    """D1 to D6. Guards, in gateway_client/frames.py: the check of depth in `_skeleton` (D2), `_count_members` (D3) and
    `_check_numbers` (D4); with any of them left out, the gateway hears of it.
    """
    async with keep.unharmed():
        for socket, within in sockets(mallory):
            await mallory.stays(socket, documents(name, within))
            assert socket.closed is None


async def test_the_same_requests_go_on_when_they_are_whole(mallory: Insider) -> None:
    """The positive control of D1 to D6."""
    for socket, within in sockets(mallory):
        before = len(mallory.calls(within.method))
        await socket.send_raw(within.holding(b'{"a":[1,"\xc3\xa9"]}'))
        await socket.request("voicewake.get", {})
        assert len(mallory.calls(within.method)) == before + 1


@pytest.mark.parametrize("data", DEEP.values(), ids=DEEP)
async def test_d2_nesting_is_refused_before_a_single_object_is_made(
    keep: Fortress, mallory: Insider, data: bytes
) -> None:
    """With `max_depth` of `Bounds` five times as large, 33 levels go on."""
    async with keep.unharmed():
        for socket, within in sockets(mallory):
            await mallory.stays(socket, [data, within.holding(data)])


@pytest.mark.parametrize("number", [*NOT_COUNTS, *NO_NUMBERS])
async def test_d4_what_is_no_count_is_no_count(keep: Fortress, mallory: Insider, number: str) -> None:
    """A member that has to be a count: refused on the operator socket, left out on the node's; a frame with what is
    no number at all is refused on both.

    With `count` of bridge/lan/member_kinds.py taking `True`, it goes on.
    """
    text = '{"type":"req","id":"n","method":"agent.wait","params":{"runId":"r","timeoutMs":NUMBER}}'
    text = text.replace("NUMBER", number)
    before = len(mallory.calls("agent.wait"))
    async with keep.unharmed(heard=frozenset({"agent.wait"})):
        await mallory.stays(mallory.chat, [text.encode()])
        assert len(mallory.calls("agent.wait")) == before
        if number in NO_NUMBERS:
            await mallory.stays(mallory.node, [text.encode()])
        else:
            await mallory.node.send_raw(text.encode())
            await eventually(lambda: len(mallory.calls("agent.wait")) > before, what="the gateway hears it")
    assert mallory.calls("agent.wait")[before:] == [{"runId": "r"}] * (number in NOT_COUNTS)


ODD_NAMES = (
    "\x00",
    "a\x00b",
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "x" * 100_000,
    "sessionkey",
    "\ufeff",
)


@pytest.mark.parametrize("name", ODD_NAMES, ids=lambda name: ascii(name[:12]))
async def test_d7_a_name_that_nobody_knows_goes_nowhere(keep: Fortress, mallory: Insider, name: str) -> None:
    """With `turn_members` or `PARAMS` passing what they do not know, the forwarded object differs."""
    golden = {"message": "hi", "sessionKey": "main", "idempotencyKey": "d7"}
    async with keep.unharmed(heard=frozenset({"agent", "chat.send"})):
        for socket, method in ((mallory.node, "agent"), (mallory.chat, "chat.send")):
            await socket.request(method, {**golden, name: {"approved": True}})
            assert mallory.calls(method)[-1] == golden
        at_the_top = {"type": "req", "id": "t", "method": "agent", "params": golden, name: 1}
        await mallory.stays(mallory.node, [json.dumps(at_the_top).encode()])


async def test_d7_a_crowd_of_names_is_refused_before_it_is_read(keep: Fortress, mallory: Insider) -> None:
    """What it takes to refuse them is given back: the first round makes room, the others need no more."""
    await crowd_of_names(mallory)
    async with keep.unharmed(heard=frozenset({"agent", "chat.send"}), growth_kib=4 * 1024):
        for _ in range(3):
            await crowd_of_names(mallory)
    assert all("x" not in params for params in mallory.calls("agent") + mallory.calls("chat.send"))


async def crowd_of_names(mallory: Insider) -> None:
    """Sends a hundred thousand names, which is too many, and a name of a megabyte, which goes nowhere."""
    crowd = json.dumps({f"k{number}": 0 for number in range(100_000)}).encode()
    for socket, within in sockets(mallory):
        before = len(mallory.calls(within.method))
        await mallory.stays(socket, [within.holding(crowd)])
        assert len(mallory.calls(within.method)) == before
        await socket.send_raw(within.holding(b'{"%b":1}' % (b"k" * 900_000)))
        await socket.request("health")
