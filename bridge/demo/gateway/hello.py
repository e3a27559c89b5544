"""Pure: hello-ok and the health report."""

from __future__ import annotations

from bridge.demo.gateway.devices import Device
from bridge.demo.gateway.methods import ALL_METHODS
from bridge.demo.gateway.model import VERSION, Client
from gateway_client.frames import JsonObject

MAX_PAYLOAD = 26_214_400  # bytes of a frame after hello-ok
MAX_BUFFERED = 52_428_800  # bytes that wait for a slow client
EVENTS = (
    "connect.challenge", "agent", "chat", "tick", "shutdown", "health", "node.pair.requested", "node.pair.resolved",
    "node.invoke.request", "device.pair.requested", "device.pair.resolved", "voicewake.changed",
    "voicewake.routing.changed",
)  # fmt: skip
DEFAULT_TRIGGERS = ("openclaw", "claude", "computer")


def health(now_ms: int) -> JsonObject:
    """Returns the answer to `health`."""
    sessions: JsonObject = {"path": "", "count": 0, "recent": []}
    heartbeat: JsonObject = {
        "enabled": False, "every": "0m", "everyMs": None, "prompt": "", "target": "none", "ackMaxChars": 0,
    }  # fmt: skip
    agent: JsonObject = {"agentId": "main", "isDefault": True, "heartbeat": heartbeat, "sessions": sessions}
    return {
        "ok": True,
        "ts": now_ms,
        "durationMs": 0,
        "channels": {},
        "channelOrder": [],
        "channelLabels": {},
        "heartbeatSeconds": 0,
        "defaultAgentId": "main",
        "agents": [agent],
        "sessions": sessions,
    }


def hello_ok(
    client: Client, method: str, device: Device | None, boot_id: str, uptime_ms: int, now_ms: int, tick_ms: int
) -> JsonObject:
    """Returns the payload of a successful `connect`, complete after the official schema."""
    auth: JsonObject = {"method": method, "role": client.role, "scopes": [*client.scopes]}
    if device is not None:
        token = device.tokens[client.role]
        auth |= {"deviceToken": token.text, "issuedAtMs": token.created_at_ms}
    defaults: JsonObject = {
        "defaultAgentId": "main", "mainKey": "main", "mainSessionKey": "agent:main:main", "scope": "per-sender",
    }  # fmt: skip
    return {
        "type": "hello-ok",
        "protocol": 4,
        "server": {"version": VERSION, "bootId": boot_id, "connId": client.conn_id},
        "features": {"methods": [*ALL_METHODS], "events": [*EVENTS], "capabilities": []},
        "snapshot": {
            "presence": [],
            "health": health(now_ms),
            "stateVersion": {"presence": 1, "health": 1},
            "uptimeMs": uptime_ms,
            "sessionDefaults": defaults,
        },
        "auth": auth,
        "policy": {
            "maxPayload": MAX_PAYLOAD,
            "maxBufferedBytes": MAX_BUFFERED,
            "tickIntervalMs": tick_ms,
            "attachments": {"maxBytes": 19_464_192, "maxImageBytes": 6_291_456},
        },
    }
