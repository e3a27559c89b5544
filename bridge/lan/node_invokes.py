"""Pure: the agent's invokes on an open node socket, and their results (gateway-protocol §5).

Every invoke that the gateway dispatches passes the ACL here and ends in exactly one result: the node's, a refusal, a
time-out or a disconnect.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from acl.engine import decide
from acl.model import Allow, Call, Direction, Subject
from bridge.lan import answers, node_calls
from bridge.lan.directory import Directory
from bridge.lan.events import Answered, Command, Instant, Note, Report, Send, Unanswered
from bridge.lan.invoke_limits import InvokeLimits
from bridge.lan.results import Results
from bridge.lan.screen_guard import Admitted, ScreenGuard
from bridge.lan.traffic import Result, refused
from bridge.pairing.records import NodeRecord
from bridge.upstream.outcomes import InFlight, Invoke, read_invoke
from gateway_client.frames import ErrorShape, Event, Json, JsonObject, Request, text_of


@dataclass(slots=True)
class NodeInvokes:
    """The invokes of one socket.

    Args:
        subject: whom the ACL sees.
        record: the stored node.
        offered: the commands offered to the gateway on this connection.
        directory: what may be looked up.
        screen: what is sent to its screen and comes back.
        background: whether the node said that it is in the background.
    """

    subject: Subject
    record: NodeRecord
    offered: frozenset[str]
    directory: Directory
    screen: ScreenGuard
    background: bool = False
    _in_flight: InFlight = field(default_factory=InFlight)
    _results: Results = field(default_factory=Results)
    _limits: InvokeLimits = field(init=False)

    def __post_init__(self) -> None:
        self._limits = InvokeLimits(self.directory.allowance(self.subject.node_id))

    def has(self, invoke_id: str) -> bool:
        """Whether the node has been asked this and has not answered."""
        return self._in_flight.has(invoke_id)

    def may_do(self, command: str) -> bool:
        """Whether the node may be asked for a command: it offers it, and the ACL allows it."""
        decision = decide(self.directory.policy, self.subject, Call(Direction.TO_NODE, command))
        return command in self.offered and isinstance(decision, Allow)

    def invoked(self, payload: Json, now: Instant) -> list[Command]:
        """The gateway has dispatched an invoke: it goes to the node, or back with the reason why not."""
        invoke = read_invoke(payload, now.mono)
        if invoke is None:
            return [Note("invoke-malformed")]
        admitted = self._admit(invoke, now)
        if isinstance(admitted, ErrorShape):
            noted = Note("invoke-refused", {"command": invoke.command, "code": admitted.code})
            return [noted, Report(invoke.id, admitted)]
        self._in_flight.add(invoke)
        self.screen.begin(admitted, self._in_flight.has)
        return [Send(Event("node.invoke.request", admitted.invoke.request_for(self.subject.node_id)))]

    def _admit(self, invoke: Invoke, now: Instant) -> Admitted | ErrorShape:
        if not self.may_do(invoke.command):
            return ErrorShape("FORBIDDEN", f"{invoke.command} is not granted to this node")
        admitted = self.screen.admit(invoke, self.directory.policy)
        if isinstance(admitted, ErrorShape):
            return admitted
        if self.background and node_calls.needs_foreground(invoke.command):
            return answers.background(invoke.command)
        if len(self._in_flight) + len(self._results) >= InFlight.LIMIT or self._in_flight.has(invoke.id):
            return ErrorShape("UNAVAILABLE", "the node has too many invokes at once")
        return self._limits.refuse(invoke.command, invoke.params_json, now.mono) or admitted

    def result(self, request: Request, key: str, allow: Allow, now: Instant) -> Result:
        """The node has answered an invoke.

        Args:
            request: `node.invoke.result`.
            key: what the forwarded result will be known by.
            allow: the proof.
            now: the moment.
        """
        try:
            result = node_calls.read_result(request.params, self.subject.node_id)
        except node_calls.ParamsError as exc:
            return refused(request, answers.invalid(str(exc)))
        invoke = self._in_flight.settle(result.id)
        if invoke is None:
            late: JsonObject = {"ok": True, "ignored": True}
            return [Note("late-result"), Send(answers.ok(request.id, late))]
        if result.ok and node_calls.needs_foreground(invoke.command):
            self.background = False
        too_large = self._limits.weigh(invoke.command, result.members, now.mono)
        if too_large is not None:
            return self._outsized(request, invoke, too_large)
        judged = self.screen.judge(result, self.directory.policy)
        params = judged.result.upstream(self.record.gateway_node_id)
        forward = self._results.send(key, request, invoke, params, allow)
        return [forward, *judged.notes, Note("invoke", {"command": invoke.command, "ok": judged.result.ok})]

    def _outsized(self, request: Request, invoke: Invoke, error: ErrorShape) -> list[Command]:
        noted = Note("invoke-refused", {"command": invoke.command, "code": error.code})
        return [noted, Report(invoke.id, error), Send(answers.failure(request.id, error))]

    def awaits(self, key: str) -> bool:
        """Whether a forwarded request is a result of this node."""
        return key in self._results

    def answered(self, event: Answered | Unanswered, now: Instant) -> list[Command]:
        """The gateway has answered a result, or will not."""
        return self._results.answered(event, now) if isinstance(event, Answered) else self._results.lost(event, now)

    def link_lost(self) -> list[Command]:
        """The link to the gateway has ended, and with it, there, every invoke: what still comes is late."""
        lost = self._in_flight.drain()
        return [Note("invokes-lost", {"count": len(lost)})] if lost else []

    def too_large(self, payload: Json) -> list[Command]:
        """An invoke was longer than the node can take."""
        invoke_id = text_of(payload, "id") or ""
        self._in_flight.settle(invoke_id)
        return [Report(invoke_id, ErrorShape("PAYLOAD_TOO_LARGE", "larger than the device takes"))]

    def overdue(self, now: Instant) -> list[Command]:
        """Ends the invokes whose time is up."""
        return [
            Report(invoke.id, ErrorShape("TIMEOUT", "the node did not answer in time"))
            for invoke in self._in_flight.overdue(now.mono)
        ]

    def gone(self) -> list[Command]:
        """Ends every invoke: the phone has gone."""
        error = ErrorShape("NODE_DISCONNECTED", "NODE_DISCONNECTED: the node went away before it answered")
        return [Report(invoke.id, error) for invoke in self._in_flight.drain()]

    def next_deadline(self) -> float | None:
        """When the next invoke's time is up, in monotonic seconds; None: none is open."""
        return self._in_flight.next_deadline()
