"""Nothing malformed that a phone sends reaches the gateway, before hello-ok or after it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.gateway_client.malformed import cases
from tests.real.conftest import Estate
from tests.support.iphone import PhoneSocket, Refused, pinned_context
from tests.support.scale import is_full

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.real]

PER_SOCKET = 8  # fewer than the 11 refusals in a row that close a socket
PER_PHONE = 16  # fewer than the 20 in a minute that do, over all sockets of a key


def _documents() -> list[tuple[str, bytes]]:
    chosen = [(name, data) for name, data, _ in cases()]
    return chosen if is_full() else chosen[:: max(1, len(chosen) // 160)]


async def _answered(node: PhoneSocket) -> bool:
    answer = await node.request("health")
    return bool(answer["payload"]["ok"])


async def test_malformed_frames_of_a_paired_phone_stay_at_the_bridge(estate: Estate) -> None:
    documents = _documents()
    assert len(documents) >= 150
    for start in range(0, len(documents), PER_PHONE):
        phone = estate.phone(f"Broken phone {start}")
        async with await estate.invite(phone, "voice", "chat", "nodes") as node:
            await estate.gateway_id(phone)
            for at in range(start, min(start + PER_PHONE, len(documents)), PER_SOCKET):
                await _stays_here(estate, node, documents[at : min(at + PER_SOCKET, start + PER_PHONE)])


async def _stays_here(estate: Estate, node: PhoneSocket, documents: list[tuple[str, bytes]]) -> None:
    before = len(_calls(estate))
    for _, data in documents:
        await node.send_raw(data)
    assert await _answered(node), documents
    assert node.closed is None
    assert _calls(estate)[before:] == []


def _calls(estate: Estate) -> list[str]:
    own = {"connect", "node.list", "node.pair.list", "node.pair.approve"}  # what the bridge says for itself
    return [frame["method"] for frame in estate.tap.sent_up() if frame["method"] not in own]


async def test_malformed_first_frames_end_the_socket_without_a_word(estate: Estate) -> None:
    before = len(estate.tap.sent_up())
    for name, data in _documents()[::4]:
        async with connect(estate.bridge.url, ssl=pinned_context(), proxy=None, compression=None) as socket:
            challenge = json.loads(await socket.recv())
            assert challenge["event"] == "connect.challenge"
            await socket.send(data)
            async for message in _to_the_end(socket):
                assert json.loads(message)["ok"] is False, name
            assert socket.close_code in {1008, 1009}, name
    assert len(estate.tap.sent_up()) == before


async def test_a_phone_that_loops_on_refused_calls_is_closed_and_kept_out(estate: Estate) -> None:
    phone = estate.phone("Looping phone")
    async with await estate.invite(phone, "device") as node:
        lines = len(estate.bridge.log_lines())
        for _ in range(40):
            if node.closed is None:
                await node.send("config.set", {"raw": "{}"})
        assert await node.wait_closed(10) == (1008, "repeated refused calls")
        assert len(estate.bridge.log_lines()) - lines <= 100
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
