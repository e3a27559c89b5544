"""H6: secrets are planted in every path through a running bridge, the failing ones too; none is in any output.

The positive controls: each secret is seen where it was meant to arrive, and the same search finds what is no secret.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bridge.demo.gateway import EmbeddedGateway, GatewaySetup, Invoke
from bridge.node.native_enrolment import DeviceFacts, NativeEnrolment, Wishes
from bridge.node.pairing_errors import EnrolmentError
from bridge.pairing.native_link import read_link
from tests.attacks.canaries import Canaries, found, kept, snapshot, told
from tests.real.conftest import bootstrap_token
from tests.support.bridge_process import BridgeProcess
from tests.support.iphone import IPhone, PhoneError, PhoneSocket, Refused
from tests.support.operator import Operator, OperatorError, operator
from tests.support.tap import Tap
from tests.support.waiting import eventually

NAME = "Marker phone"
COMMANDS = ("screen.navigate", "screen.eval", "screen.snapshot", "device.info")
PERMISSIONS = ["voice", "screen", "device", "chat"]


@dataclass
class Scene:
    """The parts, and what was planted."""

    bridge: BridgeProcess
    witness: Operator
    tap: Tap
    planted: Canaries
    seen: list[Any]

    def phone(self, name: str = NAME) -> IPhone:
        """Return a phone that has pinned the bridge."""
        return IPhone(self.bridge.url, self.bridge.pin, name=name, commands=COMMANDS)

    async def paired(self) -> tuple[IPhone, PhoneSocket]:
        """Pair the phone by a setup code; return its socket, entered."""
        code = await self.bridge.ask(lambda: self.bridge.client.mint_setup_code(PERMISSIONS, None, 300, None))
        phone = self.phone()
        token = bootstrap_token(code.setup_code)
        socket = await phone.socket("node", auth={"bootstrapToken": token}).__aenter__()
        self.planted.key("setup-code", code.setup_code)
        self.planted.key("bootstrap", token)
        self.planted.key("node-token", phone.tokens["node"])
        self.planted.key("operator-token", phone.tokens["operator"])
        self.planted.key("challenge", socket.challenge["nonce"])
        return phone, socket

    async def invoked(self, node: str, command: str, params: Any = None) -> Any:
        """Have the agent run a command; return its payload, or the gateway's error."""
        ask = {"nodeId": node, "command": command, "idempotencyKey": f"k-{command}-{len(self.seen)}"}
        self.seen.append(ask)
        try:
            return await self.witness.request("node.invoke", ask if params is None else {**ask, "params": params})
        except OperatorError as exc:
            return exc.error


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    planted, seen = Canaries(), list[Any]()

    async def turn(text: str, invoke: Invoke) -> str:
        seen.append(text)
        return planted.word("reply")

    setup = GatewaySetup(token=planted.key("gateway"), commands_allow=COMMANDS)
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(EmbeddedGateway(setup, turn))
        tap = await stack.enter_async_context(Tap(gateway.url))
        bridge = await stack.enter_async_context(BridgeProcess(tap.url, planted.keys["gateway"]))
        witness = await stack.enter_async_context(operator(gateway.url, planted.keys["gateway"]))
        await bridge.connected()
        planted.key("passphrase", (bridge.home / "keys" / "passphrase").read_text())
        pem = (bridge.home / "keys" / "bridge.pem").read_text()
        planted.key("private-key", pem.partition("PRIVATE KEY-----\n")[2].splitlines()[0])
        yield Scene(bridge, witness, tap, planted, seen)


async def test_no_secret_is_in_any_output() -> None:
    """Red when a `Note` carries parameters, a result, an error of the node or a frame, or a log line a token."""
    async with scene() as stage:
        phone, socket = await stage.paired()
        detail = await stage.bridge.settled(phone.node_id, *COMMANDS)
        await _invokes(stage, socket, detail.gateway_node_id)
        await _says(stage, phone, socket)
        await _broken_frames(stage, socket)
        await _wrong_credentials(stage, phone)
        await _pages(stage)
        await _lost_in_the_middle(stage, socket, detail.gateway_node_id)
        outputs = {f"before: {place}": text for place, text in (await told(stage.bridge)).items()}
        await _refused_by_the_gateway(stage)
        outputs, files = {**outputs, **await told(stage.bridge)}, kept(stage.bridge)
        assert len(stage.planted.all) >= 20
        assert found(stage.planted.all, outputs) == []
        assert found(stage.planted.keys, files) == []
        _search_finds_what_is_no_secret(stage, outputs, files)


async def _invokes(stage: Scene, socket: PhoneSocket, node: str) -> None:
    """What the agent asks for and gets; and what it is refused."""
    planted, got = stage.planted, list[Any]()
    page = f"https://example.com/{planted.piece('url-path')}?q={planted.piece('url-query')}"
    picture = snapshot(planted.piece("picture").encode())
    planted.piece("picture-base64", picture[60:100])

    def answer(value: Any) -> Any:
        def handler(params: Any) -> Any:
            got.append(params)
            return value

        return handler

    socket.handlers = {
        "screen.navigate": answer({"url": page, "title": planted.word("title")}),
        "screen.eval": answer({"result": planted.word("eval-result")}),
        "screen.snapshot": answer({"format": "png", "base64": picture, "width": 1, "height": 1}),
        "device.info": answer(PhoneError("INVALID_REQUEST", planted.word("node-error"))),
    }
    results = [
        await stage.invoked(node, "screen.navigate", {"url": page}),
        await stage.invoked(node, "screen.eval", {"javaScript": planted.word("eval-source")}),
        await stage.invoked(node, "screen.snapshot"),
        await stage.invoked(node, "device.info", {"note": planted.word("params")}),
        await stage.invoked(node, "location.get", {"note": planted.word("refused-params")}),
    ]
    arrived = json.dumps([got, results])
    for name in ("url-query", "eval-source", "eval-result", "picture-base64", "params"):
        assert planted.all[name] in arrived, f"{name} never went through"


async def _says(stage: Scene, phone: IPhone, socket: PhoneSocket) -> None:
    """What a person says to the agent, and what it answers."""
    text = stage.planted.word("transcript")
    await socket.request("node.event", {"event": "voice.transcript", "payloadJSON": json.dumps({"text": text})})
    hidden = json.dumps({"text": stage.planted.word("unlisted-event")})
    await socket.request("node.event", {"event": "exec.finished", "payloadJSON": hidden})
    await socket.request(
        "node.invoke.result", {"id": "none", "nodeId": phone.node_id, "ok": True, "payloadJSON": hidden}
    )
    async with phone.socket("operator", scopes=phone.scopes) as chat:
        params = {"sessionKey": "main", "message": stage.planted.word("chat"), "idempotencyKey": "c1"}
        await chat.request("chat.send", params)
        await chat.request("config.set", {"raw": stage.planted.word("config")})
    await eventually(lambda: {text, stage.planted.words["chat"]} <= _heard(stage), timeout_s=10, what="both are heard")


def _heard(stage: Scene) -> set[str]:
    planted = (stage.planted.words["transcript"], stage.planted.words["chat"])
    return {word for word in planted for one in stage.seen if isinstance(one, str) and word in one}


async def _broken_frames(stage: Scene, socket: PhoneSocket) -> None:
    """Frames that cannot be read, and calls that are refused."""
    word = stage.planted.word("broken-frame")
    for data in (f'{{"type":"req","id":"1","method":"{word}', f'"{word}"', f'{{"type":"req","id":"1","x":"{word}"}}'):
        await socket.send_raw(data.encode())
    refused = await socket.request("sessions.patch", {"key": stage.planted.word("refused-call")})
    assert not refused["ok"]
    assert not (await socket.request("agent", {"message": stage.planted.word("bad-agent")}))["ok"]


async def _wrong_credentials(stage: Scene, phone: IPhone) -> None:
    planted, thief = stage.planted, stage.phone("Thief")
    for who, auth in (
        (thief, {"bootstrapToken": planted.key("wrong-bootstrap")}),
        (phone, {"token": planted.key("wrong-token")}),
        (phone, {"deviceToken": planted.key("wrong-device-token")}),
        (thief, {"token": planted.key("wrong-gateway-token"), "password": planted.key("wrong-password")}),
    ):
        try:
            async with who.socket("operator" if who is thief and "token" in auth else "node", auth=auth):
                raise AssertionError(f"{auth} let somebody in")
        except (Refused, ConnectionError):
            pass
    await _native(stage)


async def _native(stage: Scene) -> None:
    """A native node by its link, and by one whose token is wrong."""
    made = await stage.bridge.ask(lambda: stage.bridge.client.mint_native_link(["device"], None, 300, None))
    stage.planted.key("native-link", made.link.partition("#")[2])
    for spoilt in (True, False):
        link = read_link(made.link, datetime.now(UTC))
        if spoilt:
            wrong = stage.planted.key(
                "wrong-link-token", secrets.token_urlsafe(24)
            )  # 32 characters, as long as a token
            link = replace(link, token=wrong.encode())
        node = NativeEnrolment(
            "127.0.0.1",
            stage.bridge.node_port,
            ec.generate_private_key(ec.SECP256R1()),
            DeviceFacts("Native", "linux", "n1", version="1.0"),
            Wishes(("device",), ("device.info",), ("device",)),
            lambda code: None,
            link=link,
        )
        if spoilt:
            with pytest.raises(EnrolmentError):
                await node.enrol()
        else:
            assert (await node.enrol()).identity.node_id


async def _pages(stage: Scene) -> None:
    """Plain questions of both ports, with secrets in path, query, header and body."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    query, header = stage.planted.key("http-query"), {"Authorization": f"Bearer {stage.planted.key('http-header')}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as client:
        for port in (stage.bridge.app_port, stage.bridge.node_port):
            for path in (f"/?token={query}", f"/{query}", f"/pair/v1/enroll/{query}?proof={query}"):
                async with client.get(f"https://127.0.0.1:{port}{path}", headers=header) as response:
                    assert response.status in {403, 404}
        body = {"v": 1, "csr": stage.planted.key("csr"), "commit": stage.planted.key("commit"), "nonce": query}
        for path in ("/pair/v1/enroll", f"/pair/v1/enroll/{query}/reveal", "/pair/v1/renew"):
            async with client.post(f"https://127.0.0.1:{stage.bridge.node_port}{path}", json=body) as response:
                assert response.status >= 400


async def _lost_in_the_middle(stage: Scene, socket: PhoneSocket, node: str) -> None:
    """The phone goes while it is asked something."""
    socket.silent = {"screen.eval"}
    source = stage.planted.word("lost-source")

    async def drop() -> None:
        await socket.event("node.invoke.request", lambda asked: source in str(asked.get("paramsJSON")))
        socket.drop()

    async with asyncio.TaskGroup() as both:
        both.create_task(drop())
        both.create_task(stage.invoked(node, "screen.eval", {"javaScript": source}))


async def _refused_by_the_gateway(stage: Scene) -> None:
    """The bridge starts with a secret that the gateway does not take."""
    await stage.bridge.stop()
    stage.bridge._token = stage.planted.key("wrong-secret")
    await stage.bridge.start()

    async def refused() -> bool:
        return (await stage.bridge.ask(stage.bridge.client.status)).gateway.state == "refused"

    await eventually(refused, timeout_s=10, what="the gateway has refused")


def _search_finds_what_is_no_secret(stage: Scene, outputs: dict[str, str], files: dict[str, str]) -> None:
    """The same search, for the name of the phone: it is wherever a secret could have been."""
    marker = {"marker": NAME}
    places = {line.removeprefix("marker is in ") for line in found(marker, {**outputs, **files})}
    assert {"log", "audit/audit.jsonl", "nodes list", "nodes list --json", "paired-nodes.json"} <= places
    assert {"audit tail -n 1000", "audit tail -n 1000 --json"} <= places
    assert {"before: status", "before: metrics"} <= set(outputs), "what a start forgets is asked for before it, too"
    assert [place for place in places if place.startswith("before: nodes show")]
    assert found({"family": 'invokes_total{family="screen"'}, {"metrics": outputs["before: metrics"]})
    assert found({"code": "openclaw"}, files), "the codes are in the database"
    assert found({"pin": stage.bridge.pin}, {"status": outputs["status"], "certs": outputs["certs show"]})
    assert found({"command": "bridge run --home"}, {"processes": outputs["processes"]})
    assert found({"file": "paired-nodes.json"}, {"names": outputs["file names"]})
    assert json.loads(outputs["audit verify --json"])["ok"] is True
    assert "planted" not in outputs["log"]
