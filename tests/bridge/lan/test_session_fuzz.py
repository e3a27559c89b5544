"""Whatever comes in whatever order: no exception, nothing after the end, no forward without its permission."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from acl.model import Allow, Direction
from acl.permissions import PROFILES, Permission
from bridge.lan.events import (
    AdmissionFailed,
    Admitted,
    Answered,
    CodeRefused,
    Decided,
    Ended,
    Fault,
    Filed,
    FilingFailed,
    Forward,
    FromGateway,
    LinkLost,
    Lost,
    NotFiled,
    Outcome,
    Oversized,
    Report,
    SessionEvent,
    Unanswered,
)
from bridge.pairing.records import Role
from gateway_client.frames import Event
from tests.bridge.lan.phones import ANDROID, IPHONE, NODE_TOKEN, OPERATOR_TOKEN, Json
from tests.bridge.lan.playbook import Talk, bad, book, good, node_in, operator_in, play

METHODS = st.sampled_from(
    [
        *("health", "connect", "node.event", "node.invoke.result", "node.invoke.progress", "node.pending.pull"),
        *("node.pending.ack", "node.pending.drain", "node.list", "node.invoke", "agent", "agent.wait", "voicewake.get"),
        *("skills.bins", "chat.send", "chat.history", "agents.list", "config.set", "node.pluginSurface.refresh", "x"),
    ]
)
IDS = st.sampled_from(["i1", "i2", "k"])
EVENT_NAMES = st.sampled_from(
    ["voice.transcript", "agent.request", "node.state", "node.presence.alive", "chat.subscribe", "exec.started", "x"]
)
TEXTS = ['{"text":"hi"}', '{"message":"hi"}', '{"state":"background"}', "[", "7"]
LEAVES = st.none() | st.booleans() | st.integers(-5, 2**53 - 1) | st.text(max_size=8) | IDS | EVENT_NAMES
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(IDS, inner, max_size=3), max_leaves=6
)
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "id": IDS,
        "invokeId": IDS,
        "nodeId": st.sampled_from([IPHONE.node_id, ANDROID.node_id, "x"]),
        "ok": st.booleans(),
        "seq": st.integers(-1, 3),
        "chunk": st.text(max_size=5),
        "event": EVENT_NAMES,
        "payload": VALUES,
        "payloadJSON": st.sampled_from(['{"text":"hi"}', '{"message":"hi"}', '{"state":"background"}', "[", "7"])
        | VALUES,
        "ids": st.lists(IDS, max_size=2) | VALUES,
        "command": st.sampled_from(["screen.show", "system.run"]) | VALUES,
        "idempotencyKey": IDS | VALUES,
        "message": st.sampled_from(["hi", "/new"]) | VALUES,
        "sessionKey": st.sampled_from(["main", "agent:main:main", "work"]) | VALUES,
        "timeoutMs": st.integers(-1, 10**7) | VALUES,
        "error": VALUES,
        "attachments": VALUES,
    },
)
FROM_GATEWAY = st.builds(
    Event,
    st.sampled_from(
        ["node.invoke.request", "node.invoke.cancel", "node.invoke.input", "chat", "agent", "tick", "voicewake.changed"]
    ),
    PARAMS | VALUES,
)
SENT_BY_GATEWAY = st.builds(
    lambda invoke_id, command: Event("node.invoke.request", {"id": invoke_id, "command": command, "timeoutMs": 5_000}),
    IDS,
    st.sampled_from(["screen.show", "device.info", "system.run"]),
)
ANSWERS = st.sampled_from(
    [
        good({"ok": True}),
        good({"actions": [{"id": "a", "command": "system.run"}, {"id": "b", "command": "screen.show"}, 7]}),
        good({"nodes": [{"nodeId": IPHONE.gateway_id}, None]}),
        bad("UNAVAILABLE", "x", {"code": "PAIRING_CHANGED"}),
        good(None),
    ]
)
KEYS = st.sampled_from(["1", "2", "3", "r1", "r2", "r3", "a1"])
INSIDE: st.SearchStrategy[SessionEvent] = st.one_of(
    st.builds(Filed, IDS),
    st.builds(FilingFailed, st.sampled_from(NotFiled)),
    st.builds(Decided, st.sampled_from(Outcome)),
    st.builds(
        Admitted,
        st.sampled_from([IPHONE.record(), IPHONE.record(frozenset(Permission)), IPHONE.tombstone(), ANDROID.record()]),
        st.sampled_from([{}, {Role.NODE: "n" * 43}]),
    ),
    st.just(CodeRefused()),
    st.just(AdmissionFailed()),
    st.builds(FromGateway, FROM_GATEWAY | SENT_BY_GATEWAY),
    st.builds(Answered, KEYS, ANSWERS, st.booleans()),
    st.builds(Unanswered, KEYS, st.sampled_from(Fault)),
    st.just(LinkLost()),
    st.builds(Oversized, FROM_GATEWAY, st.just(2**25)),
)
ENDS: st.SearchStrategy[SessionEvent] = st.just(Lost()) | st.builds(Ended, st.just(1012), st.just("x"), st.booleans())
CONNECTS = st.builds(
    lambda phone, role, auth: phone.connect(role, auth),
    st.sampled_from([IPHONE, ANDROID]),
    st.sampled_from(["node", "operator"]),
    st.sampled_from([None, {"token": NODE_TOKEN}, {"deviceToken": OPERATOR_TOKEN}, {"bootstrapToken": "b"}]),
)
REQUESTS = st.builds(
    lambda number, method, params: {"type": "req", "id": number, "method": method, "params": params},
    st.integers(0, 30).map(str),
    METHODS,
    PARAMS | VALUES,
)
STEPS = st.lists(
    st.one_of(REQUESTS, REQUESTS, INSIDE, INSIDE, CONNECTS, st.binary(max_size=30), st.floats(0, 40), ENDS), max_size=20
)


class Watched(Talk):
    """A conversation that holds every command against what must always be true."""

    # The frames of such a conversation are nonsense on purpose; the schema is asked elsewhere.
    def _hold_against_schema(self, command: Any) -> None:
        if isinstance(command, Forward):
            assert isinstance(command.allow, Allow)
            call = command.allow.call
            if call.direction is Direction.NODE_EVENT:
                assert (command.method, call.name) == ("node.event", command.params["event"])
            else:
                assert call.name == command.method
            if command.method == "node.invoke":
                assert call.command == command.params["command"]
            if command.method == "agent":
                assert call.text == command.params["message"]
        if isinstance(command, Report):
            assert command.error.as_json().keys() == {"code", "message"}


def watch(talk: Talk) -> Watched:
    watched = Watched.__new__(Watched)
    watched.__dict__ = talk.__dict__
    return watched


def go(talk: Watched, steps: list[Any]) -> Counter[str]:
    """Plays the steps; returns how many answers each request id got."""
    answers: Counter[str] = Counter()
    for step in steps:
        if isinstance(step, dict | bytes):
            talk.receives(step)
        elif isinstance(step, float):
            talk.after(step)
        else:
            talk.gets(step)
        answers.update(frame["id"] for frame in talk.sent if frame["type"] == "res")
    return answers


def answered_once(steps: list[Any], answers: Counter[str]) -> None:
    asked: Counter[str] = Counter()
    for step in steps:
        if isinstance(step, dict):
            asked[step["id"]] += 2 if step["method"] == "agent" else 1
    interim = {step.key for step in steps if isinstance(step, Answered) and not step.final}
    for request_id, count in answers.items():
        if not interim:
            assert count <= asked[request_id], request_id
        assert asked[request_id] > 0, request_id


@given(STEPS)
def test_a_socket_that_nobody_knows(steps: list[Any]) -> None:
    answered_once(steps, go(watch(play(book(IPHONE.record()))), steps))


@given(STEPS, st.sampled_from(list(PROFILES)))
def test_a_node_that_is_in(steps: list[Any], name: str) -> None:
    answered_once(steps, go(watch(node_in(IPHONE, PROFILES[name])), steps))


@given(STEPS)
def test_an_operator_that_is_in(steps: list[Any]) -> None:
    answered_once(steps, go(watch(operator_in(IPHONE, frozenset(Permission))), steps))


@given(st.lists(REQUESTS, max_size=10, unique_by=lambda frame: frame["id"]), st.data())
def test_every_request_gets_its_answer_however_the_gateway_answers(requests: list[Json], data: st.DataObject) -> None:
    talk = watch(node_in(IPHONE, frozenset(Permission)))
    answers: Counter[str] = Counter()
    waiting: list[str] = []
    for frame in requests:
        talk.receives(frame)
        if talk.closed is not None:
            return
        answers.update(sent["id"] for sent in talk.sent)
        waiting += [command.key for command in talk.did if isinstance(command, Forward)]
    while waiting:
        key = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
        answer = data.draw(ANSWERS)
        talk.gets(Answered(key, answer) if data.draw(st.booleans()) else Unanswered(key, Fault.GONE))
        answers.update(sent["id"] for sent in talk.sent)
        waiting += [c.key for c in talk.did if isinstance(c, Forward) and c.method != "node.pending.ack"]
    assert answers == Counter(frame["id"] for frame in requests)


@given(st.binary(max_size=200) | st.builds(orjson.dumps, VALUES))
def test_any_bytes_at_all(data: bytes) -> None:
    play().receives(data)
    node_in(IPHONE).receives(data)
