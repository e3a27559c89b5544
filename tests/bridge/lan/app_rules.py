"""What an app does with the events of runs (mobile-clients §3.6): it drops its socket when its rules are broken.

Written from the app's side and without the product's code: the strictest reading of each rule.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Place = tuple[str, ...]


class Dropped(AssertionError):
    """The app would drop its socket."""


@dataclass
class App:
    """The reading side of one socket.

    Attributes:
        texts: what it shows, by stream, run, session, agent and text.
        seen: the numbers of the words it was told (`n`, which only these tests send), by stream and run.
        ended: the runs whose end it was told.
    """

    texts: dict[Place, str] = field(default_factory=dict)
    seen: dict[Place, list[int]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    _based: set[Place] = field(default_factory=set)
    _last_seq: int | None = None

    def take(self, frame: Json) -> None:
        """Reads one frame.

        Raises:
            Dropped: it breaks a rule.
        """
        if "seq" in frame:
            if self._last_seq is not None and frame["seq"] > self._last_seq + 1:
                raise Dropped("sequence gap")
            self._last_seq = frame["seq"]
        match frame.get("event"):
            case "chat":
                self._chat(frame["payload"])
            case "agent":
                self._agent(frame["payload"])

    def _chat(self, payload: Json) -> None:
        place = ("chat", payload["runId"], payload["sessionKey"], payload.get("agentId", ""))
        if payload["state"] != "delta":
            self.ended |= {payload["runId"]} if payload["state"] != "status" else set()
            return
        if payload.get("message") is not None:
            self._based.add(place)
            self.texts[place] = payload["message"]["content"]
        elif payload.get("replace") is True:
            self.texts[place] = payload["deltaText"]
        elif place in self._based:
            self.texts[place] += payload["deltaText"]
        else:
            raise Dropped(f"live text baseline missing: {payload}")
        self.seen.setdefault(("chat", payload["runId"]), []).append(payload["usage"]["n"])

    def _agent(self, payload: Json) -> None:
        if payload["stream"] != "assistant":
            return
        data = payload["data"]
        place = ("agent", payload["runId"], payload["sessionKey"], data.get("itemId", ""))
        if data.get("text") is not None:
            self._based.add(place)
            self.texts[place] = data["text"]
        elif place in self._based:
            self.texts[place] += data["delta"]
        else:
            raise Dropped(f"live text baseline missing: {payload}")
        self.seen.setdefault(("agent", payload["runId"]), []).append(data["n"])
