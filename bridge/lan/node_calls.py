"""Pure: the parameters of a node's calls, read strictly and rebuilt from known members; ids rewritten both ways."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from acl import navigation
from acl.model import Call, Direction, canonical_session
from acl.permissions import needs_foreground
from bridge.lan.session_names import plain_session
from gateway_client.frames import ErrorShape, Json, JsonObject, Request, Response, object_of, text_of

__all__ = [
    "ParamsError",
    "agent_params",
    "call_of",
    "invoke_params",
    "needs_foreground",
    "own_action",
    "own_invoke",
    "own_list",
    "own_stream_event",
    "pending_params",
    "progress_params",
    "read_result",
    "wait_for",
]

MAX_CHUNK_BYTES = 16_384  # of a progress chunk (gateway-protocol §1.4)
MAX_PENDING_IDS = 64  # the gateway keeps at most 64 actions per node (gateway-protocol §5.3)
MAX_DRAINED = 10  # items of one `node.pending.drain`, as in the gateway's schema
MAX_MESSAGE_CHARS = 20_000  # what the gateway takes as the text of a turn (gateway-protocol §6)
MAX_ATTACHMENTS = 8
MAX_ATTACHMENT_CHARS = 8 * 1024 * 1024  # base64 of all attachments together: 6 MiB of picture
MAX_WAIT_S = 3_600.0  # seconds: nothing is waited for longer than an hour
_IDEMPOTENCY = re.compile(r"[!-~]{1,256}")
_THINKING = re.compile(r"[a-z]{1,16}")
_ATTACHMENT_KEYS = ("type", "mimeType", "fileName", "content")


class ParamsError(ValueError):
    """Parameters that break a method's schema; the message goes to the peer."""


def call_of(request: Request, gateway_hello: Mapping[str, Json]) -> Call:
    """Returns what the ACL has to know of a node's request.

    Args:
        request: the request.
        gateway_hello: the gateway's hello-ok, which says what its main session is called; may be empty.
    """
    params = object_of(request.params)
    match request.method:
        case "node.invoke":
            target, command = text_of(params, "nodeId"), text_of(params, "command")
            return Call(
                Direction.FROM_NODE,
                request.method,
                target=target,
                command=command,
                url=_address(command, params.get("params")),
            )
        case "agent":
            return Call(
                Direction.FROM_NODE,
                request.method,
                session=turn_session(params, gateway_hello),
                text=text_of(params, "message"),
            )
        case _:
            return Call(Direction.FROM_NODE, request.method)


def _address(command: str | None, params: Json) -> str | None:
    """Where a command would send the screen of another node, which need not be behind this bridge."""
    return navigation.destination(command, text_of(params, "url"))


@dataclass(frozen=True, slots=True)
class InvokeResult:
    """`node.invoke.result` of a node.

    Attributes:
        id: the invoke it answers.
        ok: whether the command was done.
        members: payload, payloadJSON and error as they go to the gateway.
    """

    id: str
    ok: bool
    members: JsonObject = field(repr=False)

    @property
    def code(self) -> str | None:
        """The code of its error; None: it has none."""
        return text_of(self.members.get("error"), "code")

    def upstream(self, gateway_node_id: str, dispatch_id: str | None = None) -> JsonObject:
        """Returns the parameters for the gateway, which knows the node by another id.

        Args:
            gateway_node_id: that id.
            dispatch_id: the dispatch that gets the result, when it is one that shared the job of the node's own.
        """
        return {"id": dispatch_id or self.id, "nodeId": gateway_node_id, "ok": self.ok, **self.members}


def read_result(params: Json, node_id: str) -> InvokeResult:
    """Reads `node.invoke.result`.

    Raises:
        ParamsError: a member has the wrong type, or the result is not the node's own.
    """
    fields = object_of(params)
    invoke_id, ok = text_of(fields, "id"), fields.get("ok")
    if invoke_id is None or not isinstance(ok, bool):
        raise ParamsError("invalid node.invoke.result params")
    if fields.get("nodeId") != node_id:
        raise ParamsError("nodeId mismatch")
    members: JsonObject = {}
    payload_json = fields.get("payloadJSON")
    if isinstance(payload_json, str):
        members["payloadJSON"] = payload_json
    elif payload_json is not None:
        members["payload"] = payload_json
    if fields.get("payload") is not None:
        members["payload"] = fields["payload"]
    error = fields.get("error")
    if error is not None:
        members["error"] = _result_error(error)
    return InvokeResult(invoke_id, ok, members)


def _result_error(error: Json) -> JsonObject:
    fields = object_of(error)
    out: JsonObject = {name: text for name in ("code", "message") if (text := text_of(fields, name)) is not None}
    if not out:
        raise ParamsError("invalid node.invoke.result params: error without code and message")
    return out


def progress_params(params: Json, node_id: str, gateway_node_id: str) -> JsonObject:
    """Reads and rebuilds `node.invoke.progress`.

    Raises:
        ParamsError: a member has the wrong type or length, or the invoke is not the node's own.
    """
    fields = object_of(params)
    invoke_id, seq, chunk = text_of(fields, "invokeId"), fields.get("seq"), fields.get("chunk")
    if invoke_id is None or not isinstance(seq, int) or isinstance(seq, bool) or seq < 0 or not isinstance(chunk, str):
        raise ParamsError("invalid node.invoke.progress params")
    if fields.get("nodeId") != node_id:
        raise ParamsError("nodeId mismatch")
    if len(chunk.encode("utf-8")) > MAX_CHUNK_BYTES:
        raise ParamsError(f"chunk is longer than {MAX_CHUNK_BYTES} bytes")
    return {"invokeId": invoke_id, "nodeId": gateway_node_id, "seq": seq, "chunk": chunk}


def pending_params(method: str, params: Json) -> JsonObject:
    """Reads and rebuilds `node.pending.ack` and `node.pending.drain`.

    Raises:
        ParamsError: a member has the wrong type or length.
    """
    fields = object_of(params)
    if method == "node.pending.drain":
        most = fields.get("maxItems")
        return (
            {"maxItems": most}
            if isinstance(most, int) and not isinstance(most, bool) and 1 <= most <= MAX_DRAINED
            else {}
        )
    ids = fields.get("ids")
    if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_PENDING_IDS:
        raise ParamsError("invalid node.pending.ack params")
    if not all(isinstance(one, str) and 0 < len(one) <= 256 for one in ids):
        raise ParamsError("invalid node.pending.ack params")
    return {"ids": ids}


def own_action(action: Json) -> JsonObject:
    """Returns one action of the pending queue, rebuilt from the members that a node reads."""
    fields = object_of(action)
    return {name: fields[name] for name in ("id", "command", "paramsJSON", "enqueuedAtMs") if name in fields}


def own_stream_event(name: str, payload: Json, node_id: str) -> JsonObject:
    """Returns the payload of `node.invoke.cancel` or `node.invoke.input` with the node's own id."""
    keys = ("invokeId",) if name == "node.invoke.cancel" else ("id", "seq", "payloadJSON")
    fields = object_of(payload)
    return {"nodeId": node_id, **{key: fields[key] for key in keys if key in fields}}


def own_list(response: Response, lan_ids: Mapping[str, str], only: str | None) -> Response:
    """Returns an answer of `node.list` with LAN ids.

    Args:
        response: the gateway's answer.
        lan_ids: ids at the gateway -> ids on the LAN.
        only: the one node that may be seen; None: all of them.
    """
    payload = object_of(response.payload)
    nodes = payload.get("nodes")
    if not response.ok or not isinstance(nodes, list):
        return Response(response.id, False, error=response.error or ErrorShape("UNAVAILABLE", "no list of nodes"))
    rows: list[Json] = []
    for row in nodes:
        node_id = text_of(row, "nodeId") or ""
        own = lan_ids.get(node_id, node_id)
        if only is None or own == only:
            rows.append({**object_of(row), "nodeId": own})
    stamp: JsonObject = {"ts": payload["ts"]} if "ts" in payload else {}
    return Response(response.id, True, {**stamp, "nodes": rows})


def invoke_params(params: Json, gateway_ids: Mapping[str, str]) -> JsonObject:
    """Reads and rebuilds `node.invoke` of a LAN caller; the idempotency key is required.

    Raises:
        ParamsError: a member has the wrong type.
    """
    fields = object_of(params)
    target, command, key = (text_of(fields, name) for name in ("nodeId", "command", "idempotencyKey"))
    if target is None or command is None or key is None or not _IDEMPOTENCY.fullmatch(key):
        raise ParamsError("invalid node.invoke params: nodeId, command and idempotencyKey are required")
    out: JsonObject = {"nodeId": gateway_ids.get(target, target), "command": command, "idempotencyKey": key}
    if "params" in fields:
        out["params"] = fields["params"]
    timeout = fields.get("timeoutMs")
    if isinstance(timeout, int) and not isinstance(timeout, bool) and 0 < timeout <= MAX_WAIT_S * 1000:
        out["timeoutMs"] = timeout
    return out


def own_invoke(response: Response, target: str) -> Response:
    """Returns an answer of `node.invoke`, good or bad, with the id that the caller used."""
    error, payload = response.error, object_of(response.payload)
    if error is not None and error.detail("nodeId") is not None:
        error = replace(error, details={**object_of(error.details), "nodeId": target})
        return replace(response, error=error)
    return replace(response, payload={**payload, "nodeId": target}) if "nodeId" in payload else response


def wait_for(params: Json, default_s: float) -> float:
    """Returns the seconds to wait for the gateway: the caller's `timeoutMs` and five more."""
    timeout = object_of(params).get("timeoutMs")
    if isinstance(timeout, int) and not isinstance(timeout, bool) and timeout > 0:
        return min(timeout / 1000, MAX_WAIT_S) + 5.0
    return default_s + 5.0


def agent_params(method: str, params: Json) -> JsonObject:
    """Reads and rebuilds `agent` or `agent.wait` of a node: what it says, in which session, and nothing else.

    Raises:
        ParamsError: a member is missing or too long.
    """
    fields = object_of(params)
    if method == "agent.wait":
        run = text_of(fields, "runId")
        if run is None or len(run) > 256:
            raise ParamsError("invalid agent.wait params")
        timeout = fields.get("timeoutMs")
        known = isinstance(timeout, int) and not isinstance(timeout, bool) and 0 <= timeout <= MAX_WAIT_S * 1000
        return {"runId": run, "timeoutMs": timeout} if known else {"runId": run}
    key = text_of(fields, "idempotencyKey")
    if key is None or not _IDEMPOTENCY.fullmatch(key):
        raise ParamsError("invalid agent params: idempotencyKey is required")
    return {**turn_members(fields, "message"), "idempotencyKey": key}


def turn_session(fields: JsonObject, gateway_hello: Mapping[str, Json]) -> str | None:
    """Returns the session of an agent turn for the ACL: the one that `turn_members` names to the gateway."""
    key = text_of(fields, "sessionKey")
    return None if key is None else plain_session(canonical_session(key), None, gateway_hello)


def turn_members(fields: JsonObject, text_name: str) -> JsonObject:
    """Returns what a node may say in an agent turn: text, session, thinking, attachments.

    Raises:
        ParamsError: there is no text, or something is too long.
    """
    text = text_of(fields, text_name)
    if text is None or len(text) > MAX_MESSAGE_CHARS:
        raise ParamsError(f"{text_name} must have 1 to {MAX_MESSAGE_CHARS} characters")
    out: JsonObject = {text_name: text, "sessionKey": canonical_session(text_of(fields, "sessionKey"))}
    thinking = text_of(fields, "thinking")
    if thinking is not None and _THINKING.fullmatch(thinking):
        out["thinking"] = thinking
    attachments = fields.get("attachments")
    if attachments:
        out["attachments"] = _attachments(attachments)
    return out


def _attachments(value: Json) -> list[Json]:
    if not isinstance(value, list) or len(value) > MAX_ATTACHMENTS:
        raise ParamsError(f"at most {MAX_ATTACHMENTS} attachments")
    rows: list[Json] = []
    for item in value:
        fields = object_of(item)
        row: JsonObject = {name: fields[name] for name in _ATTACHMENT_KEYS if isinstance(fields.get(name), str)}
        if "content" not in row:
            raise ParamsError("an attachment without content")
        rows.append(row)
    if sum(len(str(object_of(row)["content"])) for row in rows) > MAX_ATTACHMENT_CHARS:
        raise ParamsError(f"attachments are larger than {MAX_ATTACHMENT_CHARS} characters together")
    return rows
