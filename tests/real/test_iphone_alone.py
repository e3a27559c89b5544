"""What the iOS app does before and without a gateway (mobile-clients §12): first contact, challenge, hold, ticks."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time

import pytest

from tests.real.conftest import House, enter
from tests.support.iphone import IPhone, PhoneSocket, Refused, pinned_context

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.real]

HOLD_S = 25.0  # how long a person has while the app waits
TICK_S = 30.0
HEALTH_S = 15.0  # how often the app asks
SLACK_S = 3.0  # of a busy machine


async def _get(house: House, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", house.bridge.app_port, ssl=pinned_context(), server_hostname=IPhone.sni
    )
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer


async def test_01_to_03_first_contact_is_no_attack(house: House) -> None:
    before = len(house.bridge.log_lines())
    for _ in range(10):
        await asyncio.to_thread(socket.create_connection(("127.0.0.1", house.bridge.app_port)).close)
    aborting = ssl.create_default_context()  # trusts no self-signed certificate: it aborts as the probe does
    aborting.set_alpn_protocols(["h2", "http/1.1"])
    for _ in range(5):
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", house.bridge.app_port, ssl=aborting, server_hostname=IPhone.sni)
    for method in (b"GET / HTTP/1.1", b"GET /healthz HTTP/1.1", b"HEAD / HTTP/1.1"):
        started = time.monotonic()
        answer = await _get(house, method + b"\r\nHost: clawdis.local\r\nConnection: keep-alive\r\n\r\n")
        head = answer.lower()
        assert head.startswith(b"http/1.1 404 ")
        assert b"www-authenticate" not in head
        assert b"location:" not in head
        assert head.endswith(b"\r\n\r\n")
        assert time.monotonic() - started < 1
    lines = [
        line for line in house.bridge.log_lines()[before:] if line.get("link") != "operator"
    ]  # no gateway: said too
    assert [line for line in lines if line["level"] != "debug"] == []


async def test_05_the_challenge_comes_soon_and_both_signatures_are_taken(house: House) -> None:
    phone, other = house.phone("Binary phone"), house.android("Text phone")
    for one in (phone, other):
        async with await house.invite(one) as node:
            assert node.challenged_after_s < 1
            assert type(node.challenge["ts"]) is int
            assert abs(node.challenge["ts"] - time.time() * 1000) < 5_000
            assert (await node.request("health"))["payload"]["ok"] is True
    for skew_s in (-118, 118):
        other.skew_ms = skew_s * 1000
        async with house.socket(other) as node:
            assert node.hello["auth"]["role"] == "node"
    for skew_s in (-125, 125):
        other.skew_ms = skew_s * 1000
        with pytest.raises(Refused) as skewed:
            await house.socket(other).__aenter__()
        assert skewed.value.details["code"] == "DEVICE_AUTH_SIGNATURE_EXPIRED"


async def test_06_an_unknown_phone_is_told_to_wait_and_keeps_its_request(house: House) -> None:
    phone = house.phone("Unknown phone")
    ids = set()
    waiting = asyncio.get_running_loop().create_task(enter(house.socket(phone)))
    (request,) = await house.bridge.pending()
    for _ in range(10):  # the app tries again every 6 s; its request keeps its id
        newer = house.socket(phone)
        entering = asyncio.get_running_loop().create_task(enter(newer))
        refused = await asyncio.wait_for(waiting, 10)  # the newer connect takes the hold over at once
        assert isinstance(refused, Refused)
        assert refused.error["code"] == "NOT_PAIRED"
        assert refused.details["code"] == "PAIRING_REQUIRED"
        assert refused.details["recommendedNextStep"] == "wait_then_retry"
        assert refused.details["pauseReconnect"] is False
        ids.add(refused.details["requestId"])
        waiting = entering
    assert ids == {request.id}
    await house.bridge.ask(lambda: house.bridge.client.deny(request.id))  # an address has one request at a time
    denied = await asyncio.wait_for(waiting, 10)
    assert isinstance(denied, Refused)
    assert denied.details["pauseReconnect"] is True


async def test_06_09_and_11_holds_end_and_ticks_and_health_go_on_while_the_gateway_is_away(house: House) -> None:
    phone = house.phone("Patient iPhone")
    async with await house.invite(phone) as node, house.socket(phone, "operator", scopes=phone.scopes) as chat:
        status = await house.bridge.ask(house.bridge.client.status)
        assert status.gateway.state in {"down", "connecting"}
        async with asyncio.TaskGroup() as together:
            together.create_task(_held(house, house.phone("Waiting iPhone")))
            for one in (node, chat):
                together.create_task(_ticked(one))
                together.create_task(_healthy(one))
        assert (node.closed, chat.closed) == (None, None)


async def _held(house: House, phone: IPhone) -> None:
    waiting = house.socket(phone)
    started = time.monotonic()
    refused = await enter(waiting)
    assert HOLD_S - 1 < time.monotonic() - started < HOLD_S + SLACK_S
    assert isinstance(refused, Refused)
    assert refused.error["code"] == "NOT_PAIRED"
    assert refused.details["code"] == "PAIRING_REQUIRED"
    assert refused.details["reason"] == "not-paired"
    assert refused.details["actionCommand"] == f"clawdis-bridge approve {refused.details['requestId']}"
    assert waiting.closed is not None
    assert waiting.closed[0] == 1008


async def _ticked(one: PhoneSocket) -> None:
    assert one.hello["policy"]["tickIntervalMs"] == TICK_S * 1000
    tick = await one.event("tick", timeout_s=TICK_S + SLACK_S)
    assert abs(tick["payload"]["ts"] - time.time() * 1000) < 5_000


async def _healthy(one: PhoneSocket) -> None:
    """Asks as often as the app does: three failures in a row make it leave."""
    for asked in range(3):
        if asked:
            await asyncio.sleep(HEALTH_S)
        started = time.monotonic()
        assert (await one.request("health"))["payload"]["ok"] is True
        assert time.monotonic() - started < 1
