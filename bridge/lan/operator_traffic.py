"""Pure: what the operator socket of a phone does: a closed list of methods, and runs of the sessions it opened."""

from __future__ import annotations

from dataclasses import dataclass, field

from acl.engine import decide
from acl.model import Allow, Call, Direction, Policy, Subject
from acl.refusals import counts
from bridge.lan import answers, node_calls, session_lists
from bridge.lan.directory import Directory
from bridge.lan.event_payloads import rebuilt
from bridge.lan.events import (
    Answered,
    Command,
    FromGateway,
    Gap,
    Instant,
    Link,
    LinkLost,
    Note,
    Oversized,
    Send,
    SessionEvent,
    Unanswered,
)
from bridge.lan.operator_params import read_params
from bridge.lan.session_names import named_session
from bridge.lan.streams import RunFilter
from bridge.lan.traffic import Forwarding, Result, refused, too_large_answer
from gateway_client.frames import Event, JsonObject, Request, Response, object_of, text_of

_RUN_EVENTS = frozenset({"chat", "agent"})
# Answered here: one connection serves all phones, so that one phone's word would act on the others, and would outlive
# it. The events of these subscriptions are in no table; runs are followed by the session that a phone asks about.
_SUBSCRIBING = {
    "sessions.subscribe": True,
    "sessions.messages.subscribe": True,
    "sessions.messages.unsubscribe": False,
}


@dataclass(slots=True)
class OperatorTraffic:
    """An open operator socket.

    Args:
        subject: whom the ACL sees, with the scopes that were granted.
        directory: what may be looked up.
    """

    subject: Subject
    directory: Directory
    background: bool = False
    _forwarding: Forwarding = field(default_factory=Forwarding)
    _runs: RunFilter = field(default_factory=RunFilter)

    def on_request(self, request: Request, now: Instant) -> Result:
        """Decides a request and forwards it with the members that its method has."""
        policy, named = self.directory.policy, object_of(request.params)
        decision = decide(policy, self.subject, self._call(request.method, named))
        if not isinstance(decision, Allow):
            return refused(request, answers.denied(decision, "operator"), counts=counts(decision, request.method))
        if request.method == "health":
            return [Send(answers.ok(request.id, {"ok": True, "ts": now.wall_ms}))]
        try:
            params = read_params(request.method, named)
        except node_calls.ParamsError as exc:
            return refused(request, answers.invalid(str(exc)))
        session = text_of(params, "sessionKey", "key")
        if session is not None and _SUBSCRIBING.get(request.method, True):
            self._runs.follow(session)
        if request.method in _SUBSCRIBING:
            return [Send(answers.ok(request.id, _subscribed(_SUBSCRIBING[request.method], session)))]
        if request.method in session_lists.CUT:
            return self._send_cut(request, params, decision, policy, now)
        wait_s = node_calls.wait_for(params, default_s=30.0)
        return self._forwarding.send(request, Link.OPERATOR, params, decision, wait_s=wait_s)

    def _call(self, name: str, fields: JsonObject, direction: Direction = Direction.FROM_OPERATOR) -> Call:
        return Call(direction, name, session=named_session(fields, self.directory.gateway_hello))

    def _send_cut(self, request: Request, params: JsonObject, allow: Allow, policy: Policy, now: Instant) -> Result:
        method = request.method

        def may(fields: JsonObject) -> bool:
            """By the policy of the call, also when the answer comes under another one."""
            return isinstance(decide(policy, self.subject, self._call(method, fields)), Allow)

        asked = session_lists.cut_params(method, params, may)
        if asked is None:
            return [Send(answers.ok(request.id, session_lists.no_previews(params, may, {"ts": now.wall_ms})))]
        shape = session_lists.cut_answer(method, params, may)
        return self._forwarding.send(request, Link.OPERATOR, asked, allow, reshape=shape)

    def on_event(self, event: SessionEvent, _now: Instant) -> list[Command]:
        """Takes what the gateway's side has to say."""
        match event:
            case Answered():
                return self._forwarding.answered(event)
            case Unanswered():
                return self._forwarding.unanswered(event)
            case LinkLost() | Gap():
                self._runs.gap()
                return []
            case FromGateway(event=from_gateway):
                return self._on_gateway_event(from_gateway)
            case _:
                return []

    def _on_gateway_event(self, event: Event) -> list[Command]:
        call = self._call(event.event, object_of(event.payload), Direction.EVENT_TO_OPERATOR)
        decision = decide(self.directory.policy, self.subject, call)
        if not isinstance(decision, Allow) or (event.event in _RUN_EVENTS and not self._runs.passes(event)):
            return []
        return [Send(rebuilt(event))]

    def on_oversized(self, event: Oversized, _now: Instant) -> list[Command]:
        """Answers what the peer cannot take."""
        if isinstance(event.frame, Response):
            return too_large_answer(event.frame)
        self._runs.gap()
        return [Note("event-too-large", {"bytes": event.size})]

    def on_timer(self, _now: Instant) -> list[Command]:
        """Nothing of an operator socket waits for time."""
        return []

    def on_lost(self, _now: Instant) -> list[Command]:
        """Nothing has to be finished: answers that still come are dropped."""
        return []

    def next_deadline(self) -> float | None:
        """Never."""
        return None


def _subscribed(on: bool, session: str | None) -> JsonObject:
    return {"subscribed": on} if session is None else {"subscribed": on, "key": session}
