"""Pure: the parameters of every method that the embedded gateway knows, as closed schemas (gateway 2026.9.6)."""

from __future__ import annotations

from bridge.demo.gateway.schema import (
    Check,
    anything,
    array,
    boolean,
    closed,
    either,
    integer,
    mapping,
    number,
    one_of,
    opened,
    text,
    without,
)

_NAME = text(1)
_NAMES = array(_NAME)
_NOTHING = closed({})

CLIENT_IDS = (
    "webchat-ui", "openclaw-control-ui", "openclaw-browser-copilot", "openclaw-tui", "webchat", "cli", "gateway-client",
    "openclaw-macos", "openclaw-linux", "openclaw-ios", "openclaw-watchos", "openclaw-android", "node-host",
    "openclaw-worker", "test", "fingerprint", "openclaw-probe",
)  # fmt: skip
CLIENT_MODES = ("webchat", "cli", "ui", "backend", "node", "worker", "probe", "test")

REQUEST_FRAME = closed(
    {"type": one_of("req"), "id": _NAME, "method": _NAME},
    {"params": anything, "traceparent": text(0, 128), "expectedProfileId": _NAME},
)

_CLIENT = closed(
    {"id": one_of(*CLIENT_IDS), "version": _NAME, "platform": _NAME, "mode": one_of(*CLIENT_MODES)},
    {
        "displayName": _NAME,
        "buildId": text(1, 96),
        "deviceFamily": _NAME,
        "modelIdentifier": _NAME,
        "timeZone": text(1, 64),
        "instanceId": _NAME,
    },
)
_DEVICE = closed({"id": _NAME, "publicKey": _NAME, "signature": _NAME, "signedAt": integer(0), "nonce": _NAME})
_AUTH = closed(
    {},
    dict.fromkeys(
        ("token", "bootstrapToken", "deviceToken", "password", "approvalRuntimeToken", "agentRuntimeIdentityToken"),
        text(),
    ),
)
CONNECT = closed(
    {"minProtocol": integer(1), "maxProtocol": integer(1), "client": _CLIENT},
    {
        "caps": _NAMES,
        "commands": _NAMES,
        "permissions": mapping(boolean),
        "pathEnv": text(),
        "role": _NAME,
        "scopes": _NAMES,
        "device": _DEVICE,
        "auth": _AUTH,
        "locale": text(),
        "userAgent": text(),
    },
)
_INVOKE_RESULT = closed(
    {"id": _NAME, "nodeId": _NAME, "ok": boolean},
    {"payload": anything, "payloadJSON": text(), "error": closed({}, {"code": _NAME, "message": _NAME})},
)
_INVOKE = closed(
    {"nodeId": _NAME, "command": _NAME, "idempotencyKey": _NAME},
    {
        "params": anything,
        "timeoutMs": integer(0),
        "sessionKey": _NAME,
        "turnSourceChannel": text(),
        "turnSourceTo": text(),
        "turnSourceAccountId": text(),
        "turnSourceThreadId": either(text(), number),
    },
)
_SKILL = closed(
    {
        "name": text(1, 64, r"^(?!.*--)[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$"),
        "description": text(1, 1024),
        "content": text(1, 65_536),
    }
)
_TOOL = closed(
    {"pluginId": _NAME, "name": text(1, 64, r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"), "description": _NAME},
    {"parameters": mapping(anything), "command": _NAME, "mcp": closed({"server": _NAME, "tool": _NAME})},
)
_ATTACHMENT = opened(
    {
        **dict.fromkeys(("type", "mimeType", "fileName"), text()),
        **dict.fromkeys(("sizeBytes", "durationMs", "width", "height"), number),
    }
)
_AGENT = closed(
    {"message": _NAME, "idempotencyKey": _NAME},
    {
        "sessionKey": text(),
        "agentId": _NAME,
        "thinking": text(),
        "deliver": boolean,
        "attachments": array(anything),
        "channel": text(),
        "to": text(),
        "timeout": integer(0),
        "lane": text(),
        "extraSystemPrompt": text(),
        "label": text(1, 512),
    },
)
_CHAT_SEND = closed(
    {"sessionKey": text(1, 512), "message": text(), "idempotencyKey": _NAME},
    {
        "agentId": _NAME,
        "sessionId": _NAME,
        "thinking": text(),
        "deliver": boolean,
        "attachments": array(_ATTACHMENT),
        "timeoutMs": integer(0),
        "replyToId": _NAME,
    },
)
_SESSIONS_LIST = closed(
    {},
    {
        "limit": integer(1),
        "offset": integer(0),
        "activeMinutes": integer(1),
        **dict.fromkeys(("includeGlobal", "includeUnknown", "includeDerivedTitles", "includeLastMessage"), boolean),
    },
)
_MODELS_LIST = closed(
    {},
    {
        "agentId": _NAME,
        "view": either(*(one_of(name) for name in ("default", "configured", "provider-config", "all"))),
        **dict.fromkeys(("includeProviderCapabilities", "preparedOnly", "refresh"), boolean),
    },
)

PARAMS: dict[str, Check] = {
    "node.list": _NOTHING,
    "node.describe": closed({"nodeId": _NAME}),
    "node.invoke": _INVOKE,
    "node.pair.list": _NOTHING,
    "node.pair.approve": closed({"requestId": _NAME}),
    "node.pair.reject": closed({"requestId": _NAME}),
    "node.pair.remove": closed({"nodeId": _NAME}),
    "node.rename": closed({"nodeId": _NAME, "displayName": _NAME}),
    "device.pair.list": _NOTHING,
    "device.pair.approve": closed({"requestId": _NAME}),
    "device.pair.reject": closed({"requestId": _NAME}),
    "device.pair.remove": closed({"deviceId": _NAME}),
    "agent": _AGENT,
    "agent.wait": closed({"runId": _NAME}, {"timeoutMs": integer(0)}),
    "agents.list": _NOTHING,
    "chat.send": _CHAT_SEND,
    "chat.history": closed(
        {"sessionKey": _NAME},
        {"agentId": _NAME, "limit": integer(1, 1000), "offset": integer(0), "maxChars": integer(1, 500_000)},
    ),
    "chat.abort": closed({"sessionKey": _NAME}, {"agentId": _NAME, "runId": _NAME, "preserveSideRuns": boolean}),
    "sessions.list": _SESSIONS_LIST,
    "config.get": _NOTHING,
    "node.event": closed({"event": _NAME}, {"payload": anything, "payloadJSON": text()}),
    "node.invoke.result": _INVOKE_RESULT,
    "node.invoke.progress": closed({"invokeId": _NAME, "nodeId": _NAME, "seq": integer(0), "chunk": text(0, 16_384)}),
    "node.pending.pull": _NOTHING,
    "node.pending.ack": closed({"ids": array(_NAME, 1)}),
    "node.pending.drain": closed({}, {"maxItems": integer(1, 10)}),
    "node.skills.update": closed({"skills": array(_SKILL, 0, 64)}),
    "node.pluginTools.update": closed({"tools": array(_TOOL)}),
    "models.list": without(_MODELS_LIST, preparedOnly=True, refresh=True),
    "talk.config": closed({}, {"includeSecrets": boolean}),
    "users.prefs.get": closed({}, {"keys": array(text())}),
    "skills.bins": _NOTHING,
}
"""Methods that are missing here take any parameters, as at the real gateway."""
