"""Pure: which run events an operator socket may see: whole runs of sessions it asked about, or nothing of a run.

An app that gets a delta without the text before it drops its socket (mobile-clients §3.6), so a run that was entered in
the middle is withheld until it ends. What is no text of a run, such as its status, neither needs nor makes a beginning.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from acl.model import canonical_session
from gateway_client.frames import Event, JsonObject, object_of, text_of

MAX_SESSIONS = 64  # sessions of interest per socket; an app lists 80 and opens one at a time; about 200 bytes each
MAX_RUNS = 256  # runs remembered per socket; each some 200 bytes, the oldest are forgotten first
_ENDS = frozenset({"final", "error", "aborted"})


@dataclass(slots=True)
class RunFilter:
    """What one socket follows."""

    _sessions: dict[str, None] = field(default_factory=dict)
    _runs: dict[tuple[str, str], bool] = field(default_factory=dict)

    def follow(self, session_key: str) -> None:
        """The socket asked about a session: its runs may be shown from now on."""
        key = canonical_session(session_key)
        self._sessions.pop(key, None)
        while len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[key] = None

    def passes(self, event: Event) -> bool:
        """Tells whether the socket may see this event of a run."""
        payload = object_of(event.payload)
        session, run = text_of(payload, "sessionKey"), text_of(payload, "runId")
        if session is None or run is None or canonical_session(session) not in self._sessions:
            return False
        key = (event.event, run)
        if event.event == "chat" and payload.get("state") in _ENDS:
            self._runs.pop(key, None)
            return True
        if key not in self._runs and _is_text(event.event, payload):
            self._remember(key, whole=_has_baseline(event.event, payload))
        return self._runs.get(key, True)

    def _remember(self, key: tuple[str, str], *, whole: bool) -> None:
        while len(self._runs) >= MAX_RUNS:
            del self._runs[next(iter(self._runs))]
        self._runs[key] = whole

    def gap(self) -> None:
        """Events were missed: what is running now has lost its beginning."""
        self._runs = dict.fromkeys(self._runs, False)


def _is_text(name: str, payload: JsonObject) -> bool:
    return payload.get("state") == "delta" if name == "chat" else payload.get("stream") == "assistant"


def _has_baseline(name: str, payload: JsonObject) -> bool:
    if name == "chat":
        return "message" in payload or payload.get("replace") is True
    data = object_of(payload.get("data"))
    return "delta" not in data or data.get("text") == data.get("delta")
