"""Pure: conversations and agent runs, as little of them as the bridge uses (gateway-protocol §8.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway_client.frames import Json, JsonObject

AGENT = "main"
HISTORY_LENGTH = 1000  # messages kept per session
RUNS = 1000  # runs remembered


def canonical(key: str) -> str:
    """Returns the full session key: `main` is `agent:main:main`."""
    key = key.strip() or "main"
    return key if key.startswith("agent:") else f"agent:{AGENT}:{key}"


def agent_of(key: str) -> str:
    """Returns the agent that a session key names."""
    return canonical(key).split(":")[1]


@dataclass(slots=True)
class Run:
    """One agent turn."""

    run_id: str
    session_key: str
    started_at_ms: int
    ended_at_ms: int | None = None
    status: str = "running"
    """running, ok, error or aborted."""
    text: str = ""
    """The reply, or the error."""

    def result(self) -> JsonObject:
        """Returns the payload of the final answer to `agent`."""
        if self.status != "ok":
            return {"runId": self.run_id, "status": "error", "summary": self.text}
        payloads: list[Json] = [{"text": self.text, "mediaUrl": None}]
        return {"runId": self.run_id, "status": "ok", "summary": "completed", "result": {"payloads": payloads}}

    def waited(self) -> JsonObject:
        """Returns the payload of `agent.wait`."""
        if self.ended_at_ms is None:
            return {"runId": self.run_id, "status": "timeout"}
        out: JsonObject = {"runId": self.run_id, "status": "ok" if self.status == "ok" else "error"}
        out |= {"startedAt": self.started_at_ms, "endedAt": self.ended_at_ms}
        return out if self.status == "ok" else {**out, "error": self.text}


@dataclass(slots=True)
class Sessions:
    """All conversations and runs."""

    new_id: Callable[[], str]
    runs: dict[str, Run] = field(default_factory=dict)
    _messages: dict[str, list[Json]] = field(default_factory=dict)
    _ids: dict[str, str] = field(default_factory=dict)

    def start(self, run_id: str, session_key: str, text: str, now_ms: int) -> Run:
        """Begins a run with what the user said."""
        run = Run(run_id, canonical(session_key), now_ms)
        self.runs[run_id] = run
        while len(self.runs) > RUNS:
            del self.runs[next(iter(self.runs))]
        self._add(run.session_key, "user", text, now_ms)
        return run

    def finish(self, run: Run, status: str, text: str, now_ms: int) -> None:
        """Ends a run with the reply, or with why there is none."""
        run.status, run.text, run.ended_at_ms = status, text, now_ms
        if status == "ok":
            self._add(run.session_key, "assistant", text, now_ms)

    def active(self, session_key: str, run_id: str | None) -> list[Run]:
        """Returns the running runs of a session, or the one that is named."""
        key = canonical(session_key)
        mine = [run for run in self.runs.values() if run.session_key == key and run.status == "running"]
        return [run for run in mine if run_id in {None, run.run_id}]

    def history(self, session_key: str, limit: int) -> JsonObject:
        """Returns the payload of `chat.history`."""
        key = canonical(session_key)
        messages = self._messages.get(key, [])
        out: JsonObject = {"sessionKey": session_key, "messages": messages[-limit:]}
        if key in self._ids:
            out["sessionId"] = self._ids[key]
        return {**out, "hasMore": len(messages) > limit, "totalMessages": len(messages)}

    def listed(self, limit: int, now_ms: int) -> JsonObject:
        """Returns the payload of `sessions.list`."""
        rows: list[Json] = [
            {"key": key, "kind": "direct", "agentId": AGENT, "sessionId": self._ids[key]} for key in self._messages
        ]
        count = len(rows[:limit])
        return {
            "ts": now_ms,
            "count": count,
            "totalCount": len(rows),
            "hasMore": count < len(rows),
            "sessions": rows[:limit],
        }

    def _add(self, key: str, role: str, text: str, now_ms: int) -> None:
        self._ids.setdefault(key, self.new_id())
        messages = self._messages.setdefault(key, [])
        messages.append({"role": role, "content": [{"type": "text", "text": text}], "timestamp": now_ms})
        del messages[:-HISTORY_LENGTH]


def chat_final(run: Run, now_ms: int) -> JsonObject:
    """Returns the payload of the `chat` event that ends a run."""
    out: JsonObject = {"runId": run.run_id, "sessionKey": run.session_key, "agentId": AGENT, "seq": 1}
    if run.status == "aborted":
        return {**out, "state": "aborted", "stopReason": "rpc"}
    if run.status == "error":
        return {**out, "state": "error", "errorMessage": run.text}
    content: list[Json] = [{"type": "text", "text": run.text}]
    return {**out, "state": "final", "message": {"role": "assistant", "content": content, "timestamp": now_ms}}


def agent_event(run: Run, phase: str, seq: int, now_ms: int) -> JsonObject:
    """Returns the payload of an `agent` event about a run's life."""
    return {
        "runId": run.run_id,
        "stream": "lifecycle",
        "data": {"phase": phase},
        "sessionKey": run.session_key,
        "agentId": AGENT,
        "seq": seq,
        "ts": now_ms,
    }
