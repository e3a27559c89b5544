"""Nothing malformed that a phone sends reaches the gateway, before hello-ok or after it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import islice

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bridge.lan.intake import MAX_ITEMS
from gateway_client.frames import Bounds, FrameFault
from tests.gateway_client.malformed import cases, node_carriers
from tests.real.conftest import Estate
from tests.support.iphone import PhoneSocket, Refused, pinned_context

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.real]

# For one phone to send all of it; eleven in a row still end a socket.
LIMITS = {
    "refusals_per_minute": 100_000,
    "calls_per_second": 10_000,
    "calls_burst": 100_000,
    "events_per_minute": 100_000,
    "agent_per_minute": 100_000,
}
IN_A_ROW = 10
BOUNDS = Bounds(max_bytes=1_048_576, max_items=MAX_ITEMS)  # longer frames end the socket: tests/bridge/lan has them
MARKERS = Counter({"voicewake.get": 1, "node.event": 1})  # one for each of the links to the gateway
STATS = {"event": "node.host.stats", "payloadJSON": '{"cpuCount":2}'}


@pytest.mark.parametrize("index", range(len(node_carriers(""))), ids=[one.method for one in node_carriers("")])
async def test_malformed_frames_of_a_paired_phone_stay_at_the_bridge(estate: Estate, index: int) -> None:
    phone = estate.phone("Broken phone")
    within = node_carriers(phone.node_id)[index]
    sent = ((name, data) for name, data, fault in cases(BOUNDS, within) if fault is not FrameFault.TOO_LARGE)
    async with await estate.invite(phone, "voice", "chat", "nodes") as node:
        await estate.gateway_id(phone)
        await _marked(node)
        while documents := list(islice(sent, IN_A_ROW)):
            await _stays_here(estate, node, documents)
    _unharmed(estate)


async def _stays_here(estate: Estate, node: PhoneSocket, documents: list[tuple[str, bytes]]) -> None:
    names = [name for name, _ in documents]
    calls, frames = len(_calls(estate)), len(node.frames)
    for _, data in documents:
        await node.send_raw(data)
    await _marked(node)
    assert node.closed is None, names
    assert Counter(_calls(estate)[calls:]) == MARKERS, names
    answers = [frame for frame in node.frames[frames:] if frame["type"] == "res" and not frame["ok"]]
    assert len(answers) <= len(documents), names
    assert {frame["error"]["code"] for frame in answers} <= {"INVALID_REQUEST"}, names


async def _marked(node: PhoneSocket) -> None:
    """One call on each link: what was sent before it would have gone before it."""
    for method, params in (("voicewake.get", {}), ("node.event", STATS)):
        answer = await node.request(method, params)
        assert answer["ok"], answer


def _calls(estate: Estate) -> list[str]:
    own = {"connect", "node.list", "node.pair.list", "node.pair.approve"}  # what the bridge says for itself
    return [frame["method"] for frame in estate.tap.sent_up() if frame["method"] not in own]


def _unharmed(estate: Estate) -> None:
    assert "Traceback" not in estate.bridge.log_path.read_text()
    assert [line for line in estate.bridge.log_lines() if line["level"] in {"error", "critical"}] == []


async def test_malformed_first_frames_end_the_socket_without_a_word(estate: Estate) -> None:
    before = len(estate.tap.sent_up())
    for name, data, _ in cases():
        async with connect(estate.bridge.url, ssl=pinned_context(), proxy=None, compression=None) as socket:
            challenge = json.loads(await socket.recv())
            assert challenge["event"] == "connect.challenge"
            await socket.send(data)
            async for message in _to_the_end(socket):
                assert json.loads(message)["ok"] is False, name
            assert socket.close_code in {1008, 1009}, name
    assert len(estate.tap.sent_up()) == before
    _unharmed(estate)


async def test_a_phone_that_loops_on_refused_calls_is_closed_and_kept_out(estate: Estate) -> None:
    phone = estate.phone("Looping phone")
    async with await estate.invite(phone, "device") as node:
        lines = len(estate.bridge.log_lines())
        for _ in range(40):
            if node.closed is None:
                await node.send("config.set", {"raw": "{}"})
        assert await node.wait_closed(10) == (1008, "repeated refused calls")
        assert len(estate.bridge.log_lines()) - lines <= 100
    _unharmed(estate)
    with pytest.raises(Refused) as busy:
        await estate.socket(phone).__aenter__()
    assert busy.value.error["code"] == "UNAVAILABLE"
    assert busy.value.error["retryable"] is True
    assert 1_000 <= busy.value.error["retryAfterMs"] <= 60_000
    assert busy.value.details == {"reason": "busy"}


async def _to_the_end(socket: ClientConnection) -> AsyncIterator[str | bytes]:
    with suppress(ConnectionClosed):
        async for message in socket:
            yield message
