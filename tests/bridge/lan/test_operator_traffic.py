"""The operator socket of a phone: exactly the listed methods, rebuilt; runs of what it asked about, whole or not."""

from __future__ import annotations

from typing import Any

import pytest

from acl.model import Policy
from acl.permissions import PROFILES, Permission
from acl.rules import RULES
from bridge.lan.events import Answered, Fault, Gap, Link, LinkLost, Oversized, Report, Unanswered
from bridge.lan.operator_params import PARAMS
from gateway_client.frames import Event, Response
from tests.bridge.lan.phones import IPHONE, Json
from tests.bridge.lan.playbook import Book, Talk, event, good, ok, operator_in
from tests.support import schema

ALL = frozenset(Permission)
METHODS = {name for rule in RULES if rule.direction == "from-operator" for name in rule.names}
MAIN = "agent:main:main"
WRITES = {"chat.send", "chat.abort", "agent.wait"}
ANSWERED = {"sessions.subscribe", "sessions.messages.subscribe", "sessions.messages.unsubscribe"}
"""Answered by the bridge: a subscription of the link that all phones share would be everybody's."""


NEEDED: dict[str, Json] = {  # the least that the gateway takes
    "chat.history": {"sessionKey": "main"},
    "chat.send": {"sessionKey": "main", "message": "hi", "idempotencyKey": "k"},
    "chat.abort": {"sessionKey": "main"},
    "agent.wait": {"runId": "r"},
    "sessions.preview": {"keys": ["main"]},
    "sessions.messages.subscribe": {"key": MAIN},
    "sessions.messages.unsubscribe": {"key": MAIN},
    "sessions.branches.list": {"sessionKey": MAIN},
    "progressCard.get": {"sessionKey": MAIN},
    "artifacts.download": {"sessionKey": MAIN, "artifactId": "a"},
    "tools.effective": {"sessionKey": MAIN},
}


def run(**members: Any) -> Json:
    return {"runId": "r1", "sessionKey": MAIN, "seq": 1, **members}


def test_the_members_of_every_listed_method_are_listed_too() -> None:
    assert PARAMS.keys() | {"health"} == METHODS


@pytest.mark.real
def test_of_all_methods_of_the_gateway_the_listed_ones_are_forwarded_and_no_other() -> None:
    everything = sorted(schema.known_methods() | METHODS)
    assert len(everything) > 300
    for method in everything:
        talk = operator_in(IPHONE, ALL).asks(method, NEEDED.get(method, {}))
        if method == "health":
            assert talk.payload["ok"] is True
        elif method in ANSWERED:
            assert talk.payload["subscribed"] is not method.endswith("unsubscribe")
        elif method in METHODS:
            assert (talk.forward.method, talk.forward.link, talk.sent) == (method, Link.OPERATOR, [])
        else:
            assert talk.details["code"] == "MISSING_SCOPE", method
            assert talk.details["requiredScopes"] == [talk.details["missingScope"]]


@pytest.mark.parametrize("method", sorted(METHODS - {"health"}))
def test_each_method_needs_its_scope(method: str) -> None:
    scope = "operator.write" if method in WRITES else "operator.read"
    other = "operator.read" if method in WRITES else "operator.write"
    params = NEEDED.get(method, {})
    asked = operator_in(IPHONE, ALL, scopes=(scope,)).asks(method, params)
    assert asked.payload if method in ANSWERED else asked.forward.method == method
    talk = operator_in(IPHONE, ALL, scopes=(other, "operator.admin")).asks(method, params)
    assert talk.error == {
        "code": "FORBIDDEN",
        "message": f"missing scope: {scope}",
        "details": {"code": "MISSING_SCOPE", "missingScope": scope, "requiredScopes": [scope]},
    }


@pytest.mark.parametrize("name", ["voice", "voice+screen"])
@pytest.mark.parametrize("method", sorted(METHODS - {"health"}))
def test_without_chat_there_is_health_and_nothing_else(name: str, method: str) -> None:
    talk = operator_in(IPHONE, PROFILES[name]).asks(method, {})
    assert talk.details["code"] == "MISSING_SCOPE"


@pytest.mark.parametrize("key", ["main", MAIN])
def test_a_subscription_is_answered_here_and_not_forwarded(key: str) -> None:
    talk = operator_in(IPHONE, ALL)
    talk.asks("sessions.subscribe", {"limit": 80}).sends(ok({"subscribed": True}))
    talk.asks("sessions.messages.subscribe", {"key": key}).sends(ok({"subscribed": True, "key": key}))
    assert talk.gateway_says("chat", run(state="final")).sent
    talk.asks("sessions.messages.unsubscribe", {"key": key}).sends(ok({"subscribed": False, "key": key}))


def test_the_end_of_a_subscription_is_no_interest_in_a_session() -> None:
    talk = operator_in(IPHONE, ALL).asks("sessions.messages.unsubscribe", {"key": MAIN})
    talk.gateway_says("chat", run(state="final")).does()


@pytest.mark.parametrize("method", sorted(PARAMS.keys() - ANSWERED))
def test_only_the_listed_members_pass(method: str) -> None:
    given = NEEDED.get(method, {})
    smuggled = {"approved": True, "to": "+1", "deliver": True, "systemPrompt": "x", "senderIsOwner": True, "auth": {}}
    assert operator_in(IPHONE, ALL).asks(method, {**given, **smuggled}).forward.params == given


@pytest.mark.parametrize("method", NEEDED)
def test_a_call_without_what_it_needs_or_of_another_type_is_answered_here(method: str) -> None:
    for name in NEEDED[method]:
        for params in ({**NEEDED[method], name: 7}, {k: v for k, v in NEEDED[method].items() if k != name}):
            talk = operator_in(IPHONE, ALL).asks(method, params)
            assert (talk.error["code"], talk.did[1:]) == ("INVALID_REQUEST", [])
            assert name in talk.error["message"]


@pytest.mark.parametrize("params", [None, [], "x", 7])
def test_parameters_that_are_no_object_become_an_empty_one(params: Any) -> None:
    assert operator_in(IPHONE).asks("agents.list", params).forward.params == {}


@pytest.mark.parametrize(
    ("params", "seconds"), [({}, 35.0), ({"timeoutMs": 60_000}, 65.0), ({"timeoutMs": 10_000_000}, 3_605.0)]
)
def test_an_answer_is_waited_for_as_long_as_the_app_does(params: Json, seconds: float) -> None:
    assert operator_in(IPHONE).asks("agent.wait", {"runId": "r", **params}).forward.wait_s == seconds


@pytest.mark.parametrize("fault", Fault)
def test_a_call_without_an_answer_fails_typed(fault: Fault) -> None:
    talk = operator_in(IPHONE).asks("agents.list", {})
    talk.gets(Unanswered(talk.forward.key, fault))
    assert talk.error["code"] in {"UNAVAILABLE", "TIMEOUT", "PAYLOAD_TOO_LARGE"}


def test_an_answer_that_is_too_long_is_replaced_by_one_that_says_so() -> None:
    talk = operator_in(IPHONE).asks("chat.history", {"sessionKey": "main"})
    talk.gets(Answered(talk.forward.key, good({"messages": []})))
    talk.gets(Oversized(Response("r1", True, {"messages": []}), 17_000_000))
    assert (talk.error["code"], talk.sent[0]["id"]) == ("PAYLOAD_TOO_LARGE", "r1")


# Events.


def followed(*sessions: str) -> Talk:
    talk = operator_in(IPHONE, ALL)
    for session in sessions:
        talk.asks("chat.history", {"sessionKey": session}).gets(Answered(talk.forward.key, good({})))
    return talk


@pytest.mark.parametrize("asked", ["main", MAIN])
def test_a_run_of_a_session_that_was_asked_about_is_shown(asked: str) -> None:
    payload = run(state="delta", deltaText="He", message={"role": "assistant"})
    followed(asked).gateway_says("chat", payload, 12).sends(event("chat", payload))


@pytest.mark.parametrize("name", ["chat", "agent"])
def test_a_session_that_was_not_asked_about_stays_away(name: str) -> None:
    followed("main").gateway_says(name, run(sessionKey="agent:main:work", state="final", stream="s")).does()
    operator_in(IPHONE, ALL).gateway_says(name, run(state="final", stream="s")).does()


@pytest.mark.parametrize("method", ["sessions.messages.subscribe", "chat.send", "sessions.resolve"])
def test_every_call_that_names_a_session_is_interest_in_it(method: str) -> None:
    key = "key" if method.startswith("sessions") else "sessionKey"
    talk = operator_in(IPHONE, ALL).asks(method, {**NEEDED.get(method, {}), key: MAIN})
    assert talk.gateway_says("chat", run(state="final")).sent


def test_after_the_end_of_a_subscription_nothing_comes() -> None:
    talk = followed("main")
    talk.asks("sessions.messages.unsubscribe", {"key": MAIN})
    talk.gateway_says("chat", run(state="final")).does()


def test_a_call_of_another_agent_is_no_interest_in_the_main_session() -> None:
    policy = Policy(agent_sessions=frozenset({"main", "agent:other:main"}))
    talk = operator_in(IPHONE, ALL, policy=policy).asks("chat.history", {"sessionKey": "main", "agentId": "other"})
    talk.gateway_says("chat", run(state="final")).does()
    assert talk.gateway_says("chat", run(sessionKey="agent:other:main", state="final")).sent


@pytest.mark.parametrize("method", ["chat.startup", "chat.history"])
def test_another_agent_s_main_session_is_another_session(method: str) -> None:
    """Without the key that `_call` gives `chat.startup`, another agent's main session is read."""
    params = {"agentId": "other"} if method == "chat.startup" else {"agentId": "other", "sessionKey": "main"}
    assert operator_in(IPHONE, ALL).asks(method, params).error["code"] == "FORBIDDEN"
    assert operator_in(IPHONE, ALL).asks(method, {**params, "agentId": "main"}).forward.method == method


def test_the_gateway_s_own_main_session_is_main() -> None:
    defaults: Json = {"defaultAgentId": "home", "mainKey": "main", "mainSessionKey": "agent:home:main"}
    talk = operator_in(IPHONE, ALL, gateway_hello={"snapshot": {"sessionDefaults": defaults}})
    talk.asks("chat.history", {"sessionKey": "main"})
    assert talk.gateway_says("chat", run(sessionKey="agent:home:main", state="final")).sent
    talk.gateway_says("chat", run(sessionKey="agent:home:work", state="final")).does()


def test_an_event_that_the_gateway_has_counted_and_not_sent_leaves_a_gap() -> None:
    talk = followed("main")
    assert talk.gateway_says("chat", run(state="delta", deltaText="He", message={}), 7).sent
    assert talk.gateway_says("chat", run(state="delta", deltaText="l"), 8).sent
    talk.gateway_says("tick", {"ts": 1}, 9).does()
    assert talk.gateway_says("chat", run(state="delta", deltaText="l"), 10).sent
    talk.gateway_says("chat", run(state="delta", deltaText="!"), 12).does()
    assert talk.gateway_says("chat", run(state="final"), 13).sent


def test_a_call_that_was_refused_is_no_interest() -> None:
    talk = operator_in(IPHONE, ALL, scopes=("operator.read",)).asks("chat.send", NEEDED["chat.send"])
    talk.gateway_says("chat", run(state="final")).does()


def test_a_run_that_was_entered_in_the_middle_is_withheld_until_it_ends() -> None:
    talk = followed("main")
    talk.gateway_says("chat", run(state="delta", deltaText="llo")).does()
    talk.gateway_says("chat", run(state="delta", deltaText=" world", message={"role": "assistant"})).does()
    assert talk.gateway_says("chat", run(state="final", message={"role": "assistant"})).sent


@pytest.mark.parametrize("lost", [LinkLost(), Gap()])
def test_a_link_or_an_event_that_was_lost_leaves_a_gap(lost: LinkLost | Gap) -> None:
    talk = followed("main")
    assert talk.gateway_says("chat", run(state="delta", deltaText="He", message={})).sent
    talk.gets(lost).gateway_says("chat", run(state="delta", deltaText="llo")).does()


def test_so_does_what_the_owner_has_withheld_for_a_while() -> None:
    """Red without `missed` in `_on_gateway_event`: the run would go on after a hole."""
    talk = followed("main")
    assert talk.gateway_says("chat", run(state="delta", deltaText="He", message={})).sent
    directory = talk.session.directory
    assert isinstance(directory, Book)
    directory.policy = Policy(agent_sessions=frozenset({"other"}))
    talk.gateway_says("chat", run(state="delta", deltaText="l")).does()
    directory.policy = Policy()
    talk.gateway_says("chat", run(state="delta", deltaText="lo")).does()


def test_so_does_an_event_that_was_too_long() -> None:
    talk = followed("main")
    assert talk.gateway_says("chat", run(state="delta", deltaText="He", message={})).sent
    talk.gets(Oversized(Event("chat", {}), 17_000_000)).does()
    talk.gateway_says("chat", run(state="delta", deltaText="llo")).does()


@pytest.mark.parametrize(
    "name", ["tick", "health", "presence", "exec.approval.requested", "session.message", "sessions.changed", "shutdown"]
)
def test_every_other_event_stays_away(name: str) -> None:
    followed("main").gateway_says(name, run(state="final"), 3).does()


@pytest.mark.parametrize(
    ("name", "payload"),
    [("voicewake.changed", {"triggers": ["hey"]}), ("voicewake.routing.changed", {"config": {"a": 1}})],
)
def test_voice_wake_needs_voice(name: str, payload: Json) -> None:
    operator_in(IPHONE, ALL).gateway_says(name, payload, 4).sends(event(name, payload))
    operator_in(IPHONE, ALL - {Permission.VOICE}).gateway_says(name, payload).does()


def test_an_operator_is_no_node() -> None:
    talk = operator_in(IPHONE, ALL)
    talk.gateway_says("node.invoke.request", {"id": "i", "nodeId": IPHONE.gateway_id, "command": "screen.show"}).does()
    talk.asks("node.invoke.result", {"id": "i", "nodeId": IPHONE.node_id, "ok": True})
    assert talk.details["code"] == "MISSING_SCOPE"
    assert not [command for command in talk.did if isinstance(command, Report)]
    assert not talk.session.in_background


def test_an_operator_socket_waits_for_nothing_but_its_tick() -> None:
    talk = operator_in(IPHONE, ALL).asks("agents.list", {})
    assert talk.session.next_deadline() == talk.now.mono + 30
    talk.after(30)
    assert [frame["event"] for frame in talk.sent] == ["tick"]
    assert ok({}, "r1") not in talk.sent
