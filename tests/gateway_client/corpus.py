"""A small synthetic corpus: frames shaped like those between gateway, node and operator, and ways to damage them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

from gateway_client.frames import Json, JsonObject
from tests.support.scale import is_full, seed

COUNT = 1_000_000 if is_full() else 50_000  # documents (security.md D16)
KEY = "f" * 64
INVOKE = "5b1d6d1e-0000-4000-8000-000000000001"


def req(method: str, params: JsonObject | None = None) -> JsonObject:
    frame: JsonObject = {"type": "req", "id": f"7:{method}", "method": method}
    return frame if params is None else {**frame, "params": params}


def event(name: str, payload: Json = None, **more: Json) -> JsonObject:
    return {"type": "event", "event": name, "payload": payload, **more}


def ok(payload: Json) -> JsonObject:
    return {"type": "res", "id": "7:x", "ok": True, "payload": payload}


def failed(code: str, message: str, **more: Json) -> JsonObject:
    return {"type": "res", "id": "7:x", "ok": False, "error": {"code": code, "message": message, **more}}


HELLO: JsonObject = {
    "type": "hello-ok",
    "protocol": 4,
    "server": {"version": "2026.9.6", "connId": INVOKE},
    "features": {"methods": ["health", "node.event"], "events": ["tick"], "capabilities": []},
    "snapshot": {"presence": [], "health": {}, "stateVersion": {"presence": 3, "health": 2}, "uptimeMs": 1},
    "auth": {"role": "node", "scopes": []},
    "policy": {"maxPayload": 26214400, "maxBufferedBytes": 52428800, "tickIntervalMs": 30000},
}
CONNECT: JsonObject = {
    "minProtocol": 4,
    "maxProtocol": 4,
    "client": {"id": "node-host", "version": "1", "platform": "linux", "mode": "node", "displayName": "Küche 🍳"},
    "role": "node",
    "scopes": [],
    "caps": ["screen"],
    "commands": ["screen.show", "screen.eval"],
    "auth": {"token": "t"},
    "device": {"id": KEY, "publicKey": "A" * 43, "signature": "B" * 86, "signedAt": 1795208478080, "nonce": "n"},
}
FRAMES: tuple[JsonObject, ...] = (
    req("connect", CONNECT),
    ok(HELLO),
    req("node.event", {"event": "node.host.stats", "payloadJSON": '{"cpuCount":2,"loadAverage":[2.08,0.91]}'}),
    req("node.event", {"event": "voice.transcript", "payloadJSON": '{"text":"say \\"hi\\" \\\\ \\u00e9 \\n"}'}),
    req("node.invoke.result", {"id": INVOKE, "nodeId": KEY, "ok": True, "payloadJSON": "{}"}),
    req(
        "node.invoke", {"nodeId": KEY, "command": "screen.eval", "params": {"javaScript": "1+1"}, "idempotencyKey": "k"}
    ),
    req("agent", {"message": "hello", "sessionKey": "main", "idempotencyKey": "i", "thinking": "low"}),
    req("node.pending.pull", {}),
    req("health"),
    req("voicewake.get", {}),
    event("connect.challenge", {"nonce": "c8240848", "ts": 1795208478080}),
    event("tick", {"ts": 1795208555889}, seq=1, stateVersion={"presence": 3, "health": 2}),
    event("node.invoke.request", {"id": INVOKE, "nodeId": KEY, "command": "screen.show", "paramsJSON": None}),
    event("voicewake.changed", {"triggers": ["claude", "computer"]}),
    event("shutdown", {"reason": "gateway stopping", "restartExpectedMs": 1500}),
    event("chat", {"state": "delta", "text": "中文 \u202e €", "n": -1.5e-7}, seq=2),
    ok({"status": "accepted", "runId": "r"}),
    ok(None),
    failed("NOT_PAIRED", "pairing required", details={"code": "PAIRING_REQUIRED", "reason": "not-paired"}),
    failed("UNAVAILABLE", "starting", retryable=True, retryAfterMs=500),
    {"type": "res", "id": "1", "ok": False, "payload": {"status": "error"}, "error": {"code": "X", "message": ""}},
)
TEXTS: tuple[bytes, ...] = tuple(
    json.dumps(frame, ensure_ascii=index % 2 == 0, separators=(",", ":") if index % 3 else None).encode()
    for index, frame in enumerate(FRAMES)
)
SPLICES: tuple[bytes, ...] = (
    b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\x00", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"-0",
    b"1e999", b"NaN", b"true", b"null", b'"type":"req",', b'"id":"x",', b'"\\u0069d":"x",', b"9007199254740993",
    b"[" * 40,
    b"\xef\xbb\xbf", b" ", b"/**/", b"'", b'{"a":1,"a":2}', b"0", b".", b"e5",
)  # fmt: skip


def damaged(rng: random.Random, text: bytes) -> bytes:
    """Return `text` after one to four random edits."""
    for _ in range(rng.randint(1, 4)):
        text = rng.choice(EDITS)(rng, text)
    return text


def _cut(rng: random.Random, text: bytes) -> bytes:
    return text[: rng.randint(0, len(text))]


def _drop(rng: random.Random, text: bytes) -> bytes:
    start = rng.randint(0, len(text))
    return text[:start] + text[start + rng.randint(1, 8) :]


def _splice(rng: random.Random, text: bytes) -> bytes:
    at = rng.randint(0, len(text))
    return text[:at] + rng.choice(SPLICES) + text[at:]


def _flip(rng: random.Random, text: bytes) -> bytes:
    if not text:
        return text
    at = rng.randrange(len(text))
    return text[:at] + bytes([text[at] ^ (1 << rng.randrange(8))]) + text[at + 1 :]


def _repeat(rng: random.Random, text: bytes) -> bytes:
    start = rng.randint(0, len(text))
    piece = text[start : start + rng.randint(1, 40)]
    return text[:start] + piece * rng.randint(2, 4) + text[start + len(piece) :]


def _cross(rng: random.Random, text: bytes) -> bytes:
    other = rng.choice(TEXTS)
    return text[: rng.randint(0, len(text))] + other[rng.randint(0, len(other)) :]


def _nest(rng: random.Random, text: bytes) -> bytes:
    depth = rng.randint(1, 70)
    return b"[" * depth + text + b"]" * depth


EDITS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _cut,
    _drop,
    _splice,
    _flip,
    _repeat,
    _cross,
    _splice,
    _nest,
)


WORDS = ("", "a", "id", ":", ",", '"', "\\", "[{", "\u00e9", "\U0001f600", "\u2028", "\x00", "__proto__", "\ud800")
NUMBERS = (0, 1, -1, 2**53 - 1, 2**53, -(2**53), 2**63, 2**64, 1.5, -0.0, 1e300, 5e-324, 10**20, 10**310, float("nan"))


def any_value(rng: random.Random, depth: int) -> object:
    kind = rng.randrange(7 if depth else 5)
    if kind < 5:
        return rng.choice((None, True, False, rng.choice(NUMBERS), rng.randint(-(10**6), 10**6), rng.choice(WORDS)))
    size = rng.randrange(5)
    if kind == 5:
        return [any_value(rng, depth - 1) for _ in range(size)]
    return {rng.choice(WORDS) + str(rng.randrange(3)): any_value(rng, depth - 1) for _ in range(size)}


def documents(count: int) -> Iterator[bytes]:
    """Yield frames, whole and damaged, random values, and random pieces in a row."""
    rng = random.Random(seed())  # noqa: S311 - repeatable, not secret
    for _ in range(count // 3 + 1):
        yield damaged(rng, rng.choice(TEXTS))
        text = json.dumps(
            any_value(rng, rng.randrange(6)), ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1))
        )
        document = text.encode("utf-8", "surrogatepass")
        yield document if rng.random() < 0.6 else damaged(rng, document)
        yield b"".join(rng.choices(SPLICES, k=rng.randint(1, 12)))
