"""A bare WebSocket client for looking at every frame, and the `connect` parameters that a node or operator sends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import websockets
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import ClientConnection, connect

from gateway_client.identity import DeviceIdentity, SignedFields

Json = dict[str, Any]
ABSENT: Any = object()
WAIT_S = 15.0
ALL_SCOPES = ("operator.read", "operator.write", "operator.pairing", "operator.admin")


@dataclass(frozen=True, slots=True)
class Refused:
    """How a connection attempt ended: the error of the answer (None: no answer) and the close."""

    error: Json | None
    close_code: int | None
    close_reason: str

    @property
    def code(self) -> str | None:
        """The error's code."""
        return None if self.error is None else str(self.error["code"])

    @property
    def detail(self) -> str | None:
        """The error's `details.code`."""
        return None if self.error is None else (self.error.get("details") or {}).get("code")


class Wire:
    """One socket. Nothing is read unless asked for; frames that were not asked for are kept in `kept`."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.kept: list[Json] = []
        self.nonce = ""
        self.ts = 0
        self.hello: Json = {}

    async def frame(self, timeout_s: float = WAIT_S) -> Json:
        """Receive the next frame."""
        async with asyncio.timeout(timeout_s):
            decoded: Json = json.loads(await self.socket.recv())
            return decoded

    async def send(self, frame: Any, *, binary: bool = False) -> None:
        """Send anything: text and bytes as they are, the rest as JSON."""
        data = frame if isinstance(frame, str | bytes) else json.dumps(frame)
        await self.socket.send(data.encode() if binary and isinstance(data, str) else data)

    async def ask(self, method: str, params: Any = ABSENT, *, binary: bool = False, first: bool = False) -> Json:
        """Send a request and return its answer; with `first` the interim answer of `agent` as well counts."""
        identifier = str(uuid.uuid4())
        frame: Json = {"type": "req", "id": identifier, "method": method}
        await self.send(frame if params is ABSENT else {**frame, "params": params}, binary=binary)
        return await self.answer(identifier, first=first)

    async def answer(self, identifier: str, *, first: bool = False) -> Json:
        """Wait for the answer to a request."""
        while True:
            frame = await self.frame()
            if frame["type"] == "res" and frame["id"] == identifier:
                if first or (frame.get("payload") or {}).get("status") != "accepted":
                    return frame
            else:
                self.kept.append(frame)

    async def ok(self, method: str, params: Any = ABSENT) -> Json:
        """Send a request that has to succeed and return its payload."""
        answer = await self.ask(method, params)
        assert answer["ok"], answer
        payload: Json = answer["payload"]
        return payload

    async def error(self, method: str, params: Any = ABSENT) -> Json:
        """Send a request that has to fail and return its error."""
        answer = await self.ask(method, params)
        assert not answer["ok"], answer
        found: Json = answer["error"]
        return found

    async def event(self, name: str, where: Callable[[Json], bool] = lambda payload: True) -> Json:
        """Take the first event `name` whose payload fulfils `where`; return the frame."""
        for frame in self.kept:
            if frame.get("event") == name and where(frame.get("payload") or {}):
                self.kept.remove(frame)
                return frame
        while True:
            frame = await self.frame(WAIT_S)
            if frame.get("event") == name and where(frame.get("payload") or {}):
                return frame
            self.kept.append(frame)

    async def closed(self, timeout_s: float = WAIT_S) -> tuple[int | None, str]:
        """Wait until the peer closes; return code and reason (1006: without a close frame)."""
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                self.kept.append(await self.frame(timeout_s))
        return self.socket.close_code, self.socket.close_reason or ""


@contextlib.asynccontextmanager
async def wire(url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Wire]:
    """Open a socket and take the challenge; the socket is closed at the end."""
    socket = await connect(url, max_size=None, compression=None, proxy=None, additional_headers=headers)
    try:
        client = Wire(socket)
        challenge = await client.frame()
        assert challenge["event"] == "connect.challenge", challenge
        client.nonce, client.ts = challenge["payload"]["nonce"], challenge["payload"]["ts"]
        yield client
    finally:
        if socket.close_code is None:
            await socket.close()


async def refused(client: Wire, params: Any) -> Refused:
    """Send `connect` that has to be refused; return the answer and the close."""
    return await refused_raw(client, {"type": "req", "id": "c1", "method": "connect", "params": params})


async def refused_raw(client: Wire, frame: Any) -> Refused:
    """Send anything that has to end the connection; return the answer and the close."""
    await client.send(frame)
    code, reason = await client.closed()
    answers = [item for item in client.kept if item["type"] == "res"]
    return Refused(answers[0]["error"] if answers else None, code, reason)


def new_identity() -> DeviceIdentity:
    """Return a fresh device key."""
    return DeviceIdentity(Ed25519PrivateKey.generate())


def ios(identity: DeviceIdentity) -> Json:
    """Return the client block of an iPhone app, with a name of its own."""
    return {
        "id": "openclaw-ios",
        "version": "2026.9.6",
        "platform": "iOS 26.1",
        "mode": "node",
        "displayName": f"iPhone {identity.device_id[:8]}",
        "deviceFamily": "iPhone",
        "instanceId": identity.device_id[:12],
    }


def node_params(
    client: Wire,
    identity: DeviceIdentity,
    *,
    auth: Json | None = None,
    about: Json | None = None,
    commands: Sequence[str] = ("screen.navigate", "device.info"),
    caps: Sequence[str] = ("screen",),
    role: str = "node",
    scopes: Sequence[str] = (),
    skew_ms: int = 0,
    version: int = 3,
    **more: Any,
) -> Json:
    """Return `connect` parameters with a valid signature over everything that is signed."""
    block = {**ios(identity), **(about or {})}
    token = (
        next((auth[name] for name in ("token", "deviceToken", "bootstrapToken") if name in auth), "") if auth else ""
    )
    at = client.ts + skew_ms
    fields = SignedFields(
        identity.device_id, block["id"], block["mode"], role, scopes, at, token, client.nonce,
        block.get("platform", ""), block.get("deviceFamily", ""),
    )  # fmt: skip
    device = {
        "id": identity.device_id,
        "publicKey": identity.public_key_text,
        "signature": identity.sign(fields, version),
        "signedAt": at,
        "nonce": client.nonce,
    }
    params: Json = {
        "minProtocol": 4,
        "maxProtocol": 4,
        "client": block,
        "role": role,
        "scopes": [*scopes],
        "caps": [*caps],
        "commands": [*commands],
        "device": device,
        **more,
    }
    return params if auth is None else {**params, "auth": auth}


def operator_params(auth: Json | None, scopes: Sequence[str] = ALL_SCOPES, **more: Any) -> Json:
    """Return `connect` parameters of the backend operator."""
    params: Json = {
        "minProtocol": 4,
        "maxProtocol": 4,
        "client": {"id": "gateway-client", "mode": "backend", "version": "0.1.0", "platform": "linux"},
        "role": "operator",
        "scopes": [*scopes],
        **more,
    }
    return params if auth is None else {**params, "auth": auth}
