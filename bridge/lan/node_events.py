"""Pure: what becomes of a node's `node.event` (gateway-protocol §6, design §9).

Events that start an agent's turn are rebuilt from known members; the others pass with their payload text untouched. A
notification of the phone is one of the former: the gateway tells the agent of it at once. An event without permission
is answered, never refused: an app sends some of them without being asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import orjson

from acl.engine import decide
from acl.model import Allow, Call, Direction, Policy, Subject
from bridge.lan import answers
from bridge.lan.events import Fault
from bridge.lan.node_calls import ParamsError, turn_members, turn_session
from bridge.lan.session_names import plain_session
from bridge.lan.subscriptions import subscription
from bridge.lan.wakefulness import Wakefulness, read_state
from gateway_client.frames import Bounds, FrameError, Json, JsonObject, Response, object_of, parse_json, text_of

MAX_PAYLOAD_BYTES = 65_536  # of an ordinary event; the largest that apps send is an APNs registration, about 2 KiB
TURN_BOUNDS = Bounds(max_bytes=10 * 1024 * 1024, max_depth=8, max_items=1_024)  # text plus attachments of a turn
_TRANSCRIPT_IDS = ("eventId", "providerEventId", "transcriptId", "callId")
_TRANSCRIPT_COUNTS = ("sequence", "timestamp")
_TURNS = {"voice.transcript": "text", "agent.request": "message"}
NOTIFICATION = "notifications.changed"
# Characters of each text of a notification; the gateway shows 120 of title and text, and key and package as they are.
_NOTIFICATION_CHARS = {"key": 256, "packageName": 128, "title": 256, "text": 1_024}


@dataclass(frozen=True, slots=True)
class Bad:
    """The parameters are no event."""

    message: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The bridge answers for the gateway."""

    payload: JsonObject


@dataclass(frozen=True, slots=True)
class State:
    """The node says what works on it; the gateway does not know this event."""

    name: str
    wakefulness: Wakefulness


@dataclass(frozen=True, slots=True)
class Pass:
    """The event goes to the gateway.

    Attributes:
        params: rebuilt parameters of `node.event`.
        allow: the proof.
        background: whether it says that the app went to the background.
        on_fault: the answer when the gateway gives none.
        subscription: the session whose chat is followed from now on (True) or no longer; None: none.
    """

    params: JsonObject = field(repr=False)
    allow: Allow
    background: bool = False
    on_fault: Callable[[Fault], Response] | None = None
    subscription: tuple[str, bool] | None = None

    def shape(self, response: Response) -> Response:
        """What the node sees of the gateway's answer: no error for an event that asks for nothing.

        The gateway refuses the events of a node whose surface is not approved (`PAIRING_CHANGED`).
        """
        changed = response.error is not None and response.error.detail("code") == "PAIRING_CHANGED"
        return self.on_fault(Fault.DOWN) if changed and self.on_fault is not None else response


Reading = Bad | Answer | State | Pass


def handled(name: str, reason: str | None = None) -> JsonObject:
    """Returns an answer to `node.event`: handled, or not and why."""
    payload: JsonObject = {"ok": True, "event": name, "handled": reason is None}
    if reason is not None:
        payload["reason"] = reason
    return payload


def read_event(params: Json, subject: Subject, policy: Policy, gateway_hello: Mapping[str, Json]) -> Reading:
    """Decides what becomes of an event.

    Args:
        params: of `node.event`.
        subject: whom the ACL sees.
        policy: the policy in force.
        gateway_hello: the gateway's hello-ok, which says what its main session is called; may be empty.
    """
    fields = object_of(params)
    name = text_of(fields, "event")
    if name is None or len(name) > 128:
        return Bad("invalid node.event params")
    if name == NOTIFICATION:
        return _notification(fields, subject, policy)
    if name in _TURNS:
        return _turn(name, fields, subject, policy, gateway_hello)
    decision = decide(policy, subject, Call(Direction.NODE_EVENT, name))
    if not isinstance(decision, Allow):
        return Answer(handled(name, "not_permitted"))
    try:
        payload = _payload(fields, Bounds(max_bytes=MAX_PAYLOAD_BYTES))
    except FrameError:
        return Answer(handled(name, "invalid_payload"))
    if name == "node.state":
        state = read_state(payload)
        return State(name, state) if state is not None else Answer(handled(name, "invalid_payload"))
    background = name == "node.presence.alive" and object_of(payload).get("trigger") == "background"
    about = subscription(name, payload)
    if about is not None:
        session = plain_session(about[0], None, gateway_hello)
        decision = decide(policy, subject, Call(Direction.NODE_EVENT, name, session=session))
        if not isinstance(decision, Allow):
            return Answer(handled(name, "not_permitted"))
    return Pass(_as_given(name, fields), decision, background, lambda _: _unhandled(name), about)


def _unhandled(name: str) -> Response:
    return answers.ok("", handled(name, "gateway_unavailable"))


def _as_given(name: str, fields: JsonObject) -> JsonObject:
    if isinstance(fields.get("payloadJSON"), str):
        return {"event": name, "payloadJSON": fields["payloadJSON"]}
    if fields.get("payload") is not None:
        return {"event": name, "payload": fields["payload"]}
    return {"event": name}


def _payload(fields: JsonObject, bounds: Bounds) -> Json:
    text = fields.get("payloadJSON")
    if isinstance(text, str):  # a string wins over an object (gateway-protocol §6)
        return parse_json(text.encode("utf-8"), bounds)
    payload = fields.get("payload")
    if payload is not None and len(orjson.dumps(payload)) > bounds.max_bytes:
        return parse_json(orjson.dumps(payload), bounds)
    return payload


def _turn(
    name: str, fields: JsonObject, subject: Subject, policy: Policy, gateway_hello: Mapping[str, Json]
) -> Reading:
    try:
        payload = object_of(_payload(fields, TURN_BOUNDS))
        members = turn_members(payload, _TURNS[name])
    except (FrameError, ParamsError):
        return Answer(handled(name, "invalid_payload"))
    session = turn_session(payload, gateway_hello)
    call = Call(Direction.NODE_EVENT, name, session=session, text=text_of(payload, _TURNS[name]))
    decision = decide(policy, subject, call)
    if not isinstance(decision, Allow):
        return Answer(handled(name, "not_permitted"))
    if name == "voice.transcript":
        members = _transcript(members, payload)
    text = orjson.dumps(members).decode("utf-8")
    return Pass({"event": name, "payloadJSON": text}, decision)


def _notification(fields: JsonObject, subject: Subject, policy: Policy) -> Reading:
    """A notification goes to the main session, whatever session the phone names: no app of the phone chooses one."""
    decision = decide(policy, subject, Call(Direction.NODE_EVENT, NOTIFICATION))
    if not isinstance(decision, Allow):
        return Answer(handled(NOTIFICATION, "not_permitted"))
    try:
        payload = object_of(_payload(fields, Bounds(max_bytes=MAX_PAYLOAD_BYTES)))
    except FrameError:
        return Answer(handled(NOTIFICATION, "invalid_payload"))
    members: JsonObject = {
        name: one_line(text)[:limit]
        for name, limit in _NOTIFICATION_CHARS.items()
        if (text := text_of(payload, name)) is not None
    }
    if payload.get("change") not in ("posted", "removed") or not members.get("key"):
        return Answer(handled(NOTIFICATION, "invalid_payload"))
    text = orjson.dumps({"change": payload["change"], **members}).decode("utf-8")
    return Pass({"event": NOTIFICATION, "payloadJSON": text}, decision, on_fault=lambda _: _unhandled(NOTIFICATION))


def one_line(text: str) -> str:
    """Returns a text without what could end its line or hide in it: another app of the phone has written it."""
    return "".join(char if char.isprintable() else " " for char in text).strip()


def _transcript(members: JsonObject, payload: JsonObject) -> JsonObject:
    out: JsonObject = {name: members[name] for name in ("text", "sessionKey")}
    for name in _TRANSCRIPT_IDS:
        value = text_of(payload, name)
        if value is not None and len(value) <= 256:
            out[name] = value
    for name in _TRANSCRIPT_COUNTS:
        count = payload.get(name)
        if isinstance(count, int | float) and not isinstance(count, bool):
            out[name] = count
    return out
