"""Pure: which pairing request a person is asked about, and when (design §6, "Prompts").

One prompt is visible, three are queued, the rest waits on the desk until there is a place. A request gets one prompt,
ever: when nobody answers it stays pending without a second one. Prompts without a code stop after three of them ended
badly, until a person opens the window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

TIMEOUT_S = 120.0  # seconds for which a prompt is visible; as long as a phone's own ceremony
MAX_QUEUED = 3  # prompts that wait behind the visible one
PAUSE_S = 2.0  # seconds between two prompts, so that a click meant for one does not fall on the next
STOP_AFTER = 3  # prompts without a code that ended badly ...
STOP_WITHIN_S = 600.0  # ... within so many seconds, after which no more of them are shown
MAX_KNOWN = 128  # requests remembered here, about 300 bytes each; the desk holds 32 of strangers


class Ending(StrEnum):
    """How a request came to be pending no more."""

    APPROVED = "approved"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"
    """The device's doing: it went away, or its request was replaced."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A request that a person may be asked about.

    Attributes:
        id: the request's id.
        code_less: whether there is no code to type.
        invited: whether a person had opened the window when the device tried.
        stranger: whether it is not in yet; only such are "another device that is trying".
    """

    id: str
    code_less: bool
    invited: bool = False
    stranger: bool = True


@dataclass(frozen=True, slots=True)
class Show:
    """Show this request, instead of anything that is visible.

    Attributes:
        id: the request's id.
        others: how many other devices are trying.
        until: monotonic seconds at which the prompt ends.
    """

    id: str
    others: int
    until: float


@dataclass(frozen=True, slots=True)
class Close:
    """Take the prompt of this request away."""

    id: str


Command: TypeAlias = Show | Close


@dataclass(frozen=True, slots=True)
class _Visible:
    candidate: Candidate
    until: float
    warned: bool
    held: bool = False


class PromptRules:
    """The prompts of one bridge. Time is given, in monotonic seconds; every change returns what to do about it.

    Args:
        timeout_s: seconds for which a prompt is visible.
        pause_s: seconds between two prompts.
    """

    def __init__(self, timeout_s: float = TIMEOUT_S, pause_s: float = PAUSE_S) -> None:
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._waiting: dict[str, Candidate] = {}
        self._asked: dict[str, Candidate] = {}
        self._visible: _Visible | None = None
        self._free_at = float("-inf")
        self._ended_badly: deque[float] = deque(maxlen=STOP_AFTER)
        self.stopped = False
        """Whether prompts without a code wait for a person to open the window."""

    @property
    def queued(self) -> tuple[str, ...]:
        """The requests that are shown next: at most `MAX_QUEUED`, those first that a person invited."""
        able = [each for each in self._waiting.values() if not (self.stopped and each.code_less)]
        return tuple(each.id for each in sorted(able, key=lambda each: not each.invited)[:MAX_QUEUED])

    def knows(self, request_id: str) -> bool:
        """Tells whether this request is one of ours."""
        return request_id in self._waiting or request_id in self._asked or bool(self._visible_as(request_id))

    def offer(self, candidate: Candidate, now: float) -> Sequence[Command]:
        """A request waits for a person. The retry of a known one changes nothing, unless the window is open by now."""
        known = self._waiting.get(candidate.id)
        if known is not None:
            self._waiting[candidate.id] = replace(known, invited=known.invited or candidate.invited)
        elif not self.knows(candidate.id) and self._count() < MAX_KNOWN:
            self._waiting[candidate.id] = candidate
        return self._next(now)

    def put_off(self, request_id: str, now: float) -> Sequence[Command]:
        """The visible prompt ended and nobody decided: its request stays pending and gets no other."""
        visible = self._visible_as(request_id)
        if visible is None:
            return ()
        self._asked[request_id] = visible.candidate
        self._take_away(now)
        self._note_bad_end(visible.candidate, now)
        return (Close(request_id), *self._next(now))

    def end(self, request_id: str, how: Ending, now: float) -> Sequence[Command]:
        """A request is pending no more, whoever decided it."""
        self._waiting.pop(request_id, None)
        self._asked.pop(request_id, None)
        visible = self._visible_as(request_id)
        if visible is None:
            return self._next(now)
        self._take_away(now)
        if how is not Ending.APPROVED:
            self._note_bad_end(visible.candidate, now)
        return (Close(request_id), *self._next(now))

    def hold(self, request_id: str) -> None:
        """The person has answered and the answer is being carried out: the prompt does not time out meanwhile."""
        visible = self._visible_as(request_id)
        if visible is not None:
            self._visible = replace(visible, held=True)

    def ask_again(self, request_id: str, now: float) -> Sequence[Command]:
        """The answer could not be taken: the same prompt again, for as long as it had left."""
        visible = self._visible_as(request_id)
        if visible is None:
            return ()
        self._visible = replace(visible, held=False, warned=self._others() > 0)
        if now >= visible.until:
            return self.put_off(request_id, now)
        return (Show(request_id, self._others(), visible.until),)

    def open_window(self, now: float) -> Sequence[Command]:
        """A person invites devices: what ended badly is forgotten."""
        self.stopped = False
        self._ended_badly.clear()
        return self._next(now)

    def tick(self, now: float) -> Sequence[Command]:
        """Time has passed."""
        if self._visible is not None and not self._visible.held and now >= self._visible.until:
            return self.put_off(self._visible.candidate.id, now)
        return self._next(now)

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, in monotonic seconds; None: not before something else happens."""
        if self._visible is not None:
            return None if self._visible.held else self._visible.until
        return self._free_at if self.queued else None

    def _next(self, now: float) -> Sequence[Command]:
        """Fill an empty place, or warn the person at the visible prompt, once, that it is not the only device."""
        if self._visible is not None:
            if self._visible.held or self._visible.warned or not self._others():
                return ()
            self._visible = replace(self._visible, warned=True)
            return (Show(self._visible.candidate.id, self._others(), self._visible.until),)
        if now < self._free_at or not self.queued:
            return ()
        candidate = self._waiting.pop(self.queued[0])
        others = self._others()
        self._visible = _Visible(candidate, now + self._timeout_s, warned=others > 0)
        return (Show(candidate.id, others, self._visible.until),)

    def _others(self) -> int:
        """Count the devices that are trying beside the visible one; the ones that were put off still are."""
        return sum(each.stranger for known in (self._waiting, self._asked) for each in known.values())

    def _count(self) -> int:
        return len(self._waiting) + len(self._asked) + (self._visible is not None)

    def _visible_as(self, request_id: str) -> _Visible | None:
        return self._visible if self._visible is not None and self._visible.candidate.id == request_id else None

    def _take_away(self, now: float) -> None:
        self._visible = None
        self._free_at = now + self._pause_s

    def _note_bad_end(self, candidate: Candidate, now: float) -> None:
        if not candidate.code_less:
            return
        self._ended_badly.append(now)
        if len(self._ended_badly) == STOP_AFTER and now - self._ended_badly[0] < STOP_WITHIN_S:
            self.stopped = True
