"""Pure: `node.invoke` of a LAN caller: one call at the gateway for each of its idempotency keys (design §11).

Those that come while the first one is under way wait for its answer; those that come later get what is remembered. The
key goes to the gateway as a hash of caller and key, so that no caller's key can stand for another's call there or at
the node.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import orjson

from acl.model import Allow
from bridge.lan import answers, node_calls
from bridge.lan.directory import Directory
from bridge.lan.events import Answered, Command, Fault, Forward, Instant, Link, Note, Send, Unanswered
from bridge.lan.recall import Remember
from bridge.lan.traffic import Forwarding, Refused, Result, refused
from bridge.upstream.idempotency import Again, Change, Conflict, Memo, caller_owner, memo_of, was_done
from gateway_client.frames import ErrorShape, Json, JsonObject, Request, Response, object_of, text_of

MAX_SHARERS = 64  # requests of one socket that wait for another's answer; an id of at most 256 bytes each
_NOT_SENT = frozenset({Fault.DOWN, Fault.TOO_LARGE, Fault.BUSY})
# What the gateway says when a node was asked and has not answered.
_UNKNOWN = frozenset({"TIMEOUT", "DISCONNECTED"})


@dataclass(slots=True)
class _Call:
    memo: Memo
    guarded: bool  # whether the node is behind this bridge, which lets no key be done twice there
    sharers: list[str] = field(default_factory=list)


@dataclass(slots=True)
class LanInvokes:
    """The calls of one socket.

    Args:
        node_id: the caller.
        directory: what may be looked up.
        forwarding: the socket's requests that wait for the gateway.
    """

    node_id: str
    directory: Directory
    forwarding: Forwarding
    _calls: dict[str, _Call] = field(default_factory=dict)

    def invoke(self, request: Request, allow: Allow, now: Instant) -> Result:
        """The caller wants a node to do something."""
        gateway_ids = {lan: gateway for gateway, lan in self.directory.lan_ids().items()}
        try:
            params = node_calls.invoke_params(request.params, gateway_ids)
        except node_calls.ParamsError as exc:
            return refused(request, answers.invalid(str(exc)))
        target = text_of(request.params, "nodeId") or ""
        memo = self._memo(target, params)
        params["idempotencyKey"] = memo.digest
        under_way = next((call for call in self._calls.values() if call.memo.digest == memo.digest), None)
        if under_way is not None:
            return self._share(request, memo, under_way)
        call = _Call(memo, guarded=target in gateway_ids)
        before = self._made_before(request, call, now)
        return before if before is not None else self._send(request, params, target, call, allow, now)

    def _memo(self, target: str, params: JsonObject) -> Memo:
        text = orjson.dumps(params["params"]).decode() if "params" in params else None
        what = f"{params['command']}\n{target}"  # neither holds a line's end: the ACL knows both
        return memo_of(caller_owner(self.node_id), str(params["idempotencyKey"]), what, text)

    def _share(self, request: Request, memo: Memo, call: _Call) -> Result:
        if memo != call.memo:
            return _conflict(request, "CONFLICT: this idempotency key stands for another call")
        if sum(len(each.sharers) for each in self._calls.values()) >= MAX_SHARERS:
            return refused(request, answers.busy("too many unanswered requests"), counts=False)
        if request.id in call.sharers or self.forwarding.uses(request.id):
            return refused(request, answers.invalid("request id is in use"))
        call.sharers.append(request.id)
        return [Note("invoke-shared", {"command": text_of(request.params, "command")})]

    def _made_before(self, request: Request, call: _Call, now: Instant) -> Result | None:
        match self.directory.ledger.look(call.memo, now.mono):
            case Again(result=result):
                noted = Note("invoke-replayed", {"command": text_of(request.params, "command")})
                return [noted, Send(_again(request.id, result))]
            case Conflict(message=message):
                return _conflict(request, message)
            case None:
                return None

    def _send(
        self, request: Request, params: JsonObject, target: str, call: _Call, allow: Allow, now: Instant
    ) -> Result:
        def shape(response: Response) -> Response:
            return node_calls.own_invoke(answers.for_lan_caller(response), target)

        wait_s = node_calls.wait_for(request.params, default_s=30.0)
        sent = self.forwarding.send(request, Link.OPERATOR, params, allow, wait_s=wait_s, reshape=shape)
        if isinstance(sent, Refused):
            return sent
        self._calls.update({command.key: call for command in sent if isinstance(command, Forward)})
        return sent if call.guarded else [Remember(self.directory.ledger.sent(call.memo, now.mono)), *sent]

    def settled(self, event: Answered | Unanswered, told: list[Command], now: Instant) -> list[Command]:
        """The gateway has answered a request of the socket, or will not.

        Args:
            event: its answer.
            told: what the socket's forwarding makes of it.
            now: this moment.

        Returns:
            what has to happen beside: the same answer for those that share the call, and what is remembered of it.
        """
        call = self._calls.get(event.key)
        if call is None or (isinstance(event, Answered) and not event.final):
            return []
        del self._calls[event.key]
        said = [command.frame for command in told if isinstance(command, Send) and isinstance(command.frame, Response)]
        copies = [Send(replace(answer, id=name)) for answer in said for name in call.sharers]
        changes = self._outcome(call, event, said, now)
        return [*copies, *([Remember(changes)] if changes else [])]

    def _outcome(self, call: _Call, event: Answered | Unanswered, said: list[Response], now: Instant) -> list[Change]:
        """What was done is remembered; what a node behind this bridge may have done is remembered there."""
        ledger = self.directory.ledger
        if isinstance(event, Answered) and event.response.ok and said:
            told = said[0]
            result: JsonObject = {"payload": told.payload} if told.has_payload or told.payload is not None else {}
            return ledger.done(call.memo, result, now.mono)
        if isinstance(event, Answered) and said and not call.guarded and _has_tried(event.response):
            return ledger.done(call.memo, {"error": _members(said[0].error)}, now.mono)
        unknown = event.fault not in _NOT_SENT if isinstance(event, Unanswered) else _is_unknown(event.response)
        return [] if unknown and not call.guarded else ledger.forget(call.memo)


def _conflict(request: Request, message: str) -> Result:
    details: Json = {"code": "CONFLICT"}
    return refused(request, ErrorShape("CONFLICT", message, details), counts=False)


def _again(request_id: str, result: JsonObject) -> Response:
    if "error" not in result:
        return Response(request_id, True, result.get("payload"), has_payload="payload" in result)
    error = object_of(result["error"])
    return answers.failure(
        request_id, ErrorShape(text_of(error, "code") or "", text_of(error, "message") or "", error.get("details"))
    )


def _members(error: ErrorShape | None) -> JsonObject:
    return {"code": error.code, "message": error.message, "details": error.details} if error is not None else {}


def _is_unknown(response: Response) -> bool:
    return _node_code(response) in _UNKNOWN


def _has_tried(response: Response) -> bool:
    """Whether it is a node's own error, of a command that it may have done half of."""
    code = _node_code(response)
    dispatched = response.error is not None and response.error.detail("nodeCommandDispatched") is True
    return dispatched and code is not None and code not in _UNKNOWN and was_done(ok=False, code=code)


def _node_code(response: Response) -> str | None:
    details = object_of(response.error.details) if response.error else {}
    return text_of(details.get("nodeError"), "code")
