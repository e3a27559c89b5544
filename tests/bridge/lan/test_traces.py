"""What a session says for the audit log: every call that does not pass, by which rule, and every outcome."""

from __future__ import annotations

import pytest

from acl.model import Direction, OwnerRule, Policy
from acl.permissions import PROFILES, Permission
from bridge.lan.events import Answered, Oversized
from gateway_client.frames import Event
from tests.bridge.lan.invokes import LAN, answered, invoked, keyed
from tests.bridge.lan.phones import ANDROID, IPHONE, Json
from tests.bridge.lan.playbook import Talk, good, node_in, operator_in

EVERYTHING = frozenset(Permission)
CHAT = {"sessionKey": "main", "message": "hello", "idempotencyKey": "k"}
NO_EVAL = OwnerRule("no-eval-here", Direction.TO_NODE, "screen.eval", node=None, allow=False)


def traced(talk: Talk, event: str) -> list[Json]:
    """The fields of the notes of one event."""
    return [dict(note.fields) for note in talk.notes if note.event == event]


def test_what_an_app_tries_without_the_scope_leaves_a_trace_though_it_never_counts() -> None:
    """Thirty orders of a phone without `chat`; red when a refusal that does not count is not noted."""
    talk = operator_in(IPHONE, PROFILES["voice"], scopes=())
    for number in range(30):
        talk.asks("chat.send", CHAT, f"r{number}")
    assert talk.closed is None
    assert [(one["what"], one["code"]) for one in traced(talk, "scope-refused")] == [
        ("chat.send", "MISSING_SCOPE")
    ] * 30
    assert not traced(talk, "refused"), "a name of its own: it takes no line from what is no app's habit"


@pytest.mark.parametrize("role", ["node", "operator"])
def test_what_the_owner_s_policy_refuses_leaves_a_trace_with_its_rule(role: str) -> None:
    talk = node_in(IPHONE, EVERYTHING) if role == "node" else operator_in(IPHONE, EVERYTHING)
    talk.asks("agent" if role == "node" else "chat.send", {**CHAT, "sessionKey": "kitchen"})
    (refused,) = traced(talk, "refused")
    assert (refused["what"], refused["code"]) == ("agent" if role == "node" else "chat.send", "POLICY")
    assert refused["rule"]


def test_a_method_of_another_role_tells_the_rule_as_well() -> None:
    talk = node_in(IPHONE).asks("config.get")
    assert traced(talk, "refused") == [{"what": "config.get", "code": "INVALID_REQUEST", "rule": "default-deny"}]


def test_an_event_without_permission_leaves_a_trace() -> None:
    talk = node_in(IPHONE, PROFILES["voice"]).asks("node.event", {"event": "chat.subscribe", "payload": {}})
    assert talk.payload["handled"] is False
    assert traced(talk, "event-refused") == [{"what": "chat.subscribe"}]
    talk.asks("node.event", {"event": "node.presence.alive", "payload": {"trigger": "background"}}, "r2")
    assert len(traced(talk, "event-refused")) == 1


def test_a_command_that_is_refused_tells_by_which_rule() -> None:
    talk = node_in(IPHONE, EVERYTHING, policy=Policy(rules=(NO_EVAL,)))
    invoked(talk, "screen.eval")
    invoked(talk, "system.run", "i2")
    told = [(one["command"], one["code"], one.get("rule")) for one in traced(talk, "invoke-refused")]
    assert told == [("screen.eval", "FORBIDDEN", "no-eval-here"), ("system.run", "FORBIDDEN", None)]


@pytest.mark.parametrize(
    ("code", "told"), [("NODE_BACKGROUND_UNAVAILABLE",) * 2, ("my secret text", "other"), ("x" * 500, "other")]
)
def test_a_failure_of_the_node_is_told_by_its_code_if_it_is_one(code: str, told: str) -> None:
    """Red when whatever a node writes there is logged."""
    talk = answered(invoked(node_in(IPHONE)), ok=False, error={"code": code, "message": "planted"})
    (done,) = traced(talk, "invoke")
    assert (done["ok"], done["code"]) == (False, told)


def test_an_invoke_that_is_too_large_for_the_phone_leaves_a_trace() -> None:
    talk = invoked(node_in(IPHONE))
    talk.gets(Oversized(Event("node.invoke.request", {"id": "i1"}), 20_000_000))
    assert traced(talk, "invoke-refused") == [{"command": "screen.show", "code": "PAYLOAD_TOO_LARGE"}]


def test_a_cancelled_invoke_leaves_a_trace_when_the_phone_has_no_word_in_it() -> None:
    talk = keyed(keyed(node_in(IPHONE)), "i2")
    talk.gateway_says("node.invoke.cancel", {"invokeId": "i2"})
    assert traced(talk, "invoke-ended") == [{"command": "device.info", "code": "UNAVAILABLE"}]


def test_a_node_that_has_another_one_do_something_is_named() -> None:
    """The target's own line says what was done, and not for whom."""
    talk = node_in(IPHONE, EVERYTHING, ANDROID.record(), policy=Policy(invoke_targets=frozenset({ANDROID.node_id})))
    talk.asks("node.invoke", {"nodeId": ANDROID.node_id, "command": "screen.show", "idempotencyKey": "k"})
    assert traced(talk, "invoke-asked") == [{"command": "screen.show", "target": ANDROID.node_id}]
    assert talk.session.node_id == LAN


def test_what_waited_at_the_gateway_leaves_a_trace_when_it_is_fetched_and_when_it_is_refused() -> None:
    """Red when only answers to invokes do: a queued command would reach the phone and leave none."""
    actions: list[Json] = [
        {"id": "a1", "command": "device.info", "paramsJSON": '{"planted":1}'},
        {"id": "a2", "command": "device.info"},
        {"id": "a3", "command": "system.run"},
        {"id": "a4", "command": "camera.snap"},
    ]
    talk = node_in(IPHONE).asks("node.pending.pull", {})
    talk.gets(Answered(talk.forward.key, good({"actions": [*actions]})))
    assert traced(talk, "pending-fetched") == [{"command": "device.info", "count": 2}]
    assert traced(talk, "pending-refused") == [{"count": 2, "commands": ["camera.snap", "system.run"]}]
    talk.asks("voicewake.get", {}, "r2")
    talk.gets(Answered(talk.forward.key, good({})))
    assert len(traced(talk, "pending-fetched")) == 1, "once for each time it is fetched"
    assert "planted" not in str([note.fields for note in talk.notes])


def test_notes_hold_names_only() -> None:
    """Every field that is noted here is a short text, a number or a flag."""
    talk = answered(invoked(node_in(IPHONE)), payloadJSON='{"planted":1}')
    assert "planted" not in str([note.fields for note in talk.notes])
    assert traced(talk, "invoke"), "the positive control"


@pytest.mark.parametrize(
    ("method", "params", "what"),
    [
        ("agent", {"message": "hello", "idempotencyKey": "k"}, "agent"),
        ("node.event", {"event": "voice.transcript", "payload": {"text": "hello"}}, "voice.transcript"),
        ("node.event", {"event": "agent.request", "payload": {"message": "hello"}}, "agent.request"),
        ("node.event", {"event": "notifications.changed", "payload": {"change": "posted", "key": "k"}}, None),
        ("chat.send", CHAT, "chat.send"),
        ("chat.abort", {"sessionKey": "main"}, "chat.abort"),
    ],
)
def test_what_sets_the_agent_to_work_leaves_a_trace_without_its_words(
    method: str, params: Json, what: str | None
) -> None:
    """Red when `Forwarding.send` does not ask `is_order`. The control is what only reads or tells."""
    operators = method.startswith("chat.")
    talk = operator_in(IPHONE, EVERYTHING) if operators else node_in(IPHONE, EVERYTHING)
    talk.asks(method, params)
    (order,) = traced(talk, "order")
    assert (order["what"], set(order)) == (what or "notifications.changed", {"what", "rule"})
    talk.asks(*(("chat.history", {"sessionKey": "main"}) if operators else ("voicewake.get", {})), "r2")
    assert len(traced(talk, "order")) == 1
