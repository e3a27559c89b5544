"""Attackers that are in: a paired phone gone bad, with both of its sockets, or with one that it writes byte by byte."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from tests.attacks.fortress import Fortress
from tests.bridge.lan.wire import CLOSE, PING, PONG, TEXT, Frame, Peer, masked, peer
from tests.support.iphone import IPhone, PhoneSocket

Json = dict[str, Any]
COMES_IN = frozenset({"connect", "node.list", "node.pair.list", "node.pair.approve", "device.pair.list"})
"""What the bridge says to the gateway of itself when a node comes in."""
IN_A_ROW = 10  # refused frames that are borne before an accepted one


@dataclass
class Insider:
    """A paired phone with its sockets open."""

    castle: Fortress
    phone: IPhone
    node: PhoneSocket
    chat: PhoneSocket

    def calls(self, method: str) -> list[Json]:
        """The parameters of what the bridge has sent to the gateway."""
        return [frame.get("params", {}) for frame in self.castle.tap.sent_up(method)]

    async def stays(self, socket: PhoneSocket, documents: list[bytes]) -> None:
        """Sends what is refused: each is answered once at most, and the socket stays open and serves."""
        for at in range(0, len(documents), IN_A_ROW):
            batch, before = documents[at : at + IN_A_ROW], len(socket.frames)
            for data in batch:
                await socket.send_raw(data)
            answer = await socket.request("health")
            assert answer["ok"], answer
            failed = [one for one in socket.frames[before:] if one["type"] == "res" and not one["ok"]]
            assert len(failed) <= len(batch), batch
            assert {one["error"]["code"] for one in failed} <= {"INVALID_REQUEST", "PAYLOAD_TOO_LARGE"}, batch


async def paired_phone(castle: Fortress, *permissions: str, **more: Any) -> IPhone:
    """Pairs a phone by a setup code; its tokens of both roles are stored."""
    code = await castle.bridge.ask(lambda: castle.bridge.client.mint_setup_code(list(permissions), None, 300, None))
    document = json.loads(base64.urlsafe_b64decode(code.setup_code + "=" * (-len(code.setup_code) % 4)))
    phone = IPhone(f"wss://127.0.0.1:{castle.app_port}", castle.bridge.pin, **more)
    async with phone.socket("node", {"bootstrapToken": document["bootstrapToken"]}):
        castle.secrets += [document["bootstrapToken"], *phone.tokens.values()]
    return phone


@asynccontextmanager
async def inside(castle: Fortress, *permissions: str, **more: Any) -> AsyncIterator[Insider]:
    """Pairs a phone and opens both of its sockets; the gateway knows it when the block begins."""
    phone = await paired_phone(castle, *permissions, **more)
    async with phone.socket("node") as node, phone.socket("operator", scopes=phone.scopes) as chat:
        await castle.bridge.settled(phone.node_id, *(("device.info",) if "device" in permissions else ()))
        yield Insider(castle, phone, node, chat)


def event(name: str, payload: Json) -> Json:
    """Parameters of `node.event`."""
    return {"event": name, "payloadJSON": json.dumps(payload)}


class RawPeer(Peer):
    """A paired phone that writes its WebSocket frames byte by byte.

    Attributes:
        pongs: how many `drained` has read.
    """

    pongs = 0

    async def ask(self, method: str, request_id: str = "raw") -> Json:
        """Asks, and returns the answer; what comes before it is dropped."""
        await self.say(masked(TEXT, json.dumps({"type": "req", "id": request_id, "method": method}).encode()))
        return await self.answer(request_id)

    async def answer(self, request_id: str) -> Json:
        """Waits for an answer.

        Raises:
            EOFError: the connection ended, in order or not.
        """
        while True:
            frame = await self.frame()
            if frame.opcode == CLOSE:
                raise EOFError(frame.close)
            if frame.opcode == TEXT and (told := json.loads(frame.payload)).get("id") == request_id:
                return dict(told)

    async def closed(self) -> tuple[int, str]:
        """Waits for the close frame.

        Raises:
            EOFError, ConnectionError: the connection ended without one.
        """
        while (frame := await self._next()).opcode != CLOSE:
            pass
        return frame.close

    async def drained(self) -> None:
        """Reads until the connection ends, however it does; counts the pongs."""
        with suppress(OSError, EOFError, TimeoutError):
            while (frame := await self.frame(60)).opcode != CLOSE:
                self.pongs += frame.opcode == PONG

    async def _next(self) -> Frame:
        frame = await self.frame(30)
        if frame.opcode == PING:
            await self.say(masked(PONG, frame.payload))
        return frame


@asynccontextmanager
async def raw(castle: Fortress, phone: IPhone | None = None) -> AsyncIterator[RawPeer]:
    """Opens a WebSocket by hand: of a stranger, or of a paired phone that is let in."""
    async with peer(castle.app_port) as opened:
        made = RawPeer(opened.reader, opened.writer)
        await made.upgrade()
        challenge = json.loads((await made.frame()).payload)["payload"]
        if phone is not None:
            params = phone.connect_params("node", {"token": phone.tokens["node"]}, [], challenge)
            connect = {"type": "req", "id": "c", "method": "connect", "params": params}
            await made.say(masked(TEXT, json.dumps(connect).encode()))
            assert (await made.answer("c"))["ok"]
        yield made
