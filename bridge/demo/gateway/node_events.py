"""Pure: what a `node.event` is answered and what it sets off (gateway-protocol §6)."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.demo.gateway.schema import closed, faults_of, integer
from gateway_client.frames import Bounds, FrameError, Json, JsonObject, object_of, parse_json, text_of

TEXT_CHARS = 20_000
SAME_TRANSCRIPT_MS = 1500  # a transcript that comes again so soon is dropped
PRESENCE_MS = 60_000  # presence is written at most so often
_BOUNDS = Bounds(max_bytes=26_214_400, max_depth=64, max_items=200_000, safe_integers=False)
_TRIGGERS = {"background", "silent_push", "bg_app_refresh", "significant_location", "manual", "connect"}
_ACTIVITY = closed(
    {"idleSeconds": integer(0, 2_592_000)}, {"saturated": lambda value, path: [], "source": lambda value, path: []}
)


@dataclass(frozen=True, slots=True)
class StartTurn:
    """The agent is to answer `text`."""

    text: str
    session_key: str


@dataclass(frozen=True, slots=True)
class Follow:
    """The node wants a session's events, or no longer (`on` false)."""

    session_key: str
    on: bool


@dataclass(frozen=True, slots=True)
class HostStats:
    """Figures for the node's row."""

    stats: JsonObject


@dataclass(frozen=True, slots=True)
class Alive:
    """The node was heard of, for this reason."""

    reason: str


Effect = StartTurn | Follow | HostStats | Alive
Judged = tuple[JsonObject, Effect | None]

_DONE: JsonObject = {"ok": True}


@dataclass(slots=True)
class NodeEvents:
    """Judges events; remembers the last transcript of a session and when presence was last written."""

    _transcripts: dict[str, tuple[str, int]] = field(default_factory=dict)
    _presence: dict[str, int] = field(default_factory=dict)

    def judge(self, node_id: str, event: str, payload: Json, permissions: JsonObject, now_ms: int) -> Judged:
        """Returns the answer and the effect of one event from a node whose surface is approved."""
        fields = payload if isinstance(payload, dict) else None
        match event:
            case "voice.transcript":
                return dict(_DONE), self._transcript(object_of(fields), now_ms)
            case "agent.request":
                return dict(_DONE), _agent_request(node_id, object_of(fields))
            case "chat.subscribe" | "chat.unsubscribe":
                key = text_of(fields, "sessionKey")
                return dict(_DONE), Follow(key, event == "chat.subscribe") if key else None
            case "notifications.changed" | "push.apns.register":
                return dict(_DONE), None
            case "exec.started" | "exec.finished" | "exec.denied":
                known = text_of(fields, "sessionKey") is not None
                return _answer(event, handled=False, reason="unmatched_exec_event") if known else (dict(_DONE), None)
            case "node.presence.alive":
                return self._alive(node_id, fields, now_ms)
            case "node.presence.activity":
                return _activity(fields, permissions)
            case "node.host.stats":
                return _host_stats(fields)
            case _:
                return _answer(event, handled=False, reason="unsupported_event")

    def _transcript(self, fields: JsonObject, now_ms: int) -> StartTurn | None:
        text = (text_of(fields, "text") or "").strip()
        if not text or len(text) > TEXT_CHARS:
            return None
        key = text_of(fields, "sessionKey") or "main"
        mark = text_of(fields, "eventId", "providerEventId", "transcriptId") or text
        last, at = self._transcripts.get(key, ("", 0))
        if last == mark and now_ms - at < SAME_TRANSCRIPT_MS:
            return None
        self._transcripts[key] = (mark, now_ms)
        return StartTurn(text, key)

    def _alive(self, node_id: str, fields: JsonObject | None, now_ms: int) -> Judged:
        event = "node.presence.alive"
        if fields is None:
            return _answer(event, handled=False, reason="invalid_payload")
        if now_ms - self._presence.get(node_id, -PRESENCE_MS) < PRESENCE_MS:
            return _answer(event, handled=True, reason="throttled")
        self._presence[node_id] = now_ms
        trigger = text_of(fields, "trigger") or ""
        answer, _ = _answer(event, handled=True, reason="persisted")
        return answer, Alive(trigger if trigger in _TRIGGERS else "background")


def read_payload(params: JsonObject) -> Json:
    """Returns the payload of `node.event`: a string `payloadJSON` wins; None when it is no JSON."""
    text = params.get("payloadJSON")
    if not isinstance(text, str):
        return params.get("payload")
    try:
        return parse_json(text.encode(), _BOUNDS)
    except FrameError:
        return None


def _answer(event: str, *, handled: bool, reason: str) -> Judged:
    return {"ok": True, "event": event, "handled": handled, "reason": reason}, None


def _agent_request(node_id: str, fields: JsonObject) -> StartTurn | None:
    message = (text_of(fields, "message") or "").strip()
    if not message or len(message) > TEXT_CHARS:
        return None
    return StartTurn(message, text_of(fields, "sessionKey") or f"node-{node_id}")


def _activity(fields: JsonObject | None, permissions: JsonObject) -> Judged:
    event = "node.presence.activity"
    if fields is None or (fields.get("action") != "clear" and faults_of(_ACTIVITY, fields)):
        return _answer(event, handled=False, reason="invalid_payload")
    if fields.get("source") != "app" and permissions.get("accessibility") is not True:
        return _answer(event, handled=False, reason="permission_required")
    return _answer(event, handled=False, reason="stale_connection")  # only desktop nodes report activity


def _host_stats(fields: JsonObject | None) -> Judged:
    event = "node.host.stats"
    wanted = {"cpuCount": (1, 4096), "memoryTotalBytes": (0, None), "memoryFreeBytes": (0, None)}
    if fields is None or any(faults_of(integer(*wanted[name]), fields.get(name)) for name in wanted):
        return _answer(event, handled=False, reason="invalid_payload")
    answer, _ = _answer(event, handled=True, reason="updated")
    return answer, HostStats(dict(fields))
