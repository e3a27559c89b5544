"""The simulated phone against the embedded gateway behind TLS: it pairs, runs commands, speaks, sleeps, comes back."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from bridge.demo.gateway import EmbeddedGateway, GatewaySetup, Invoke
from bridge.demo.gateway.core import Core, new_id
from bridge.demo.gateway.invokes import Call
from bridge.demo.gateway.refusals import Refusal
from bridge.node.phone import Phone
from bridge.node.phone_probe import ingress, read_pin, touch
from bridge.node.phone_state import SCREEN_COMMANDS, PhoneSetup
from certs.context import PinMismatch
from gateway_client.errors import GatewayUnreachableError
from gateway_client.frames import JsonObject
from tests.support.waiting import eventually


@dataclass
class Bench:
    """A gateway behind TLS, as a phone sees a bridge."""

    gateway: EmbeddedGateway
    setup: PhoneSetup
    heard: list[str] = field(default_factory=list)
    bytes_in: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def core(self) -> Core:
        return self.gateway.core

    async def approve(self) -> None:
        request = await eventually(lambda: next(iter(self.core.surfaces.pending.values()), None), what="a surface")
        assert request is not None
        approved = self.core.surfaces.approve(request.request_id, ["operator.admin", "operator.pairing"], 0)
        session = self.core.nodes.sessions[approved.node_id]
        session.effective = session.declared

    async def invoke(self, phone: Phone, command: str, params_json: str | None = None) -> JsonObject:
        call = Call(phone.identity.device_id, command, params_json, 5_000, new_id())
        return await self.core.invoke(call)

    def cut(self) -> None:
        for writer in self.writers:
            if not writer.is_closing():  # one that is closed twice cannot be aborted (asyncio, Python 3.11.2)
                writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bench: Bench, *, inward: bool) -> None:
    try:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                bench.bytes_in += len(data) if inward else 0
                writer.write(data)
                await writer.drain()
    finally:  # also when the test is over first
        writer.close()


@contextlib.asynccontextmanager
async def bench_of(setup: GatewaySetup | None = None, **phone: object) -> AsyncIterator[Bench]:
    async def turn(text: str, invoke: Invoke) -> str:
        bench.heard.append(text)
        return "Done."

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bench.writers.add(writer)
        try:
            upstream, onward = await asyncio.open_connection("127.0.0.1", bench.gateway.port)
        except OSError:
            writer.transport.abort()
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_pump(reader, onward, bench, inward=True))
            tasks.create_task(_pump(upstream, writer, bench, inward=False))

    leaf = trustme.CA().issue_cert("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    pem = leaf.cert_chain_pems[0].bytes()
    pin = hashlib.sha256(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)).hexdigest()
    made = setup or GatewaySetup(auth="none", commands_allow=SCREEN_COMMANDS)
    async with EmbeddedGateway(made, turn) as gateway:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        quick = PhoneSetup("127.0.0.1", port, pin, pairing_retry_s=0.05, retry_unit_s=0.02, health_s=0.05)
        bench = Bench(gateway, replace(quick, **phone))  # type: ignore[arg-type]  # checked by the dataclass itself
        try:
            yield bench
        finally:
            server.close()
            bench.cut()


@pytest.mark.parametrize("kind", ["ios", "android"])
async def test_commands_run_on_both_kinds(kind: str) -> None:
    async with bench_of(kind=kind) as bench, Phone(bench.setup) as phone:
        await phone.wait_connected()
        await bench.approve()
        went = await bench.invoke(phone, "screen.navigate", '{"url":"https://a.example/"}')
        assert went["payload"] == {"url": "https://a.example/", "title": "a.example"}
        assert (went["payloadJSON"] is None) == (kind == "android")
        assert phone.screen.url == "https://a.example/"
        assert [request["command"] for request in phone.commands] == ["screen.navigate"]
        with pytest.raises(Refusal, match="boom"):
            await bench.invoke(phone, "screen.eval", '{"javaScript":"throw new Error(\'boom\')"}')


async def test_token_is_kept_and_presented_again() -> None:
    async with bench_of() as bench, Phone(bench.setup) as phone:
        await phone.wait_connected()
        token = phone.tokens.node
        bench.cut()
        await phone.wait_closed()
        await phone.wait_connected()
        assert token is not None
        assert phone.tokens.node == token


async def test_speech_reaches_the_agent() -> None:
    async with bench_of() as bench, Phone(bench.setup) as phone:
        await phone.wait_connected()
        await bench.approve()
        answer = await phone.say("hello there", event_id="e1")
        assert answer.ok
        await eventually(lambda: bench.heard == ["hello there"], what="the transcript at the agent")


async def test_background_refuses_and_foreground_runs_what_waited() -> None:
    async with bench_of() as bench, Phone(bench.setup) as phone:
        await phone.wait_connected()
        await bench.approve()
        await phone.background()
        with pytest.raises(Refusal) as refusal:
            await bench.invoke(phone, "screen.navigate", '{"url":"https://later.example/"}')
        assert refusal.value.error.detail("code") == "QUEUED_UNTIL_FOREGROUND"
        assert phone.screen.url == "about:blank"
        await phone.foreground()
        assert phone.screen.url == "https://later.example/"
        assert bench.core.foreground.of(phone.identity.device_id, 0) == []


async def test_sockets_are_dropped_after_the_grace_time_and_come_back() -> None:
    async with bench_of(background_grace_s=0.05) as bench, Phone(bench.setup) as phone:
        await phone.wait_connected()
        await phone.background()
        await phone.wait_closed()
        await phone.until(lambda: not phone.connected, "end")
        await phone.foreground()
        await phone.wait_connected()


async def test_paused_phone_waits_for_its_user() -> None:
    strict = GatewaySetup(auth="none", auto_approve_local=False)
    async with bench_of(strict) as bench, Phone(bench.setup) as phone:
        error = await phone.wait_refused()
        assert (error.code, error.detail("code")) == ("NOT_PAIRED", "PAIRING_REQUIRED")
        await phone.until(lambda: phone.paused, "pause")
        (request,) = bench.core.devices.pending(0)
        bench.core.devices.approve(request.request_id, ["operator.admin"], 0)
        phone.resume()
        await phone.wait_connected()


async def test_wrong_pin_sends_nothing_and_never_connects() -> None:
    async with bench_of(pin="0" * 64) as bench:
        async with Phone(bench.setup) as phone:
            with pytest.raises(TimeoutError, match="no hello-ok within"):
                await phone.wait_connected(0.3)
            assert bench.writers
        assert bench.bytes_in == 0


async def test_owner_may_bring_commands() -> None:
    async with bench_of() as bench, Phone(bench.setup, handlers={"device.info": lambda params: {"mine": 1}}) as phone:
        await phone.wait_connected()
        await bench.approve()
        assert (await bench.invoke(phone, "device.info"))["payload"] == {"mine": 1}


async def test_operator_socket_asks_what_the_app_asks() -> None:
    async with bench_of() as bench:
        phone = Phone(bench.setup)
        phone.tokens.operator = "from an earlier setup code"
        async with phone:
            await phone.wait_operator()
            await phone.until(lambda: "health" in phone.operator_answers, "health")
            answers = {method: answer.ok for method, answer in phone.operator_answers.items()}
            assert answers == dict.fromkeys(
                ("config.get", "agents.list", "sessions.list", "voicewake.get", "health"), True
            )
            assert (await phone.operator_request("node.list", {})).ok
            bench.cut()
            await phone.until(lambda: len(phone.closes) >= 2, "both ends")
            await phone.wait_operator()


async def test_app_probes_before_it_connects() -> None:
    async with bench_of() as bench:
        setup = bench.setup
        await touch(setup.host, setup.port)
        assert await read_pin(setup.host, setup.port) == setup.pin
        assert bench.bytes_in == 0
        assert await ingress(setup.host, setup.port, setup.pin) == 426
        with pytest.raises(PinMismatch):
            await ingress(setup.host, setup.port, "0" * 64)


async def test_probes_say_when_nobody_is_there() -> None:
    async with bench_of() as bench:
        closed = bench.setup.port
        plain = bench.gateway.port
        with pytest.raises(GatewayUnreachableError):
            await read_pin("127.0.0.1", plain)
    for probe in (touch("127.0.0.1", closed), read_pin("127.0.0.1", closed), ingress("127.0.0.1", closed, "0" * 64)):
        with pytest.raises(GatewayUnreachableError):
            await probe
