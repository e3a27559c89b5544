"""Pure: the sessions whose chat a node follows. The gateway forgets them with its connection; the bridge does not."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.lan.streams import MAX_SESSIONS
from gateway_client.frames import Json, JsonObject, text_of

MAX_KEY_CHARS = 512  # of a session's key: 64 keys are 32 KiB at most


@dataclass(slots=True)
class Subscriptions:
    """What a node has subscribed to, and what of it has to be said again on a new link: one after the other."""

    _sessions: dict[str, None] = field(default_factory=dict)
    _left: list[str] = field(default_factory=list)
    saying: str | None = None
    """The key of the one that is being said again."""

    @property
    def sessions(self) -> list[str]:
        """The sessions that are followed."""
        return list(self._sessions)

    def note(self, session: str, on: bool) -> None:
        """The gateway has taken a subscription, or has been told its end."""
        self._sessions.pop(session, None)
        if not on:
            self._left = [one for one in self._left if one != session]
        elif len(session) <= MAX_KEY_CHARS:
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
