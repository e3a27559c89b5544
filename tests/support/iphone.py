"""A simulated iPhone, written against the wire and not with the product's own client: an independent witness.

It does what the app does (mobile-clients §12): binary frames, version 2 signatures over the challenge's own `ts`, no
Origin, no subprotocol, a pin instead of a certificate authority.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import ssl
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.waiting import eventually

Json = dict[str, Any]
COMMANDS = [
    "screen.show",
    "screen.hide",
    "screen.navigate",
    "screen.eval",
    "screen.snapshot",
    "screen.setMode",
    "device.info",
    "device.status",
    "location.get",
    "system.notify",
    "camera.snap",
]
CAPS = ("screen", "camera", "device", "talk", "location")


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def pinned_context() -> ssl.SSLContext:
    """Returns a context that leaves the judgement of the certificate to the pin."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


class Refused(Exception):
    """`connect` was answered with an error.

    Attributes:
        error: the error object.
    """

    def __init__(self, error: Json) -> None:
        super().__init__(f"{error.get('code')}: {error.get('message')}")
        self.error = error

    @property
    def details(self) -> Json:
        """`error.details`."""
        return dict(self.error.get("details") or {})


class IPhone:
    """One phone: a key, labels, and the tokens that it was given. Sockets are made by `socket()`.

    Attributes:
        sni: the name that its TLS asks for: what the Bonjour record names, not the address.
    """

    binary = True  # what its WebSocket messages are
    sni = "clawdis-bridge-0a1b2c3d.local"

    def __init__(self, url: str, pin: str, *, name: str = "Anna's iPhone", commands: Sequence[str] = COMMANDS) -> None:
        self.url = url
        self.pin = pin
        self.name = name
        self.commands = list(commands)
        self.caps = list(CAPS)
        self.tokens: dict[str, str] = {}
        self.scopes: list[str] = []
        self._key = Ed25519PrivateKey.generate()
        self._public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.node_id = hashlib.sha256(self._public).hexdigest()

    def client(self, role: str) -> Json:
        """Returns `connect.client`."""
        return {
            "id": "openclaw-ios",
            "displayName": self.name,
            "version": "2026.9.4",
            "platform": "iOS 26.1",
            "mode": "node" if role == "node" else "ui",
            "instanceId": "0b1f6c3e-iphone",
            "deviceFamily": "iPhone",
            "modelIdentifier": "iPhone17,1",
        }

    def connect_params(self, role: str, auth: Json, scopes: Sequence[str], challenge: Json) -> Json:
        """Returns signed parameters of `connect`."""
        client = self.client(role)
        token = auth.get("token") or auth.get("deviceToken") or auth.get("bootstrapToken") or ""
        signed_at = self.signed_at(challenge)
        fields = (self.node_id, client["id"], client["mode"], role, ",".join(scopes), str(signed_at))
        text = self.signed_text((*fields, token, challenge["nonce"]), client)
        params: Json = {
            "minProtocol": 3 if role == "node" else 4,
            "maxProtocol": 4,
            "client": client,
            "caps": self.caps if role == "node" else ["agent-kind"],
            "locale": "de_DE",
            "userAgent": "iOS 26.1",
            "role": role,
            "scopes": list(scopes),
            "device": {
                "id": self.node_id,
                "publicKey": _b64(self._public),
                "signature": _b64(self._key.sign(text.encode())),
                "signedAt": signed_at,
                "nonce": challenge["nonce"],
            },
        }
        if role == "node":
            params |= {"commands": self.commands, "permissions": {"camera": True, "location": False}}
        if auth:
            params["auth"] = auth
        return params

    def signed_at(self, challenge: Json) -> int:
        """Returns the time that it signs: the challenge's own."""
        return int(challenge["ts"])

    def signed_text(self, fields: Sequence[str], client: Json) -> str:
        """Returns what it signs: version 2."""
        return "|".join(("v2", *fields))

    def socket(self, role: str, auth: Json | None = None, scopes: Sequence[str] = ()) -> PhoneSocket:
        """Returns a socket of this phone, to be entered with `async with`.

        Args:
            role: `node` or `operator`.
            auth: `connect.auth`; None: the stored token of the role, or nothing.
            scopes: what an operator socket asks for.
        """
        stored: Json = {"token": self.tokens[role]} if role in self.tokens else {}
        return PhoneSocket(self, role, stored if auth is None else auth, scopes)


class Android(IPhone):
    """A phone as the Android app is: text messages, version 3 signatures by its own clock.

    Attributes:
        skew_ms: by how much that clock is ahead.
    """

    binary = False
    skew_ms = 0

    def client(self, role: str) -> Json:
        """Returns `connect.client`."""
        about = {"id": "openclaw-android", "platform": "Android 16", "deviceFamily": "Android"}
        return {**super().client(role), **about, "modelIdentifier": "Pixel 10"}

    def signed_at(self, challenge: Json) -> int:
        """Returns the time that it signs: its own."""
        return int(time.time() * 1000) + self.skew_ms

    def signed_text(self, fields: Sequence[str], client: Json) -> str:
        """Returns what it signs: version 3."""
        return "|".join(("v3", *fields, client["platform"].lower(), client["deviceFamily"].lower()))


class PhoneSocket:
    """One WebSocket of a phone: connects on entering, answers invokes by `handlers`, records every frame.

    Attributes:
        methods: of the requests that it sent, by id.
    """

    def __init__(self, phone: IPhone, role: str, auth: Json, scopes: Sequence[str]) -> None:
        self.phone = phone
        self.role = role
        self.frames: list[Json] = []
        self.texts: list[bool] = []
        self.methods: dict[str, str] = {}
        self.challenge: Json = {}
        self.dialled_at = 0.0
        self.challenged_after_s = 0.0
        self.hello: Json = {}
        self.handlers: dict[str, Callable[[Json], Any]] = {}
        self.silent: set[str] = set()
        self.auth = auth
        self._scopes = scopes
        self._answers: dict[str, asyncio.Future[Json]] = {}
        self._socket: ClientConnection
        self._pump: asyncio.Task[None]
        self.closed: tuple[int, str] | None = None

    async def __aenter__(self) -> Self:
        self.dialled_at = time.monotonic()
        self._socket = await connect(
            self.phone.url, ssl=pinned_context(), server_hostname=self.phone.sni, proxy=None, compression=None,
            max_size=2**24, ping_interval=15, user_agent_header=None,
        )  # fmt: skip
        certificate = self._socket.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if hashlib.sha256(certificate).hexdigest() != self.phone.pin:
            await self._socket.close()
            raise ConnectionError("the certificate is not the pinned one")
        self._pump = asyncio.get_running_loop().create_task(self._read())
        try:
            self.challenge = (await self.event("connect.challenge"))["payload"]
            self.challenged_after_s = time.monotonic() - self.dialled_at
            params = self.phone.connect_params(self.role, self.auth, self._scopes, self.challenge)
            answer = await self.request("connect", params, timeout_s=30)
            if not answer["ok"]:
                raise Refused(answer["error"])
        except BaseException:
            await self.close()
            raise
        self.hello = answer["payload"]
        self._store(self.hello["auth"])
        return self

    def _store(self, auth: Json) -> None:
        if "deviceToken" in auth:
            self.phone.tokens[self.role] = auth["deviceToken"]
        for entry in auth.get("deviceTokens", []):
            self.phone.tokens[entry["role"]] = entry["deviceToken"]
            self.phone.scopes = entry["scopes"]

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the socket."""
        await self._socket.close()
        await asyncio.wait({self._pump}, timeout=5)

    def drop(self) -> None:
        """Loses the connection, as a phone in a lift does."""
        self._socket.transport.abort()

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                self.texts.append(isinstance(message, str))
                frame = json.loads(message)
                self.frames.append(frame)
                await self._took(frame)
        except ConnectionClosed:
            pass
        finally:
            self.closed = (self._socket.close_code or 1006, self._socket.close_reason or "")
            for future in self._answers.values():
                if not future.done():
                    future.set_exception(ConnectionError(f"closed {self.closed}"))

    async def _took(self, frame: Json) -> None:
        if frame["type"] == "res":
            future = self._answers.get(frame["id"])
            if future is not None and not future.done():
                future.set_result(frame)
        elif frame.get("event") == "node.invoke.request":
            await self._invoked(frame["payload"])

    async def _invoked(self, invoke: Json) -> None:
        if invoke["command"] in self.silent:
            return
        handler = self.handlers.get(invoke["command"])
        result: Json = {"id": invoke["id"], "nodeId": invoke["nodeId"]}
        if handler is None:
            result |= {"ok": False, "error": {"code": "INVALID_REQUEST", "message": "INVALID_REQUEST: unknown command"}}
        else:
            value = handler(json.loads(invoke.get("paramsJSON") or "null"))
            if isinstance(value, PhoneError):
                result |= {"ok": False, "error": {"code": value.code, "message": value.message}}
            else:
                result |= {"ok": True, "payloadJSON": value if isinstance(value, str) else json.dumps(value)}
        await self.send("node.invoke.result", result)

    async def send(self, method: str, params: Json | None = None) -> str:
        """Sends a request without waiting; returns its id."""
        request_id = str(uuid.uuid4())
        frame: Json = {"type": "req", "id": request_id, "method": method}
        if params is not None:
            frame["params"] = params
        await self._send(frame)
        return request_id

    async def _send(self, frame: Json) -> None:
        self.methods[frame["id"]] = frame["method"]
        text = json.dumps(frame)
        await self._socket.send(text.encode() if self.phone.binary else text)

    async def send_raw(self, data: bytes) -> None:
        """Sends bytes as they are."""
        await self._socket.send(data)

    async def request(self, method: str, params: Json | None = None, *, timeout_s: float = 15.0) -> Json:
        """Sends a request and returns its (first) response frame."""
        future: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        request_id = str(uuid.uuid4())
        self._answers[request_id] = future
        frame: Json = {"type": "req", "id": request_id, "method": method}
        if params is not None:
            frame["params"] = params
        await self._send(frame)
        try:
            return await asyncio.wait_for(future, timeout_s)
        finally:
            self._answers.pop(request_id, None)

    async def event(
        self, name: str, where: Callable[[Mapping[str, Any]], bool] = lambda _: True, *, timeout_s: float = 15.0
    ) -> Json:
        """Waits for an event frame; one that came already counts."""

        def look() -> Json | None:
            return next((f for f in self.frames if f.get("event") == name and where(f.get("payload") or {})), None)

        return await eventually(look, timeout_s=timeout_s, what=f"event {name}")

    async def wait_closed(self, timeout_s: float = 15.0) -> tuple[int, str]:
        """Waits for the end of the socket; returns code and reason."""
        return await eventually(lambda: self.closed, timeout_s=timeout_s, what="socket closed")


class PhoneError:
    """What a handler returns when the phone cannot do it."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
