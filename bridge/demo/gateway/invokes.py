"""Pure: `node.invoke` from the request to its outcome, and the foreground queue (gateway-protocol §5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from bridge.demo.gateway.nodes import Session
from bridge.demo.gateway.policy import DANGEROUS
from bridge.demo.gateway.refusals import Refusal, invalid, unavailable
from gateway_client.frames import Json, JsonObject, object_of

DEFAULT_TIMEOUT_MS = 30_000
READINESS_RETRY_MS = (100, 250, 500, 1000)  # pauses before NODE_NOT_READY is dispatched again
QUEUE_LENGTH = 64  # actions per node that wait for the foreground
QUEUE_MS = 600_000  # an action waits so long
CHUNK_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Call:
    """One `node.invoke` as its caller sent it."""

    node_id: str
    command: str
    params_json: str | None
    timeout_ms: int
    idempotency_key: str
    session_key: str | None = None
    by_agent: bool = False
    """Called by the agent itself: its calls never wait for the foreground."""

    def event(self, invoke_id: str, left_ms: int) -> JsonObject:
        """Returns the payload of `node.invoke.request`."""
        out: JsonObject = {
            "id": invoke_id,
            "nodeId": self.node_id,
            "command": self.command,
            "paramsJSON": self.params_json,
            "timeoutMs": left_ms,
            "idempotencyKey": self.idempotency_key,
        }
        return out if self.session_key is None else {**out, "sessionKey": self.session_key}


def read_call(params: JsonObject) -> Call:
    """Reads `node.invoke` parameters that fit their schema.

    Raises:
        Refusal: blank names, or a command that no operator may send through `node.invoke`.
    """
    node_id, command = str(params["nodeId"]).strip(), str(params["command"]).strip()
    if not node_id or not command:
        raise invalid("nodeId and command required")
    if command.startswith("worker."):
        raise invalid("node.invoke does not allow private node controls", {"command": command})
    if command.startswith("system.execApprovals."):
        text = "node.invoke does not allow system.execApprovals.*; use exec.approvals.node.*"
        raise invalid(text, {"command": command})
    timeout = params.get("timeoutMs")
    session_key = params.get("sessionKey")
    return Call(
        node_id,
        command,
        orjson.dumps(params["params"]).decode() if "params" in params else None,
        int(timeout) if isinstance(timeout, int | float) else DEFAULT_TIMEOUT_MS,
        str(params["idempotencyKey"]),
        str(session_key).strip() if session_key else None,
    )


def check_allowed(call: Call, session: Session, allowed: frozenset[str]) -> None:
    """Checks policy and the effective surface.

    Raises:
        Refusal: with `details.reason`, as the gateway words it.
    """
    command, platform = call.command, session.client.client.get("platform", "unknown")
    if command not in allowed:
        hint = f'"{command}" is not in the allowlist for platform "{platform}"'
        if command in DANGEROUS:
            hint = f'"{command}" requires explicit gateway.nodes.commands.allow opt-in'
        if command.startswith("talk."):
            hint = f'"{command}" requires a trusted Talk-capable node'
        raise _not_allowed("command not allowlisted", hint, command)
    if command in session.effective.commands:
        return
    if session.effective.commands:
        hint = f'the node (platform: {platform}) does not support "{command}"'
        raise _not_allowed("command not declared by node", hint, command)
    hint = "the node did not declare any supported commands"
    if command in session.declared.commands:
        hint = (
            "the node's declared command surface is pending approval; run `openclaw nodes pending`, "
            "then `openclaw nodes approve <requestId>`"
        )
    raise _not_allowed("node did not declare commands", hint, command)


def _not_allowed(reason: str, hint: str, command: str) -> Refusal:
    return invalid(f"node command not allowed: {hint}", {"reason": reason, "command": command})


@dataclass(frozen=True, slots=True)
class Answer:
    """How an invoke ended: the node's own result, or an error that the gateway made."""

    ok: bool
    payload: Json = None
    has_payload: bool = False
    payload_json: str | None = None
    error: JsonObject | None = None

    @property
    def code(self) -> Json:
        """The error's code, None when there is none."""
        return (self.error or {}).get("code")


def failed(code: str, message: str) -> Answer:
    """Returns an outcome that the gateway itself made."""
    return Answer(ok=False, error={"code": code, "message": message})


def normalize_result(params: Json) -> Json:
    """Returns `node.invoke.result` parameters with the nulls and objects mended that the gateway mends."""
    if not isinstance(params, dict):
        return params
    out = dict(params)
    if "payloadJSON" in out and not isinstance(out["payloadJSON"], str):
        loose = out.pop("payloadJSON")
        if loose is not None:
            out.setdefault("payload", loose)
    if "error" in out and out["error"] is None:
        del out["error"]
    return out


def read_answer(params: JsonObject) -> Answer:
    """Reads normalised `node.invoke.result` parameters that fit their schema."""
    text = params.get("payloadJSON")
    return Answer(
        ok=params["ok"] is True,
        payload=params.get("payload"),
        has_payload="payload" in params,
        payload_json=text if isinstance(text, str) else None,
        error=object_of(params["error"]) if "error" in params else None,
    )


def outcome(answer: Answer, call: Call) -> JsonObject:
    """Returns what the caller gets.

    Raises:
        Refusal: the node failed, or never answered.
    """
    if not answer.ok:
        raise _failure(answer)
    out: JsonObject = {"ok": True, "nodeId": call.node_id, "command": call.command}
    if answer.payload_json:
        out["payload"] = _parsed(answer.payload_json)
    elif answer.has_payload:
        out["payload"] = answer.payload
    out["payloadJSON"] = answer.payload_json
    return out


def _parsed(text: str) -> Json:
    try:
        value: Json = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {"payloadJSON": text}
    return value


def _failure(answer: Answer) -> Refusal:
    error = answer.error or {}
    code, message = error.get("code"), error.get("message") or "node invoke failed"
    text = f"{code}: {message}" if code else str(message)
    return unavailable(text, {"nodeError": answer.error, "nodeCommandDispatched": True})


def not_connected() -> Refusal:
    """Returns the answer to a call for an approved node that is away."""
    error: JsonObject = {"code": "NOT_CONNECTED", "message": "node not connected"}
    details: JsonObject = {"code": "NOT_CONNECTED", "nodeError": error, "nodeCommandDispatched": False}
    return unavailable("node not connected", details)


@dataclass(frozen=True, slots=True)
class Action:
    """A command that waits for the app to come to the foreground."""

    action_id: str
    call: Call
    enqueued_at_ms: int

    def as_json(self) -> JsonObject:
        """Returns the action as `node.pending.pull` shows it."""
        return {
            "id": self.action_id,
            "command": self.call.command,
            "paramsJSON": self.call.params_json,
            "enqueuedAtMs": self.enqueued_at_ms,
        }


class ForegroundQueue:
    """Actions by node id, at most `QUEUE_LENGTH` each; the oldest give way."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._actions: dict[str, list[Action]] = {}

    def wants(self, call: Call, platform: str, answer: Answer) -> bool:
        """Tells whether the gateway queues this failure instead of returning it (§5.3)."""
        if answer.ok or call.by_agent or not platform.lower().startswith(("ios", "ipados")):
            return False
        if not call.command.startswith(("camera.", "screen.", "talk.")):
            return False
        message = str((answer.error or {}).get("message") or "").upper()
        return str(answer.code or "").upper() == "NODE_BACKGROUND_UNAVAILABLE" or "BACKGROUND_UNAVAILABLE" in message

    def put(self, call: Call, now_ms: int) -> Action:
        """Queues a call; one idempotency key waits once."""
        waiting = self.of(call.node_id, now_ms)
        for action in waiting:
            if action.call.idempotency_key == call.idempotency_key:
                return action
        action = Action(self._new_id(), call, now_ms)
        self._actions[call.node_id] = [*waiting, action][-QUEUE_LENGTH:]
        return action

    def of(self, node_id: str, now_ms: int) -> list[Action]:
        """Returns what waits for a node."""
        return [item for item in self._actions.get(node_id, []) if now_ms - item.enqueued_at_ms <= QUEUE_MS]

    def ack(self, node_id: str, ids: list[str], now_ms: int) -> int:
        """Drops executed actions; returns how many remain."""
        left = [item for item in self.of(node_id, now_ms) if item.action_id not in ids]
        self._actions[node_id] = left
        return len(left)

    def forget(self, node_id: str) -> None:
        """Drops a node's queue."""
        self._actions.pop(node_id, None)


def queued(action: Action, answer: Answer) -> Refusal:
    """Returns the answer to a caller whose command waits for the foreground."""
    details: JsonObject = {
        "code": "QUEUED_UNTIL_FOREGROUND",
        "queuedActionId": action.action_id,
        "nodeId": action.call.node_id,
        "command": action.call.command,
        "wake": {"path": "no-registration", "available": False, "throttled": False},
        "nodeError": answer.error,
    }
    return unavailable("node command queued until iOS returns to foreground", details, retryable=True)
