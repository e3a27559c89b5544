"""Pure: which run events a socket may see: whole runs of sessions that it follows, or nothing of a run.

An app that gets a delta without the text before it drops its socket (mobile-clients §3.6). So the words of a run pass
from the first one on, as long as none is missing; a run that was entered in the middle, or of which something was
missed, is withheld until it ends. What is no text of a run, such as its status, neither needs nor makes a beginning.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.lan.session_names import FRESH, SessionKeys, of_agent
from gateway_client.frames import Event, JsonObject, object_of, text_of

RUN_EVENTS = frozenset({"chat", "agent"})
MAX_SESSIONS = 64  # sessions of interest per socket; an app lists 80 and opens one at a time; about 200 bytes each
MAX_RUNS = 256  # runs remembered per socket, the oldest are forgotten first
MAX_TEXTS = 64  # texts of one run: it has one per message between two tools
MAX_NAME_CHARS = 256  # of what names a run or a text; with all three at their most 8 MiB per socket, usually 100 KiB
_ENDS = frozenset({"final", "error", "aborted"})
_CHAT_TEXT = ""  # a chat run has one text


@dataclass(frozen=True, slots=True)
class _Key:
    event: str
    session: str
    agent: str
    run: str


@dataclass(slots=True)
class _Run:
    """What the socket has seen of a run: every word so far, or not; and the texts whose beginning it has."""

    session: str
    whole: bool
    texts: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Words:
    """An event that says words.

    Attributes:
        text: which text of the run they belong to.
        carried: whether the whole text so far is in the event.
        first: whether nothing of the text can have come before.
    """

    text: str
    carried: bool
    first: bool


@dataclass(slots=True)
class RunFilter:
    """What one socket follows."""

    _sessions: dict[str, None] = field(default_factory=dict)
    _runs: dict[_Key, _Run] = field(default_factory=dict)
    _keys: SessionKeys = field(default_factory=SessionKeys)
    _followed: frozenset[str] = frozenset()

    def follow(self, session_key: str) -> None:
        """The socket asked about a session, by whatever spelling: its runs may be shown from now on."""
        if len(session_key) > MAX_NAME_CHARS:
            return
        self._sessions.pop(session_key, None)
        while len(self._sessions) >= MAX_SESSIONS:
            self._drop(next(iter(self._sessions)))
        self._sessions[session_key] = None
        self._count(self._keys)

    def follows(self, session_key: str) -> bool:
        """Whether the socket follows a session, however it is spelled."""
        return self._keys.canonical(session_key) in self._followed

    def unfollow(self, session_key: str) -> None:
        """The socket wants no more of a session, however it was spelled."""
        wanted = self._keys.canonical(session_key)
        for key in [one for one in self._sessions if self._keys.canonical(one) == wanted]:
            self._drop(key)

    def _drop(self, session_key: str) -> None:
        del self._sessions[session_key]
        self._count(self._keys)
        for run in self._runs.values():
            run.whole = run.whole and run.session in self._followed

    def _count(self, keys: SessionKeys) -> None:
        self._keys, self._followed = keys, frozenset(map(keys.canonical, self._sessions))

    def passes(self, event: Event, keys: SessionKeys = FRESH) -> bool:
        """Tells whether the socket may see this event of a run; to be asked of every one, in order.

        Args:
            event: `chat` or `agent`.
            keys: how the gateway spells sessions now.
        """
        if keys != self._keys:
            self._count(keys)
        payload = object_of(event.payload)
        spelled, run, agent = text_of(payload, "sessionKey"), text_of(payload, "runId"), text_of(payload, "agentId")
        if spelled is None or run is None or max(map(len, (spelled, run, agent or ""))) > MAX_NAME_CHARS:
            return False
        session = keys.canonical(of_agent(spelled, agent))
        if session not in self._followed:
            return False
        return self._shows(_Key(event.event, spelled, agent or "", run), session, payload)

    def _shows(self, key: _Key, session: str, payload: JsonObject) -> bool:
        if key.event == "chat" and payload.get("state") in _ENDS:
            self._runs.pop(key, None)
            return True
        words, known = _words_of(key.event, payload), self._runs.get(key)
        if words is None:
            return known is None or known.whole
        if known is None:
            known = self._remember(key, session, whole=words.first)
        known.whole = known.whole and _continues(known, words)
        return known.whole

    def _remember(self, key: _Key, session: str, *, whole: bool) -> _Run:
        while len(self._runs) >= MAX_RUNS:
            del self._runs[next(iter(self._runs))]
        self._runs[key] = _Run(session, whole)
        return self._runs[key]

    def missed(self, event: Event) -> None:
        """An event was kept from the socket for another reason: if it is of a run, that has a gap now."""
        run = text_of(event.payload, "runId")
        for key, known in self._runs.items():
            known.whole = known.whole and key.run != run

    def gap(self) -> None:
        """Events were missed: what is running now has lost its beginning."""
        for run in self._runs.values():
            run.whole = False


def _continues(run: _Run, words: _Words) -> bool:
    if words.carried and len(run.texts) < MAX_TEXTS and len(words.text) <= MAX_NAME_CHARS:
        run.texts.add(words.text)
    return words.text in run.texts


def _words_of(name: str, payload: JsonObject) -> _Words | None:
    if name == "chat":
        carried = isinstance(payload.get("message"), dict)
        return _Words(_CHAT_TEXT, carried, carried) if payload.get("state") == "delta" else None
    data = object_of(payload.get("data"))
    if payload.get("stream") != "assistant" or not data.keys() & {"text", "delta"}:
        return None
    text, delta = data.get("text"), data.get("delta")
    carried = isinstance(text, str)
    alone = delta is None or text == delta or data.get("replace") is True
    return _Words(text_of(data, "itemId") or "", carried, carried and alone)
