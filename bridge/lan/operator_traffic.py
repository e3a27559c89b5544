"""Pure: what the operator socket of a phone does: a closed list of methods, and runs of the sessions it opened."""

from __future__ import annotations

from dataclasses import dataclass, field

from acl.engine import decide
from acl.model import MAIN_SESSION, Allow, Call, Direction, Policy, Subject
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
from bridge.lan.session_names import named_session, of_agent, session_keys, told_by_key
from bridge.lan.streams import RUN_EVENTS, RunFilter
from bridge.lan.traffic import Forwarding, Result, denied, refused, too_large_answer
from bridge.pairing.records import Role
from gateway_client.frames import Event, JsonObject, Request, Response, object_of, text_of

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
    _last_seq: int | None = None

    def on_request(self, request: Request, now: Instant) -> Result:
        """Decides a request and forwards it with the members that its method has."""
        policy, named = self.directory.policy, object_of(request.params)
        if request.method == "progressCard.get":
            named = told_by_key(named)
        decision = decide(policy, self.subject, self._call(request.method, named))
        if not isinstance(decision, Allow):
            return denied(request, decision, Role.OPERATOR)
        if request.method == "health":
            return [Send(answers.ok(request.id, {"ok": True, "ts": now.wall_ms}))]
        try:
            params = read_params(request.method, named)
        except node_calls.ParamsError as exc:
            # An app of another version: what it repeats (a message in its outbox) must not keep the whole phone out.
            return refused(request, answers.invalid(str(exc)), counts=False)
        if request.method in _SUBSCRIBING:
            return self._subscribe(request, params)
        result = self._go_on(request, params, decision, policy, now)
        if isinstance(result, list):
            self._follow(params)
        return result

    def _go_on(self, request: Request, params: JsonObject, allow: Allow, policy: Policy, now: Instant) -> Result:
        if request.method in session_lists.CUT:
            return self._send_cut(request, params, allow, policy, now)
        wait_s = node_calls.wait_for(params, default_s=30.0)
        return self._forwarding.send(request, Link.OPERATOR, params, allow, wait_s=wait_s)

    def _follow(self, params: JsonObject) -> None:
        session = text_of(params, "sessionKey", "key")
        if session is not None:
            self._runs.follow(of_agent(session, text_of(params, "agentId")))

    def _subscribe(self, request: Request, params: JsonObject) -> Result:
        on = _SUBSCRIBING[request.method]
        payload: JsonObject = {"subscribed": on}
        if "key" in params:
            payload["key"] = params["key"]
            if on:
                self._follow(params)
            else:
                self._runs.unfollow(of_agent(str(params["key"]), text_of(params, "agentId")))
        return [Send(answers.ok(request.id, payload))]

    def _call(self, name: str, fields: JsonObject, direction: Direction = Direction.FROM_OPERATOR) -> Call:
        if name == "chat.startup":  # without a key it is the main session's: of the agent that is named
            fields = {"sessionKey": MAIN_SESSION, **fields}
        session = named_session(fields, self.directory.gateway_hello)
        return Call(direction, name, session=session, text=text_of(fields, "message") if name == "chat.send" else None)

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
                self._last_seq = None
                return []
            case FromGateway(event=from_gateway):
                return self._on_gateway_event(from_gateway)
            case _:
                return []

    def _on_gateway_event(self, event: Event) -> list[Command]:
        self._count(event)
        call = self._call(event.event, object_of(event.payload), Direction.EVENT_TO_OPERATOR)
        if not isinstance(decide(self.directory.policy, self.subject, call), Allow):
            self._runs.missed(event)
            return []
        if event.event in RUN_EVENTS and not self._runs.passes(event, session_keys(self.directory.gateway_hello)):
            return []
        return [Send(rebuilt(event))]

    def _count(self, event: Event) -> None:
        """The gateway drops events when its buffers are full, and counts on: whatever they were, there is a gap."""
        if event.seq is None:
            return
        if self._last_seq is not None and event.seq != self._last_seq + 1:
            self._runs.gap()
        self._last_seq = event.seq

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
