"""Frames of phones in every shape, and damage done to them: to their bytes, to their tokens and to their structure."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from tests.bridge.lan.phones import ANDROID, IPHONE, Json
from tests.gateway_client.corpus import TEXTS, damaged

INVOKE = "5b1d6d1e-0000-4000-8000-000000000001"
MINE = IPHONE.node_id


def _req(method: str, params: Any = None) -> Json:
    frame: Json = {"type": "req", "id": f"1:{method}", "method": method}
    return frame if params is None else {**frame, "params": params}


def _event(name: str, payload: Any) -> Json:
    return _req("node.event", {"event": name, "payloadJSON": json.dumps(payload)})


PICTURE = {"type": "image", "mimeType": "image/png", "fileName": "a.png", "content": "aGk="}
OF_A_NODE: tuple[Json, ...] = (
    _event("voice.transcript", {"text": "what is the time?", "sessionKey": "main", "eventId": "e1", "sequence": 4}),
    _event("agent.request", {"message": "hello", "thinking": "low", "attachments": [PICTURE], "deliver": True}),
    _event("node.presence.alive", {"trigger": "connect", "sentAtMs": 1795208478080, "platform": "iOS 26.1"}),
    _event("notifications.changed", {"change": "posted", "key": "k", "title": "Doorbell", "text": "ring"}),
    _event("chat.subscribe", {"sessionKey": "main"}),
    _event("node.host.stats", {"cpuCount": 2, "loadAverage": [0.5, 0.25, 0.1]}),
    _event("push.apns.register", {"transport": "direct", "token": "a" * 64, "topic": "t", "environment": "sandbox"}),
    _event("node.state", {"state": "background", "voice": False}),
    _req("node.event", {"event": "voice.transcript", "payload": {"text": "hi"}}),
    _req("node.invoke.result", {"id": INVOKE, "nodeId": MINE, "ok": True, "payloadJSON": '{"a":[1,2]}'}),
    _req("node.invoke.result", {"id": INVOKE, "nodeId": MINE, "ok": False, "error": {"code": "X", "message": "m"}}),
    _req("node.invoke.progress", {"invokeId": INVOKE, "nodeId": MINE, "seq": 0, "chunk": "words"}),
    _req("node.pending.pull", {}),
    _req("node.pending.ack", {"ids": ["a1", "a2"]}),
    _req("node.pending.drain", {"maxItems": 10}),
    _req("node.list", {}),
    _req(
        "node.invoke",
        {"nodeId": MINE, "command": "device.info", "params": {"a": 1}, "idempotencyKey": "k", "timeoutMs": 900},
    ),
    _req("agent", {"message": "hello", "sessionKey": "main", "idempotencyKey": "i", "attachments": [PICTURE]}),
    _req("agent.wait", {"runId": "r1", "timeoutMs": 1000}),
    _req("voicewake.get", {}),
    _req("node.skills.update", {"skills": []}),
    _req("skills.bins"),
    _req("health"),
)
OF_AN_OPERATOR: tuple[Json, ...] = (
    _req(
        "chat.send", {"sessionKey": "main", "message": "hi", "idempotencyKey": "k", "timeoutMs": 5, "thinking": "low"}
    ),
    _req("chat.history", {"sessionKey": "main", "limit": 20}),
    _req("chat.abort", {"sessionKey": "agent:main:main", "runId": "r1"}),
    _req("chat.startup", {"limit": 5}),
    _req("chat.metadata", {"sessionKey": "main"}),
    _req("sessions.list", {"limit": 80, "includeGlobal": True, "search": ""}),
    _req("sessions.preview", {"keys": ["main"], "limit": 3}),
    _req("sessions.resolve", {"key": "main", "allowMissing": True}),
    _req("sessions.messages.subscribe", {"key": "main"}),
    _req("tasks.list", {"status": ["running", "queued"], "sessionKey": "main", "limit": 20}),
    _req("artifacts.download", {"sessionKey": "main", "artifactId": "a1"}),
    _req("progressCard.get", {"sessionKey": "main"}),
    _req("users.prefs.get", {"keys": ["ui.accent"]}),
    _req("models.list", {"view": "configured"}),
    _req("commands.list", {"scope": "text", "includeArgs": True}),
    _req("agents.list", {}),
    _req("agent.wait", {"runId": "r1", "timeoutMs": 1000}),
    _req("talk.config"),
    _req("config.get", {}),
    _req("exec.approval.list", {}),
    _req("health"),
)
FIRST: tuple[Json, ...] = (
    IPHONE.connect(),
    IPHONE.connect(auth={"deviceToken": "x" * 43}),
    IPHONE.connect("operator", {"token": "x" * 43}, ("operator.read", "operator.write")),
    ANDROID.connect(auth={"bootstrapToken": "y" * 43}),
)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 2**53 - 1, "", "x", "main", "/new", "\u202e", "\x00", [], {}, [[]], {"a": {}}, ["x"],
    "x" * 300, {"sessionKey": "main"}, INVOKE, MINE, ANDROID.node_id, "agent:main:main", "agent:other:main", [None, 7],
)  # fmt: skip
NAMES: tuple[str, ...] = (
    *("id", "method", "params", "type", "nodeId", "sessionKey", "key", "keys", "event", "payload", "payloadJSON"),
    *(
        "__proto__",
        "constructor",
        "approved",
        "role",
        "scopes",
        "deliver",
        "extraSystemPrompt",
        "agentId",
        "text",
        "seq",
    ),
    *("message", "timeoutMs", "ok", "error", "ids", "attachments", "command", "device", "auth", "client", "a\x00"),
)


def bent(rng: random.Random, frame: Json) -> bytes:
    """Returns a frame with one to three changes of its structure: members renamed, taken, added, of other types."""
    mine = copy.deepcopy(frame)
    for _ in range(rng.randint(1, 3)):
        rng.choice(BENDS)(rng, _place(rng, mine))
    return json.dumps(mine, ensure_ascii=rng.random() < 0.5).encode()


def _place(rng: random.Random, frame: Json) -> Json:
    """An object of a frame: itself, or one inside, the deeper the rarer."""
    here = frame
    while rng.random() < 0.8 and (inner := [one for one in here.values() if isinstance(one, dict) and one]):
        here = rng.choice(inner)
    return here


def _retype(rng: random.Random, here: Json) -> None:
    if here:
        here[rng.choice(list(here))] = _value(rng)


def _take(rng: random.Random, here: Json) -> None:
    if here:
        del here[rng.choice(list(here))]


def _add(rng: random.Random, here: Json) -> None:
    here[rng.choice(NAMES)] = _value(rng)


def _value(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(VALUES))


def _rename(rng: random.Random, here: Json) -> None:
    if here:
        here[rng.choice(NAMES)] = here.pop(rng.choice(list(here)))


def _swap(rng: random.Random, here: Json) -> None:
    if len(here) > 1:
        one, other = rng.sample(list(here), 2)
        here[one], here[other] = here[other], here[one]


def _wrap(rng: random.Random, here: Json) -> None:
    if here:
        name = rng.choice(list(here))
        here[name] = rng.choice(([here[name]], {name: here[name]}, json.dumps(here[name])))


BENDS: tuple[Callable[[random.Random, Json], None], ...] = (_retype, _take, _add, _rename, _swap, _wrap)


def mutants(rng: random.Random, frames: tuple[Json, ...]) -> Iterator[bytes]:
    """Yields damaged frames without end: half of them bent, half broken; among them whole ones and foreign ones."""
    texts = [json.dumps(frame).encode() for frame in frames]
    while True:
        dice = rng.random()
        if dice < 0.55:
            yield bent(rng, rng.choice(frames))
        elif dice < 0.95:
            yield damaged(rng, rng.choice(texts))
        else:
            yield rng.choice(texts if dice < 0.98 else TEXTS)
