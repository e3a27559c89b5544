"""Pure: the sessions whose chat a node follows. The gateway forgets them with its connection; the bridge does not."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.lan.session_names import SessionKeys
from bridge.lan.streams import MAX_SESSIONS, RunFilter
from gateway_client.frames import Event, Json, JsonObject, text_of


@dataclass(slots=True)
class Subscriptions:
    """What a node has subscribed to, and what of it has to be said again on a new link: one after the other."""

    _sessions: dict[str, None] = field(default_factory=dict)
    _left: list[str] = field(default_factory=list)
    saying: str | None = None
    """The key of the one that is being said again."""
    _runs: RunFilter = field(default_factory=RunFilter)

    def ask(self, session: str, on: bool) -> None:
        """The node asks for a subscription, or for its end: what it may see follows at once."""
        if on:
            self._runs.follow(session)
            return
        self._runs.unfollow(session)  # ended, whether the gateway hears of it now or not, and however it was spelled
        self._sessions = {one: None for one in self._sessions if self._runs.follows(one)}
        self._left = [one for one in self._left if self._runs.follows(one)]

    def passes(self, event: Event, keys: SessionKeys) -> bool:
        """Tells whether the node may see an event of a run: the link may carry what an earlier socket asked for."""
        return self._runs.passes(event, keys)

    def missed(self, event: Event) -> None:
        """An event was kept from the node: a run that it belongs to has a gap now."""
        self._runs.missed(event)

    def gap(self) -> None:
        """Events of the link were lost."""
        self._runs.gap()

    def taken(self, session: str) -> None:
        """The gateway has taken a subscription; one that the node has left meanwhile stays ended."""
        if not self._runs.follows(session):
            return
        self._sessions.pop(session, None)
        while len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[session] = None

    def begin(self) -> None:
        """The link is a new one: everything has to be said again."""
        self._left = list(self._sessions)

    def next_to_say(self, key: str) -> JsonObject | None:
        """Returns the parameters of the next `node.event`, to be known by `key`; None: nothing is left, or not now."""
        if self.saying is not None or not self._left:
            return None
        self.saying = key
        return {"event": "chat.subscribe", "payload": {"sessionKey": self._left.pop(0)}}

    def said(self) -> None:
        """The one that was being said is over, whatever came of it."""
        self.saying = None


def subscription(name: str, payload: Json) -> tuple[str, bool] | None:
    """Returns the session that an event is about and whether it is followed from now on; None: it is about none."""
    session = text_of(payload, "sessionKey")
    return (session, name == "chat.subscribe") if session and name in {"chat.subscribe", "chat.unsubscribe"} else None
