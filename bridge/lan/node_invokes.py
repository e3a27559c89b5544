"""Pure: the agent's invokes on an open node socket, and their results (gateway-protocol §5).

Every invoke that the gateway dispatches passes the ACL here and ends in exactly one result: the node's, one that is
remembered, a refusal, a time-out or a disconnect.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import orjson

from acl.engine import decide
from acl.model import Allow, Call, Decision, Direction, Subject
from bridge import metric_labels
from bridge.lan import answers, node_calls
from bridge.lan.directory import Directory
from bridge.lan.events import Answered, Command, Instant, Note, Report, Send, Unanswered
from bridge.lan.invoke_limits import InvokeLimits
from bridge.lan.recall import Remember, Replay
from bridge.lan.results import Results
from bridge.lan.screen_guard import Admitted, ScreenGuard
from bridge.lan.traffic import Result, refused
from bridge.lan.wakefulness import AWAKE, Wakefulness
from bridge.pairing.records import NodeRecord
from bridge.upstream.dispatches import Dispatches, Ended, Job
from bridge.upstream.idempotency import Again, Conflict, Memo, memo_of, node_owner, was_done
from bridge.upstream.outcomes import Invoke, read_invoke
from gateway_client.frames import ErrorShape, Event, Json, JsonObject, Request, text_of

CANCELLED = ErrorShape("UNAVAILABLE", "the invoke was cancelled")
_BUSY = ErrorShape("UNAVAILABLE", "the node has too many invokes at once")
_TIMEOUT = ErrorShape("TIMEOUT", "the node did not answer in time")


@dataclass(slots=True)
class NodeInvokes:
    """The invokes of one socket.

    Args:
        subject: whom the ACL sees.
        record: the stored node.
        offered: the commands offered to the gateway on this connection.
        directory: what may be looked up.
        screen: what is sent to its screen and comes back.
        wakefulness: what works on the node, as far as it has said.
    """

    subject: Subject
    record: NodeRecord
    offered: frozenset[str]
    directory: Directory
    screen: ScreenGuard
    wakefulness: Wakefulness = AWAKE
    _open: Dispatches = field(default_factory=Dispatches)
    _results: Results = field(default_factory=Results)
    _limits: InvokeLimits = field(init=False)

    def __post_init__(self) -> None:
        self._limits = InvokeLimits(self.directory.allowance(self.subject.node_id))

    def woken(self) -> None:
        """The app is looked at: it fetches what waited for that."""
        if not self.wakefulness.foreground:
            self.wakefulness = AWAKE

    # Down: the gateway's dispatches.

    def invoked(self, payload: Json, now: Instant) -> list[Command]:
        """The gateway has dispatched an invoke: it goes to the node, or back with the reason why not."""
        invoke = read_invoke(payload, now.mono)
        if invoke is None:
            return [Note("invoke-malformed")]
        if self._open.has(invoke.id):
            return [Note("invoke-repeated", {"command": invoke.command})]  # it gets the outcome that it is owed already
        decision = decision_on(self.directory, self.subject, self.offered, invoke.command)
        if not isinstance(decision, Allow):
            return [denial(invoke.command, decision), Report(invoke.id, not_granted(invoke.command))]
        error = self._limits.refuse(invoke.command, invoke.params_json, now.mono)
        if error is not None:
            return _refused(invoke, error)
        memo = memo_for(self.subject.node_id, invoke)
        if memo is not None:
            before = self._asked_before(invoke, memo, now)
            if before:
                return before
        return self._take(invoke, memo, now)

    def may_do(self, command: str) -> bool:
        """Whether the node may be asked for a command, whoever brings it: it offers it, and the ACL allows it."""
        return isinstance(decision_on(self.directory, self.subject, self.offered, command), Allow)

    def _admit(self, invoke: Invoke) -> Admitted | ErrorShape:
        admitted = self.screen.admit(invoke, self.directory.policy)
        if not isinstance(admitted, ErrorShape) and not self.wakefulness.can_do(invoke.command):
            return answers.background(invoke.command, self.wakefulness.retry_after_ms)
        return admitted

    def _take(self, invoke: Invoke, memo: Memo | None, now: Instant) -> list[Command]:
        admitted = self._admit(invoke)
        if isinstance(admitted, ErrorShape):
            return _refused(invoke, admitted)
        if not self._open.has_room(invoke, len(self._results)):
            return _refused(invoke, _BUSY)
        self._open.add(invoke, memo)
        return self._ask_next(now)

    def _asked_before(self, invoke: Invoke, memo: Memo, now: Instant) -> list[Command]:
        """What a dispatch gets whose key has come before: the same outcome as that one, or a refusal."""
        job = self._open.known(memo)
        if job is None:
            return look_up(invoke, memo, self.directory, now)
        if job.memo != memo:
            return _refused(invoke, ErrorShape("CONFLICT", "CONFLICT: this idempotency key stands for another call"))
        if not self._open.has_room_beside(self._results.copies):
            return _refused(invoke, _BUSY)
        self._open.share(job, invoke)
        return [Note("invoke-shared", {"command": invoke.command})]

    def _ask_next(self, now: Instant) -> list[Command]:
        out: list[Command] = []
        while (turn := self._open.next_job(now.mono)) is not None:
            out += self._ask(*turn, now)
        return out

    def _ask(self, job: Job, invoke: Invoke, now: Instant) -> list[Command]:
        """Its turn has come: what holds now decides, not what held when it began to wait."""
        decision = decision_on(self.directory, self.subject, self.offered, invoke.command)
        if not isinstance(decision, Allow):
            return self._unasked(job, not_granted(invoke.command), denial(invoke.command, decision))
        admitted = self._admit(invoke)
        if isinstance(admitted, ErrorShape):
            return self._unasked(job, admitted, _refusal(invoke.command, admitted))
        job.rule = decision.rule
        self.screen.begin(admitted, self._open.expects)
        request = Send(Event("node.invoke.request", admitted.invoke.request_for(self.subject.node_id, now.mono)))
        if job.memo is None:
            return [request]
        return [Remember(self.directory.ledger.sent(job.memo, now.mono)), request]

    def _unasked(self, job: Job, error: ErrorShape, noted: Note) -> list[Command]:
        self._open.settle(job.invoke.id)
        return _ended(job, error, noted)

    # Up: the node's results.

    def result(self, request: Request, key: str, allow: Allow, now: Instant) -> Result:
        """The node has answered an invoke.

        Args:
            request: `node.invoke.result`.
            key: what the forwarded result will be known by.
            allow: the proof.
            now: this moment.
        """
        try:
            result = node_calls.read_result(request.params, self.subject.node_id)
        except node_calls.ParamsError as exc:
            return refused(request, answers.invalid(str(exc)))
        job = self._open.settle(result.id)
        if job is None:
            return [*self._late(result, now), *_ignored(request)]
        if result.ok and not self.wakefulness.can_do(job.invoke.command):
            self.wakefulness = AWAKE
        too_large = self._limits.weigh(job.invoke.command, result.members, now.mono)
        if too_large is not None:
            return [*self._outsized(request, job, too_large, now), *self._ask_next(now)]
        judged = self.screen.judge(result, self.directory.policy)
        result = judged.result
        out: list[Command] = self._remember(job.memo, result, now) if job.memo is not None else []
        answering: Request | None = request
        for number, (caller, deadline) in enumerate(job.callers.items()):
            waiting = replace(job.invoke, id=caller, deadline=deadline)
            params = result.upstream(self.record.gateway_node_id, caller)
            out.append(self._results.send(f"{key}.{number}", answering, waiting, params, allow))
            answering = None
        return [*out, *judged.notes, _noted(job, result, now), *self._ask_next(now)]

    def _outsized(self, request: Request, job: Job, error: ErrorShape, now: Instant) -> list[Command]:
        """It was done, and its result is more than may be passed on: that is the outcome."""
        out: list[Command] = []
        if job.memo is not None:
            outcome: JsonObject = {"ok": False, "error": {"code": error.code, "message": error.message}}
            out.append(Remember(self.directory.ledger.done(job.memo, outcome, now.mono)))
        return [*out, *_ended(job, error), Send(answers.failure(request.id, error))]

    def _late(self, result: node_calls.InvokeResult, now: Instant) -> list[Command]:
        """Nobody waits any more; but whoever asks again with the same key may have it."""
        memo = self._open.settle_late(result.id)
        noted = Note("late-result", {"remembered": memo is not None})
        if memo is None:
            return [noted]
        judged = self.screen.judge(result, self.directory.policy)
        return [*self._remember(memo, judged.result, now), *judged.notes, noted]

    def _remember(self, memo: Memo, result: node_calls.InvokeResult, now: Instant) -> list[Command]:
        ledger = self.directory.ledger
        if was_done(result.ok, result.code):
            return [Remember(ledger.done(memo, {"ok": result.ok, **result.members}, now.mono))]
        return [Remember(ledger.forget(memo))]

    def awaits(self, key: str) -> bool:
        """Whether a forwarded request is a result of this node."""
        return key in self._results

    def answered(self, event: Answered | Unanswered, now: Instant) -> list[Command]:
        """The gateway has answered a result, or will not."""
        return self._results.answered(event, now) if isinstance(event, Answered) else self._results.lost(event, now)

    # What goes on beside: progress, input, an end before the end.

    def heard_by(self, job_id: str) -> str | None:
        """Returns the dispatch that hears of a job's progress; None: the node does not work on it, or nobody waits."""
        job = self._open.running(job_id)
        return next(iter(job.callers)) if job is not None else None

    def fed(self, payload: Json) -> list[Command]:
        """The gateway has input for an invoke: for the dispatch that began the job. What waits cannot be fed."""
        dispatch_id = text_of(payload, "id") or ""
        job = self._open.job_of(dispatch_id)
        if job is None or job.invoke.id != dispatch_id:
            return []
        if job.sent_at is None:
            self._open.leave(dispatch_id)
            return _reported([Ended(dispatch_id, job.invoke.command, was_sent=False)], _BUSY)
        return [Send(Event("node.invoke.input", self._own("node.invoke.input", payload)))]

    def cancelled(self, payload: Json, now: Instant) -> list[Command]:
        """A caller waits no more. The node is told when nobody else does, and has the last word then."""
        dispatch_id = text_of(payload, "invokeId") or ""
        job = self._open.job_of(dispatch_id)
        if job is None:
            return []
        if job.sent_at is not None and len(job.callers) == 1:
            return [Send(Event("node.invoke.cancel", {"nodeId": self.subject.node_id, "invokeId": job.invoke.id}))]
        self._open.leave(dispatch_id)
        return [*_reported([Ended(dispatch_id, job.invoke.command, was_sent=False)], CANCELLED), *self._ask_next(now)]

    def _own(self, name: str, payload: Json) -> JsonObject:
        return node_calls.own_stream_event(name, payload, self.subject.node_id)

    def too_large(self, payload: Json, now: Instant) -> list[Command]:
        """An invoke was longer than the node can take: it was not asked."""
        job = self._open.settle(text_of(payload, "id") or "")
        if job is None:
            return []
        error = ErrorShape("PAYLOAD_TOO_LARGE", "larger than the device takes")
        not_begun: JsonObject = {"error": {"code": "INVALID_REQUEST"}}
        self.screen.judge(node_calls.InvokeResult(job.invoke.id, False, not_begun), self.directory.policy)
        forgotten = [Remember(self.directory.ledger.forget(job.memo))] if job.memo is not None else []
        return [*forgotten, *_ended(job, error), *self._ask_next(now)]

    # Time and the end.

    def link_lost(self) -> list[Command]:
        """The link to the gateway has ended, and with it, there, every invoke: what still comes is late."""
        lost = self._open.drain()
        return [Note("invokes-lost", {"count": len(lost)})] if lost else []

    def overdue(self, now: Instant) -> list[Command]:
        """Ends the invokes whose time is up, and believes no longer what was said for a while only."""
        if self.wakefulness.until is not None and self.wakefulness.until <= now.mono:
            self.wakefulness = AWAKE
        return [*_reported(self._open.overdue(now.mono), _TIMEOUT), *self._ask_next(now)]

    def gone(self) -> list[Command]:
        """Ends every invoke: the phone has gone."""
        return _reported(self._open.drain(), answers.GONE)

    def next_deadline(self) -> float | None:
        """When `overdue` is due next, in monotonic seconds; None: nothing is open."""
        due = (self._open.next_deadline(), self.wakefulness.until)
        return min((at for at in due if at is not None), default=None)


def decision_on(directory: Directory, subject: Subject, offered: frozenset[str], command: str) -> Decision | None:
    """Returns what the ACL says of a command for a node; None: it would allow it, and the node does not offer it."""
    decision = decide(directory.policy, subject, Call(Direction.TO_NODE, command))  # who denies is named in any case
    return decision if command in offered or not isinstance(decision, Allow) else None


def not_granted(command: str) -> ErrorShape:
    """Returns what the gateway is told of a command that the ACL denies, or that the node does not offer."""
    return ErrorShape("FORBIDDEN", f"{command} is not granted to this node")


def memo_for(node_id: str, invoke: Invoke) -> Memo | None:
    """Returns what an invoke is known by; None: it has no idempotency key."""
    if invoke.idempotency_key is None:
        return None
    return memo_of(node_owner(node_id), invoke.idempotency_key, invoke.command, invoke.params_json)


def look_up(invoke: Invoke, memo: Memo, directory: Directory, now: Instant) -> list[Command]:
    """Returns what a dispatch gets whose key is remembered; empty when it is not."""
    match directory.ledger.look(memo, now.mono):
        case Again(result=result):
            return [Replay(invoke.id, result), Note("invoke-replayed", {"command": invoke.command})]
        case Conflict(message=message):
            return _refused(invoke, ErrorShape("CONFLICT", message))
        case None:
            return []


def _refused(invoke: Invoke, error: ErrorShape) -> list[Command]:
    return [_refusal(invoke.command, error), Report(invoke.id, error)]


def _ended(job: Job, error: ErrorShape, noted: Note | None = None) -> list[Command]:
    """A job that ends with a refusal: one outcome, for everybody who waits for it."""
    return [noted or _refusal(job.invoke.command, error), *(Report(caller, error) for caller in job.callers)]


def _refusal(command: str, error: ErrorShape) -> Note:
    return Note("invoke-refused", {"command": command, "code": error.code})


def denial(command: str, decision: Decision | None) -> Note:
    """Returns what is noted of a command that `decision_on` denies."""
    rule: JsonObject = {"rule": decision.rule} if decision is not None else {}
    return Note("invoke-refused", {"command": command, "code": not_granted(command).code, **rule})


def _reported(ended: Iterable[Ended], error: ErrorShape) -> list[Command]:
    out: list[Command] = []
    for one in ended:
        out += [Note("invoke-ended", {"command": one.command, "code": error.code}), Report(one.id, error)]
    return out


def _ignored(request: Request) -> list[Command]:
    return [Send(answers.ok(request.id, {"ok": True, "ignored": True}))]


def _noted(job: Job, result: node_calls.InvokeResult, now: Instant) -> Note:
    took = now.mono - (job.sent_at if job.sent_at is not None else now.mono)
    fields: dict[str, Json] = {"command": job.invoke.command, "ok": result.ok, "rule": job.rule}
    fields |= {"ms": round(took * 1000), "bytes": _size(result.members)}
    if not result.ok:
        fields["code"] = metric_labels.code_label(result.code or "")  # the node's own words are not for the log
    return Note("invoke", {**fields, "callers": len(job.callers)} if len(job.callers) > 1 else fields)


def _size(members: JsonObject) -> int:
    """Bytes of what a node has answered. Of a text they are known without writing it out: it may have millions."""
    text = members.get("payloadJSON")
    if not isinstance(text, str):
        return len(orjson.dumps(members))
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
