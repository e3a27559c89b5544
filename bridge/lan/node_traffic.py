"""Pure: what an open node socket does: its requests upwards, the agent's invokes downwards (gateway-protocol §§5-8).

One table maps each method to its handler; every request meets `acl.engine.decide` first. The invokes themselves are
in `node_invokes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from acl.engine import decide
from acl.model import Allow, Call, Direction, Subject
from acl.permissions import Permission
from bridge.lan import answers, node_calls, node_events
from bridge.lan.directory import Directory
from bridge.lan.event_payloads import rebuilt
from bridge.lan.events import (
    Answered,
    Command,
    Forward,
    FromGateway,
    Gap,
    Instant,
    Link,
    LinkLost,
    LinkReady,
    Note,
    Oversized,
    Send,
    SessionEvent,
    Unanswered,
)
from bridge.lan.lan_invokes import LanInvokes
from bridge.lan.node_invokes import NodeInvokes
from bridge.lan.screen_guard import ScreenGuard
from bridge.lan.screen_params import ScreenCaps
from bridge.lan.session_names import named_session, session_keys
from bridge.lan.streams import RUN_EVENTS
from bridge.lan.subscriptions import Subscriptions
from bridge.lan.traffic import Forwarding, Result, denied, refused, too_large_answer
from bridge.lan.wakefulness import app_asleep
from bridge.pairing.records import NodeRecord, Role
from gateway_client.frames import ErrorShape, Event, Json, JsonObject, Request, Response, object_of, text_of

_PUBLISHING = frozenset({"node.pluginTools.update", "node.skills.update", "node.runnerInventory.update"})


@dataclass(slots=True)
class NodeTraffic:
    """An open node socket.

    Args:
        subject: whom the ACL sees.
        record: the stored node.
        offered: the commands offered to the gateway on this connection.
        directory: what may be looked up.
        aliases: offered commands that the device does not know -> those that stand for them.
    """

    subject: Subject
    record: NodeRecord
    offered: frozenset[str]
    directory: Directory
    aliases: Mapping[str, str] = field(default_factory=dict)
    _forwarding: Forwarding = field(default_factory=Forwarding)
    _invokes: NodeInvokes = field(init=False)
    _lan_invokes: LanInvokes = field(init=False)
    _subscriptions: Subscriptions = field(default_factory=Subscriptions)
    _fetched: Counter[str] = field(default_factory=Counter)  # commands in the answer to a pull, until they are told of
    _refused_actions: dict[str, str] = field(default_factory=dict)  # id -> command
    _acknowledging: str | None = None

    def __post_init__(self) -> None:
        limits = self.directory.allowance(self.subject.node_id).limits
        caps = ScreenCaps(limits.eval_max_bytes, limits.snapshot_max_bytes)
        screen = ScreenGuard(self.subject, self.directory.screen(self.subject.node_id), self.aliases, caps)
        self._invokes = NodeInvokes(self.subject, self.record, self.offered, self.directory, screen)
        self._lan_invokes = LanInvokes(self.subject.node_id, self.directory, self._forwarding)

    @property
    def background(self) -> bool:
        """Whether the node said that it is in the background."""
        return not self._invokes.wakefulness.foreground

    # Requests of the node.

    def on_request(self, request: Request, now: Instant) -> Result:
        """Decides a request, then hands it to its method's handler."""
        handler = _HANDLERS.get(request.method)
        call = node_calls.call_of(request, self.directory.gateway_hello)
        decision = decide(self.directory.policy, self.subject, call)
        if not isinstance(decision, Allow):
            return denied(request, decision, Role.NODE)
        if handler is None:
            return refused(request, answers.unauthorized_role("node"))
        return handler(self, request, decision, now)

    def _health(self, request: Request, _allow: Allow, now: Instant) -> Result:
        return [Send(answers.ok(request.id, {"ok": True, "ts": now.wall_ms}))]

    def _publish(self, request: Request, _allow: Allow, _now: Instant) -> Result:
        # Skills and tools of a node become the agent's own words: they stay here, and the node host is content with ok.
        payload: JsonObject = {"bins": []} if request.method == "skills.bins" else {"ok": True}
        return [Send(answers.ok(request.id, payload))]

    def _surface_refresh(self, request: Request, _allow: Allow, _now: Instant) -> Result:
        error = ErrorShape("UNAVAILABLE", "plugin surface unavailable")
        return [Send(answers.failure(request.id, error))]

    def _result(self, request: Request, allow: Allow, now: Instant) -> Result:
        return self._invokes.result(request, f"r{self._forwarding.next_key()}", allow, now)

    def _progress(self, request: Request, allow: Allow, _now: Instant) -> Result:
        try:
            params = node_calls.progress_params(request.params, self.subject.node_id, self.record.gateway_node_id)
        except node_calls.ParamsError as exc:
            return refused(request, answers.invalid(str(exc)))
        listener = self._invokes.heard_by(str(params["invokeId"]))
        if listener is None:
            ignored: JsonObject = {"ok": True, "ignored": True}
            return [Send(answers.ok(request.id, ignored))]
        return self._forwarding.send(request, Link.NODE, {**params, "invokeId": listener}, allow, owed=True)

    def _event(self, request: Request, _allow: Allow, now: Instant) -> Result:
        policy, gateway_hello = self.directory.policy, self.directory.gateway_hello
        outcome = node_events.read_event(request.params, self.subject, policy, gateway_hello)
        match outcome:
            case node_events.Bad(message=message):
                return refused(request, answers.invalid(message))
            case node_events.Answer(payload=payload):
                answer = Send(answers.ok(request.id, payload))
                name = payload["event"] if payload.get("reason") == node_events.NOT_PERMITTED else None
                return [answer] if name is None else [Note("event-refused", {"what": name}), answer]
            case node_events.State(wakefulness=wakefulness, name=name):
                self._invokes.wakefulness = wakefulness
                return [Send(answers.ok(request.id, node_events.handled(name)))]
            case node_events.Pass():
                return self._pass_event(request, outcome, now)

    def _pass_event(self, request: Request, event: node_events.Pass, now: Instant) -> Result:
        if event.background:
            self._invokes.wakefulness = app_asleep(now.mono)
        session, on = event.subscription or ("", False)
        if event.subscription is not None:
            self._subscriptions.ask(session, on)

        def shape(response: Response) -> Response:
            if on and response.ok:
                self._subscriptions.taken(session)
            return event.shape(response)

        return self._forwarding.send(
            request, Link.NODE, event.params, event.allow, reshape=shape, on_fault=event.on_fault
        )

    def _subscribe_again(self) -> list[Command]:
        key = f"s{self._forwarding.next_key()}"
        while (params := self._subscriptions.next_to_say(key)) is not None:
            session = named_session(object_of(params["payload"]), self.directory.gateway_hello)
            call = Call(Direction.NODE_EVENT, "chat.subscribe", session=session)
            decision = decide(self.directory.policy, self.subject, call)
            if isinstance(decision, Allow):
                return [Forward(Link.NODE, key, "node.event", params, decision, owed=True)]
            self._subscriptions.said()
        return []

    def _pull(self, request: Request, allow: Allow, _now: Instant) -> Result:
        self._invokes.woken()
        return self._forwarding.send(request, Link.NODE, {}, allow, reshape=self._own_actions)

    def _own_actions(self, response: Response) -> Response:
        actions = object_of(response.payload).get("actions")
        if not response.ok or not isinstance(actions, list):
            return response
        granted = [action for action in actions if self._may_do(action)]
        known: list[Json] = [node_calls.own_action(action) for action in granted]
        admitted = self._invokes.screen.actions(known, self.directory.policy)
        kept: list[Json] = [action for action in admitted if action is not None]
        self._fetched.update(text_of(action, "command") or "" for action in kept)
        kept_ids = {text_of(action, "id") for action in kept}
        for action in actions:
            name, has_room = text_of(action, "id"), len(self._refused_actions) < node_calls.MAX_PENDING_IDS
            if name and name not in kept_ids and has_room:
                self._refused_actions.setdefault(name, text_of(action, "command") or "")
        return Response(response.id, True, {"nodeId": self.subject.node_id, "actions": kept})

    def _may_do(self, action: Json) -> bool:
        return self._invokes.may_do(text_of(action, "command") or "")

    def _pending(self, request: Request, allow: Allow, _now: Instant) -> Result:
        try:
            params = node_calls.pending_params(request.method, request.params)
        except node_calls.ParamsError as exc:
            return refused(request, answers.invalid(str(exc)))
        return self._forwarding.send(request, Link.NODE, params, allow, reshape=self._own_node_id)

    def _own_node_id(self, response: Response) -> Response:
        payload = object_of(response.payload)
        if "nodeId" not in payload:
            return response
        return Response(response.id, response.ok, {**payload, "nodeId": self.subject.node_id}, response.error)

    def _list(self, request: Request, allow: Allow, _now: Instant) -> Result:
        everything = Permission.NODES in self.subject.permissions
        ids = self.directory.lan_ids()

        def shape(response: Response) -> Response:
            return node_calls.own_list(response, ids, None if everything else self.subject.node_id)

        return self._forwarding.send(request, Link.OPERATOR, {}, allow, reshape=shape)

    def _invoke(self, request: Request, allow: Allow, now: Instant) -> Result:
        return self._lan_invokes.invoke(request, allow, now)

    def _agent(self, request: Request, allow: Allow, _now: Instant) -> Result:
        try:
            params = node_calls.agent_params(request.method, request.params)
        except node_calls.ParamsError as exc:
            return refused(request, answers.invalid(str(exc)))
        wait_s = None if request.method == "agent" else node_calls.wait_for(request.params, default_s=30.0)
        return self._forwarding.send(request, Link.OPERATOR, params, allow, wait_s=wait_s)

    def _voicewake(self, request: Request, allow: Allow, _now: Instant) -> Result:
        return self._forwarding.send(request, Link.OPERATOR, {}, allow)

    # What comes from the gateway.

    def on_event(self, event: SessionEvent, now: Instant) -> list[Command]:
        """Takes what the gateway's side has to say."""
        match event:
            case Answered(key=key) | Unanswered(key=key) if self._invokes.awaits(key):
                return self._invokes.answered(event, now)
            case Answered(key=key) | Unanswered(key=key) if key == self._acknowledging:
                self._acknowledging = None
                return self._acknowledge_refused()
            case Answered(key=key) | Unanswered(key=key) if key == self._subscriptions.saying:
                self._subscriptions.said()
                return self._subscribe_again()
            case LinkReady():
                self._subscriptions.begin()
                return self._subscribe_again()
            case Answered():
                told = self._forwarding.answered(event)
                told += self._lan_invokes.settled(event, told, now)
                return [*told, *self._note_fetched(), *self._acknowledge_refused()]
            case Unanswered():
                told = self._forwarding.unanswered(event)
                return [*told, *self._lan_invokes.settled(event, told, now)]
            case FromGateway(event=from_gateway):
                return self._on_gateway_event(from_gateway, now)
            case LinkLost():
                self._subscriptions.gap()
                return self._invokes.link_lost()
            case Gap():
                self._subscriptions.gap()
                return []
            case _:
                return []

    def _note_fetched(self) -> list[Command]:
        fetched, self._fetched = self._fetched, Counter()
        return [Note("pending-fetched", {"command": each, "count": count}) for each, count in fetched.items()]

    def _acknowledge_refused(self) -> list[Command]:
        if not self._refused_actions or self._acknowledging is not None:
            return []
        ids, commands = list[Json](self._refused_actions), list[Json](sorted(set(self._refused_actions.values())))
        self._refused_actions.clear()
        noted = Note("pending-refused", {"count": len(ids), "commands": commands})
        decision = decide(self.directory.policy, self.subject, Call(Direction.FROM_NODE, "node.pending.ack"))
        if not isinstance(decision, Allow):
            return [noted]
        self._acknowledging = f"a{self._forwarding.next_key()}"
        return [noted, Forward(Link.NODE, self._acknowledging, "node.pending.ack", {"ids": ids}, decision, owed=True)]

    def _on_gateway_event(self, event: Event, now: Instant) -> list[Command]:
        if event.event == "node.invoke.request":
            return self._invokes.invoked(event.payload, now)
        session = named_session(object_of(event.payload), self.directory.gateway_hello)
        call = Call(Direction.EVENT_TO_NODE, event.event, session=session)
        if not isinstance(decide(self.directory.policy, self.subject, call), Allow):
            self._subscriptions.missed(event)
            return []
        if event.event in RUN_EVENTS and not self._subscriptions.passes(
            event, session_keys(self.directory.gateway_hello)
        ):
            return []
        match event.event:
            case "node.invoke.cancel":
                return self._invokes.cancelled(event.payload, now)
            case "node.invoke.input":
                return self._invokes.fed(event.payload)
            case _:
                return [Send(rebuilt(event))]

    # Time and the end.

    def on_oversized(self, event: Oversized, now: Instant) -> list[Command]:
        """Ends what a frame was about that the peer cannot take."""
        match event.frame:
            case Response():
                return too_large_answer(event.frame)
            case Event(event="node.invoke.request", payload=payload):
                return self._invokes.too_large(payload, now)
            case _:
                self._subscriptions.gap()
                return [Note("event-too-large", {"bytes": event.size})]

    def on_timer(self, now: Instant) -> list[Command]:
        """Ends the invokes whose time is up."""
        return self._invokes.overdue(now)

    def on_lost(self, _now: Instant) -> list[Command]:
        """Ends every invoke: the phone has gone."""
        return self._invokes.gone()

    def next_deadline(self) -> float | None:
        """When the next invoke's time is up."""
        return self._invokes.next_deadline()


_Handler = Callable[[NodeTraffic, Request, Allow, Instant], Result]

_HANDLERS: dict[str, _Handler] = {
    "health": NodeTraffic._health,
    "node.invoke.result": NodeTraffic._result,
    "node.invoke.progress": NodeTraffic._progress,
    "node.event": NodeTraffic._event,
    "node.pending.pull": NodeTraffic._pull,
    "node.pending.ack": NodeTraffic._pending,
    "node.pending.drain": NodeTraffic._pending,
    **dict.fromkeys((*_PUBLISHING, "skills.bins"), NodeTraffic._publish),
    "node.pluginSurface.refresh": NodeTraffic._surface_refresh,
    "node.list": NodeTraffic._list,
    "node.invoke": NodeTraffic._invoke,
    "agent": NodeTraffic._agent,
    "agent.wait": NodeTraffic._agent,
    "voicewake.get": NodeTraffic._voicewake,
}
