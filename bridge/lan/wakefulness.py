"""Pure: what a node's own word says of the commands that need somebody to look at it (design §11)."""

from __future__ import annotations

from dataclasses import dataclass

from acl.permissions import FOREGROUND_FAMILIES
from gateway_client.frames import Json, object_of

RETRY_MS = 30_000  # milliseconds: a phone that went to the background is rarely back sooner
MIN_RETRY_MS, MAX_RETRY_MS = 1_000, 600_000  # a node's own word is taken within a second and ten minutes
APP_WORD_S = 60.0  # seconds: an app that is still connected so long after it said `background` may be back (ADR 16)
_STATES = {"foreground": True, "background": False}
# Which of the two switches of `node.state` a family goes by; the camera goes by the state alone.
_SWITCHES = {"screen.": "screen", "canvas.": "screen", "talk.": "voice"}


@dataclass(frozen=True, slots=True)
class Wakefulness:
    """What works on a node now.

    Attributes:
        foreground: whether it is in the foreground, or has not said that it is not.
        screen: whether `screen.*` and `canvas.*` work.
        voice: whether `talk.*` works.
        retry_after_ms: milliseconds after which what does not work is worth another try.
        until: monotonic seconds until which this is believed; None: until it says otherwise.
    """

    foreground: bool = True
    screen: bool = True
    voice: bool = True
    retry_after_ms: int = RETRY_MS
    until: float | None = None

    def can_do(self, command: str) -> bool:
        """Whether a command works now. Those that need nobody to look always do."""
        family = next((name for name in FOREGROUND_FAMILIES if command.startswith(name)), None)
        match _SWITCHES.get(family or ""):
            case "screen":
                return self.screen
            case "voice":
                return self.voice
            case _:
                return self.foreground or family is None


AWAKE = Wakefulness()


def app_asleep(now: float) -> Wakefulness:
    """Returns what an app's `node.presence.alive` with the trigger `background` says."""
    return Wakefulness(False, False, False, until=now + APP_WORD_S)


def read_state(payload: Json) -> Wakefulness | None:
    """Reads the payload of `node.state`; None when it is none.

    `{"state": "foreground" | "background", "screen"?: bool, "voice"?: bool, "retryAfterMs"?: milliseconds}`: what is
    not said of screen and voice follows the state.
    """
    fields = object_of(payload)
    state = fields.get("state")
    foreground = _STATES.get(state) if isinstance(state, str) else None
    screen, voice = fields.get("screen", foreground), fields.get("voice", foreground)
    retry = fields.get("retryAfterMs", RETRY_MS)
    if foreground is None or not isinstance(screen, bool) or not isinstance(voice, bool):
        return None
    if isinstance(retry, bool) or not isinstance(retry, int) or retry < 0:
        return None
    return Wakefulness(foreground, screen, voice, min(max(retry, MIN_RETRY_MS), MAX_RETRY_MS))
