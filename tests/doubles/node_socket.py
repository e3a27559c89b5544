"""The WebSocket of a native node, seen from the double of its bridge."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import WSMsgType, web

from tests.gateway_client.corpus import HELLO

Doc = dict[str, Any]


class NodeSocket:
    """One node's connection, seen from the bridge."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.connect: Doc = {}
        """The parameters of its `connect`."""
        self.requests: list[Doc] = []
        """What it asked after hello-ok."""

    async def serve(self) -> None:
        """Shake hands, then answer every request."""
        await self.send({"type": "event", "event": "connect.challenge", "payload": {"nonce": "n", "ts": 1}})
        async for message in self.socket:
            if message.type is not WSMsgType.TEXT:
                continue
            frame = json.loads(message.data)
            if frame["method"] == "connect":
                self.connect = frame["params"]
                await self.send({"type": "res", "id": frame["id"], "ok": True, "payload": HELLO})
            else:
                self.requests.append(frame)
                await self.send({"type": "res", "id": frame["id"], "ok": True, "payload": {"ok": True}})

    async def send(self, frame: Doc) -> None:
        await self.socket.send_json(frame)

    async def invoke(self, invoke_id: str, command: str, **more: Any) -> None:
        payload = {"id": invoke_id, "nodeId": "n", "command": command, "paramsJSON": None, **more}
        await self.send({"type": "event", "event": "node.invoke.request", "payload": payload})

    def results(self) -> dict[str, Doc]:
        """The parameters of the results so far, by the command's id."""
        found = [each["params"] for each in self.requests if each["method"] == "node.invoke.result"]
        return {each["id"]: each for each in found}
