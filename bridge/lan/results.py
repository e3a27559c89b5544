"""Pure: results of a node on their way to the gateway. Each is taken there, or its invoke is ended in another way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from acl.model import Allow
from bridge.lan import answers
from bridge.lan.events import (
    Answered,
    Command,
    Fault,
    Forward,
    Instant,
    Link,
    Note,
    Report,
    Send,
    Unanswered,
)
from bridge.upstream.outcomes import Invoke
from gateway_client.frames import JsonObject, Request, Response

RESULT_TRIES = 3  # times a result that the gateway refuses for a moment is sent again (design §11)
RESULT_RETRY_S = 0.25  # seconds between them
RESULT_WAIT_S = 15.0  # seconds for the gateway to take a result

# What these say is that the link has ended, and with it, at the gateway, every invoke of the node.
_LINK_ENDED = frozenset({Fault.DOWN, Fault.GONE})


@dataclass(frozen=True, slots=True)
class _Waiting:
    forward: Forward
    request_id: str | None
    invoke: Invoke
    tries: int = RESULT_TRIES

    def in_time(self, now: Instant) -> bool:
        """Whether somebody will still wait for the result when it is sent again."""
        return now.mono + RESULT_RETRY_S < self.invoke.deadline

    def told(self, answer: Response) -> list[Command]:
        """Returns the answer to the node's request, if this one stands for it."""
        return [] if self.request_id is None else [Send(replace(answer, id=self.request_id))]


@dataclass(slots=True)
class Results:
    """The results that the gateway has not answered.

    There are never more than dispatches can be open: an invoke keeps its place until its result is taken, and each of
    those that shared its job keeps its place among the sharers.
    """

    _waiting: dict[str, _Waiting] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many results of the node there are; copies for those that shared a job are not counted."""
        return sum(waiting.request_id is not None for waiting in self._waiting.values())

    @property
    def copies(self) -> int:
        """How many there are for those that shared a job."""
        return len(self._waiting) - len(self)

    def __contains__(self, key: str) -> bool:
        return key in self._waiting

    def send(self, key: str, request: Request | None, invoke: Invoke, params: JsonObject, allow: Allow) -> Forward:
        """Sends a result for the first time.

        Args:
            key: what its answer will be known by.
            request: the node's; None: another result answers it, and this is a copy for a dispatch that shared the job.
            invoke: what it ends.
            params: rebuilt parameters.
            allow: the proof.
        """
        forward = Forward(Link.NODE, key, "node.invoke.result", params, allow, RESULT_WAIT_S, owed=True)
        self._waiting[key] = _Waiting(forward, request.id if request is not None else None, invoke)
        return forward

    def answered(self, event: Answered, now: Instant) -> list[Command]:
        """The gateway has answered: the result is taken, or it is sent again, or the node is told why not."""
        waiting = self._waiting.pop(event.key)
        error = event.response.error
        changed = error is not None and error.detail("code") == "PAIRING_CHANGED"
        if changed and waiting.tries > 0 and waiting.in_time(now):
            return [self._again(replace(waiting, tries=waiting.tries - 1))]
        return waiting.told(Response("", event.response.ok, event.response.payload, error))

    def lost(self, event: Unanswered, now: Instant) -> list[Command]:
        """There is no answer: both sides are told the same, unless the gateway has ended the invoke itself."""
        waiting = self._waiting.pop(event.key)
        if event.fault is Fault.BUSY and waiting.in_time(now):
            return [self._again(waiting)]
        noted = Note("result-lost", {"command": waiting.invoke.command, "why": event.fault.value})
        if event.fault in _LINK_ENDED:
            ignored: JsonObject = {"ok": True, "ignored": True}
            return [noted, *waiting.told(answers.ok("", ignored))]
        error = answers.fault(event.fault)
        return [noted, Report(waiting.invoke.id, error), *waiting.told(answers.failure("", error))]

    def _again(self, waiting: _Waiting) -> Forward:
        again = replace(waiting.forward, delay_s=RESULT_RETRY_S)
        self._waiting[again.key] = replace(waiting, forward=again)
        return again
