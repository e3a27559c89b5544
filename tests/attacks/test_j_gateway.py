"""Group J: a gateway that is away, slow, broken, foreign or somebody else. The phones stay, and are told at once.

Beside each attack stands what works when it is over: the same call over the same parts, answered.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.config import GatewayTable
from bridge.lan.events import Answered, Fault, Unanswered
from bridge.upstream.operator_link import OperatorLink
from bridge.upstream.port_owner import PortOwner
from bridge.upstream.secret import SecretReader, SecretSource
from gateway_client.protocol import HANDSHAKE_S, ClientProtocol, ConnectProfile, Credentials, Fail, State
from gateway_client.retry import FIRST_S, LIMIT_S
from tests.bridge.house import NOWHERE, House, house
from tests.bridge.lan.phones import IPHONE
from tests.bridge.lan.rooms import Caller
from tests.bridge.upstream.scripted import HELLO, Refused, ScriptedGateway
from tests.bridge.upstream.stage import Phone, embedded, forward, outcome, staged
from tests.support.waiting import eventually

QUICK_S = 1.0  # seconds: what is down says so within
WATCH_S = 5 * FIRST_S  # seconds of a fault that comes back at once
IN_FLIGHT = 50


async def call(phone: Caller, name: str) -> dict[str, Any]:
    """Ask for the list of nodes; return the answer."""
    await phone.asks("node.list", {}, name)
    while (frame := await phone.read()).get("id") != name:
        assert frame["type"] == "event", frame
    return frame


async def is_answered(phone: Caller) -> bool:
    """The positive control: the gateway answers a call of this phone."""
    return bool((await call(phone, f"control-{id(object())}"))["ok"])


@asynccontextmanager
async def inside(home: Path, url: str) -> AsyncIterator[tuple[House, Caller]]:
    """A bridge for that gateway, and a phone that is in."""
    async with house(home, url) as built:
        await built.pair(IPHONE)
        async with built.call(IPHONE) as phone:
            await phone.gets_in()
            yield built, phone


def nodes(params: object) -> dict[str, list[object]]:
    return {"nodes": []}


async def refused_at_once(phone: Caller, name: str) -> dict[str, Any]:
    """Call, and be told within a second that there is no gateway; return the error."""
    async with asyncio.timeout(QUICK_S):
        answer = await call(phone, name)
    assert answer["ok"] is False
    error: dict[str, Any] = answer["error"]
    assert (error["code"], error["details"], error["retryable"]) == ("UNAVAILABLE", {"reason": "gateway"}, True)
    assert error["retryAfterMs"] > 0
    return error


async def test_j1_while_the_gateway_is_down_every_call_is_refused_at_once_and_the_phone_stays(tmp_path: Path) -> None:
    """Red when a call waits for its link while the operator link is down."""
    async with inside(tmp_path, NOWHERE) as (built, phone):
        for number in range(40):
            await refused_at_once(phone, f"r{number}")
        assert built.hub.roster.connected() == 1
    async with ScriptedGateway() as gateway, inside(tmp_path / "up", gateway.url) as (built, phone):
        gateway.answers["node.list"] = nodes
        await eventually(lambda: built.hub.switchboard.operator.is_open)
        assert await is_answered(phone)


async def test_j2_a_gateway_that_says_nothing_holds_nobody_up(tmp_path: Path) -> None:
    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    silent = await asyncio.start_server(hear, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with silent, inside(tmp_path, f"ws://127.0.0.1:{port}") as (built, phone):
        await refused_at_once(phone, "r1")
        assert built.hub.switchboard.operator.state == "connecting"


def test_j2_the_challenge_and_hello_have_fifteen_seconds_together() -> None:
    made = ClientProtocol(ConnectProfile({"id": "x"}, "operator"), Credentials(), None, new_id=str, now=100.0)
    assert made.handle_timer(100.0 + HANDSHAKE_S - 0.01) == []
    assert made.handle_timer(100.0 + HANDSHAKE_S) == [Fail(4000, "handshake timeout")]
    assert HANDSHAKE_S == 15.0
    late = json.dumps({"type": "event", "event": "connect.challenge", "payload": {"nonce": "n", "ts": 1}}).encode()
    assert (made.receive(late, 160.0), made.state) == ([], State.CLOSED)


async def test_j2_a_late_answer_is_dropped_and_its_place_is_free(tmp_path: Path) -> None:
    """Red when the answer after the time-out is passed on, and when the place stays taken."""
    go = asyncio.Event()

    async def late(params: object) -> dict[str, list[object]]:
        await asyncio.wait_for(go.wait(), 5 * QUICK_S)  # also when the test has failed
        return {"nodes": []}

    async with ScriptedGateway() as gateway, staged(gateway.url, tmp_path / "home") as stage:
        await eventually(lambda: stage.operator.is_open)
        gateway.answers["node.list"] = late
        gateway.answers["health"] = nodes
        phone = Phone("aa" * 32)
        told = await outcome(stage, phone, forward("slow", "node.list", wait_s=0.2))
        assert told == Unanswered("slow", Fault.TIMEOUT)
        await eventually(lambda: stage.switchboard.forwarding.queue.held == 0, timeout_s=QUICK_S)
        go.set()
        assert isinstance(await outcome(stage, phone, forward("next", "health")), Answered)
        assert phone.outcomes("slow") == [told]


async def test_j3_fifty_calls_in_flight_when_the_gateway_is_killed_have_one_error_each(tmp_path: Path) -> None:
    """Red when a call is sent again by itself: the gateway counts what it was asked."""
    async with embedded() as gateway, staged(gateway.url, tmp_path / "home") as stage:
        await eventually(lambda: stage.operator.is_open)
        phones = [Phone(f"{number:064x}") for number in range(5)]
        for number in range(IN_FLIGHT):
            agent = forward(f"k{number}", "agent", {"message": "hello", "idempotencyKey": f"k{number}"})
            stage.switchboard.forward(phones[number % 5], agent)
        await eventually(lambda: sum(len(phone.of(Answered)) for phone in phones) == IN_FLIGHT)
        await gateway.kill()
        await eventually(lambda: sum(len(phone.of(Unanswered)) for phone in phones) == IN_FLIGHT, timeout_s=QUICK_S)
        await gateway.start()
        await eventually(lambda: stage.operator.is_open)
        control = await outcome(stage, phones[0], forward("control", "node.list"))
        assert isinstance(control, Answered)
        for number in range(IN_FLIGHT):
            key = f"k{number}"
            assert phones[number % 5].outcomes(key) == [Unanswered(key, Fault.GONE)]


def answer(**members: object) -> str:
    return json.dumps({"type": "res", **members})


GARBAGE: dict[str, str | bytes] = {
    "invalid JSON": "{",
    "binary": b"\xff\xfe\x00",
    "30 MiB": json.dumps({"type": "event", "event": "chat", "payload": "x" * 30 * 1024 * 1024}),
    "wrong id": answer(id="nobody-asked", ok=True, payload={}),
    "ok is a word": answer(id="nobody-asked", ok="yes", payload={}),
    "deep": "[" * 100_000 + "]" * 100_000,
    "no type": "{}",
    "a request": json.dumps({"type": "req", "id": "x", "method": "node.invoke", "params": {}}),
    "duplicate keys": '{"type":"res","id":"x","ok":true,"ok":false}',
    "an infinite number": '{"type":"event","event":"chat","payload":1e999}',
}


async def test_j4_garbage_costs_nothing_but_itself(tmp_path: Path) -> None:
    """Every kind on every connection; red when one of them ends a link or a socket."""
    async with ScriptedGateway() as gateway, inside(tmp_path, gateway.url) as (built, phone):
        gateway.answers["node.list"] = nodes
        await eventually(lambda: built.hub.switchboard.operator.is_open and len(gateway.sockets) == 2)
        for name, garbage in GARBAGE.items():
            await gateway.say_raw(garbage)
            assert await is_answered(phone), name
            assert gateway.dials == 2, f"{name} has ended a link"
        assert built.hub.roster.connected() == 1
        assert not built.stage.events("operator-link-failed")


async def test_j4_an_answer_that_says_ok_with_a_word_fails_its_call_and_no_other(tmp_path: Path) -> None:
    async with ScriptedGateway() as gateway, inside(tmp_path, gateway.url) as (built, phone):
        await eventually(lambda: built.hub.switchboard.operator.is_open)
        gateway.raw["node.list"] = lambda request_id: answer(id=request_id, ok="yes", payload={})
        told = await call(phone, "r1")
        assert (told["ok"], told["error"]["details"]) == (False, {"reason": "unreadable"})
        del gateway.raw["node.list"]
        gateway.answers["node.list"] = nodes
        assert await is_answered(phone)


async def test_j4_a_storm_of_events_reaches_nobody_who_may_not_hear_it_and_calls_go_on(tmp_path: Path) -> None:
    async with ScriptedGateway() as gateway, inside(tmp_path, gateway.url) as (built, phone):
        gateway.answers["node.list"] = nodes
        await eventually(lambda: built.hub.switchboard.operator.is_open)
        storm = json.dumps({"type": "event", "event": "presence", "payload": {"n": 1}})
        for _ in range(10):
            for _ in range(1_000):
                await gateway.say_raw(storm)
            assert await is_answered(phone)  # it passes over events: `call` would find another frame
        assert built.stage.flow.outflow.total == 0


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1008, 1011, 1012, 1013, 4000, 4001])
async def test_j5_whatever_it_closes_with_it_is_tried_again_and_not_hammered(tmp_path: Path, code: int) -> None:
    """Red when a close is answered by dialling at once. Afterwards it is there again, and calls are answered."""
    async with ScriptedGateway() as gateway, staged(gateway.url, tmp_path / "home") as stage:
        gateway.answers["node.list"] = nodes
        await eventually(lambda: stage.operator.is_open)
        await gateway.close_all(code)
        await eventually(lambda: gateway.dials == 2 and stage.operator.is_open, timeout_s=LIMIT_S)
        assert isinstance(await outcome(stage, Phone("aa" * 32), forward("k", "node.list")), Answered)
        assert len(stage.events("gateway-not-connected")) == 1


async def test_j5_an_immediate_close_each_time_makes_few_attempts_and_few_lines(tmp_path: Path) -> None:
    async with ScriptedGateway() as gateway:
        gateway.hangs_up = True
        async with staged(gateway.url, tmp_path / "home") as stage:
            await asyncio.sleep(WATCH_S)
            assert 2 <= gateway.dials <= 5  # pauses of 1, 2, 4 and 5 s, a quarter less at the most
            assert len(stage.events("gateway-not-connected")) <= gateway.dials
            gateway.hangs_up = False
            gateway.answers["node.list"] = nodes
            await eventually(lambda: stage.operator.is_open and gateway.sockets, timeout_s=2 * LIMIT_S)
            assert isinstance(await outcome(stage, Phone("aa" * 32), forward("k", "node.list")), Answered)


async def test_j5_a_refused_secret_stops_the_hammering_and_says_what_to_do(tmp_path: Path) -> None:
    async with ScriptedGateway() as gateway:

        def mismatch(params: object) -> object:
            raise Refused("INVALID_REQUEST", "unauthorized", code="AUTH_TOKEN_MISMATCH")

        gateway.hello = mismatch
        async with staged(gateway.url, tmp_path / "home") as stage:
            await eventually(lambda: stage.operator.state == "refused")
            await asyncio.sleep(2 * FIRST_S)
            assert gateway.dials == 1
            assert "gateway.token_source" in (stage.operator.detail or "")
            assert len(stage.events("gateway-not-connected")) == 1


class Rotating:
    """A gateway whose token is changed, and the file from which the bridge reads its own."""

    def __init__(self, gateway: ScriptedGateway, file: Path, token: str) -> None:
        self.gateway = gateway
        self.file = file
        self.token = token
        self.tried: list[str] = []
        gateway.hello = self.hello
        self.write(token)

    def hello(self, params: dict[str, Any]) -> object:
        self.tried.append(params["auth"]["token"])
        if params["auth"]["token"] != self.token:
            raise Refused("INVALID_REQUEST", "unauthorized", code="AUTH_TOKEN_MISMATCH")
        return HELLO

    def write(self, token: str) -> None:
        self.file.write_text(token)
        self.file.chmod(0o600)


async def test_j6_a_new_token_works_within_five_seconds_and_the_old_one_is_not_tried_again(tmp_path: Path) -> None:
    """Red when a refused secret is tried again only after its half minute."""
    async with ScriptedGateway() as gateway, staged(gateway.url, tmp_path / "home", run_operator=False) as stage:
        rotating = Rotating(gateway, tmp_path / "token", "old-token-of-the-test")
        table = GatewayTable(url=gateway.url, token_source="file", token_file=str(rotating.file))
        source = SecretSource(SecretReader(table, {}, tmp_path))
        link = OperatorLink(gateway.url, source, stage.log)
        running = stage.tasks.spawn("operator-link", link.run())
        await eventually(lambda: link.is_open)
        rotating.token = "new-token-of-the-test"
        gateway.drop_all()
        await eventually(lambda: link.state == "refused")
        tried = len(rotating.tried)
        rotating.write(rotating.token)
        await eventually(lambda: link.is_open, timeout_s=5.0)
        assert rotating.tried[tried:] == ["new-token-of-the-test"]
        running.cancel()
        await asyncio.wait({running})
        source.close()
        text = json.dumps(stage.logged)
        assert not [token for token in ("old-token", "new-token") if token in text]


async def test_j7_whoever_took_the_port_before_the_gateway_gets_no_token(tmp_path: Path) -> None:
    """Red when the secret is read without asking whose port it is; the control is the same gateway in its own hands."""
    async with ScriptedGateway() as gateway, staged(gateway.url, tmp_path / "home", run_operator=False) as stage:
        table = tmp_path / "tcp"
        row = f"0: 0100007F:{gateway.port:04X} 00000000:0000 0A 0:0 0:0 0 {{}} 0 1\n"
        table.write_text("head\n" + row.format(54_321))
        owner = PortOwner(gateway.port, 54_320, (table,))
        source = SecretSource(stage.reader, owner.objection)
        link = OperatorLink(gateway.url, source, stage.log)
        running = stage.tasks.spawn("operator-link", link.run())
        await eventually(lambda: link.state == "refused")
        assert "held by a process of the user 54321" in (link.detail or "")
        assert gateway.dials == 0
        assert [event["state"] for event in stage.events("gateway-not-connected")] == ["refused"]  # audited
        running.cancel()
        table.write_text("head\n" + row.format(54_320))
        running = stage.tasks.spawn("operator-link", link.run())
        await eventually(lambda: link.is_open)
        running.cancel()
        await asyncio.wait({running})
        source.close()


@pytest.mark.parametrize("protocol", [3, 5, "4"])
async def test_j8_another_protocol_is_refused_clearly_and_not_again_and_again(tmp_path: Path, protocol: Any) -> None:
    """Red when hello-ok is taken whatever protocol it names."""
    async with ScriptedGateway() as gateway:
        gateway.hello = lambda params: {**HELLO, "protocol": protocol}
        async with inside(tmp_path, gateway.url) as (built, phone):
            operator = built.hub.switchboard.operator
            await eventually(lambda: operator.state == "refused")
            assert "different protocols" in (operator.detail or "")
            await refused_at_once(phone, "r1")
            await eventually(lambda: gateway.dials == 2, what="the operator link and the node's own")
            await asyncio.sleep(2 * FIRST_S)
            assert gateway.dials == 2


@pytest.mark.parametrize(
    "hello", [{}, {"type": "hello-ok"}, {"policy": {"maxPayload": "x"}}, {"features": None, "x": 1}]
)
async def test_j8_members_that_are_missing_or_new_are_borne(tmp_path: Path, hello: dict[str, Any]) -> None:
    async with ScriptedGateway() as gateway:
        gateway.hello = lambda params: hello
        gateway.answers["node.list"] = nodes
        async with inside(tmp_path, gateway.url) as (built, phone):
            await eventually(lambda: built.hub.switchboard.operator.is_open)
            assert await is_answered(phone)


async def test_j8_a_member_that_the_gateway_wants_and_the_bridge_does_not_send_is_told(tmp_path: Path) -> None:
    async with ScriptedGateway() as gateway:

        def wants(params: object) -> object:
            raise Refused("INVALID_REQUEST", "invalid connect params: must have required property 'attestation'")

        gateway.hello = wants
        async with inside(tmp_path, gateway.url) as (built, phone):
            await eventually(lambda: built.hub.switchboard.operator.detail)
            assert "attestation" in (built.hub.switchboard.operator.detail or "")
            await refused_at_once(phone, "r1")
            await asyncio.sleep(3 * FIRST_S)
            assert gateway.dials <= 8  # the operator link and the node's own, each with pauses that grow
