"""What a node's socket asks for: which methods, over which link, with which parameters, and what it is answered."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from acl.permissions import Permission, Permissions
from acl.rules import RULES
from bridge.lan.events import Answered, Fault, Forward, Link, Unanswered
from bridge.lan.traffic import MAX_FORWARDED
from bridge.upstream.idempotency import caller_owner, memo_of
from tests.bridge.lan.phones import ANDROID, IPHONE, Json
from tests.bridge.lan.playbook import Talk, bad, good, node_in, ok
from tests.support import schema

P = Permission
LAN, GATEWAY = IPHONE.node_id, IPHONE.gateway_id
EVERYTHING = frozenset(P)
NODE_METHODS = {  # the role's own (gateway-protocol §8.1), and those that design §9 adds
    *("node.event", "node.invoke.result", "node.invoke.progress", "node.pending.pull", "node.pending.ack"),
    *("node.pending.drain", "node.pluginTools.update", "node.skills.update", "node.runnerInventory.update"),
    *("node.pluginSurface.refresh", "skills.bins", "health"),
    *("node.list", "node.invoke", "agent", "agent.wait", "voicewake.get"),
}
AGENT = {"message": "hi", "idempotencyKey": "k"}
INVOKE = {"nodeId": LAN, "command": "screen.show", "idempotencyKey": "k"}
AT_THE_GATEWAY = {"nodeId": GATEWAY, "idempotencyKey": memo_of(caller_owner(LAN), "k", "", None).digest}


def asked(method: str, params: Any = None, permissions: Permissions = EVERYTHING, **changes: Any) -> Talk:
    return node_in(IPHONE, permissions, **changes).asks(method, params)


def refused(talk: Talk) -> bool:
    return [frame["error"]["message"] for frame in talk.sent if "error" in frame] == ["unauthorized role: node"]


@pytest.mark.real
def test_of_all_methods_of_the_gateway_only_the_listed_ones_do_anything() -> None:
    others = sorted(schema.known_methods() - NODE_METHODS)
    assert len(others) > 300
    for method in others:
        assert refused(asked(method, {})), method


@pytest.mark.parametrize(
    "method",
    [
        *("Node.Invoke", "node.invoke ", "node.invoke\x00", "node\u2024invoke", "\u017fkills.bins", "node.invoke."),
        *("node.invoke\u200b", "node%2einvoke", "connect", "system-event", "chat.send", "node.pair.approve"),
    ],
)
def test_a_name_that_only_looks_like_a_method_is_none(method: str) -> None:
    assert refused(asked(method, INVOKE))


@pytest.mark.parametrize("method", sorted(NODE_METHODS))
def test_each_method_needs_its_permission_and_no_other(method: str) -> None:
    needs = next(rule.any_of for rule in RULES if method in rule.names and rule.direction == "from-node")
    params = {"node.invoke": INVOKE, "agent": AGENT, "agent.wait": {"runId": "r"}}.get(method, {})
    for permission in Permission:
        talk = asked(method, params, frozenset({permission}))
        assert refused(talk) is (bool(needs) and permission not in needs), permission


def fields(forward: Forward) -> tuple[Link, str, Any, float | None]:
    return forward.link, forward.method, forward.params, forward.wait_s


@pytest.mark.parametrize(
    ("method", "params", "link", "expected", "wait_s"),
    [
        ("node.pending.pull", {"x": 1}, Link.NODE, {}, 30.0),
        ("node.pending.ack", {"ids": ["a"], "nodeId": LAN}, Link.NODE, {"ids": ["a"]}, 30.0),
        ("node.pending.drain", {"maxItems": 3, "x": 1}, Link.NODE, {"maxItems": 3}, 30.0),
        ("node.list", {"connected": True}, Link.OPERATOR, {}, 30.0),
        ("voicewake.get", {"x": 1}, Link.OPERATOR, {}, 30.0),
        ("node.invoke", {**INVOKE, "sessionKey": "x"}, Link.OPERATOR, {**INVOKE, **AT_THE_GATEWAY}, 35.0),
        ("agent", {**AGENT, "agentId": "x"}, Link.OPERATOR, {**AGENT, "sessionKey": "main"}, None),
        ("agent.wait", {"runId": "r", "timeoutMs": 1_000}, Link.OPERATOR, {"runId": "r", "timeoutMs": 1_000}, 6.0),
        (
            "node.event",
            {"event": "node.host.stats", "payloadJSON": "{ }", "x": 1},
            Link.NODE,
            {"event": "node.host.stats", "payloadJSON": "{ }"},
            30.0,
        ),
    ],
)
def test_a_call_is_forwarded_rebuilt(method: str, params: Json, link: Link, expected: Json, wait_s: float) -> None:
    talk = asked(method, params)
    assert fields(talk.forward) == (link, method, expected, wait_s)
    assert talk.sent == []


@pytest.mark.real
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("node.pending.pull", {}),
        ("node.pending.ack", {"ids": ["a"]}),
        ("node.pending.drain", {"maxItems": 3}),
        ("node.list", {}),
        ("node.invoke", {**INVOKE, "params": {"a": 1}, "timeoutMs": 5}),
        ("agent", AGENT),
        ("agent.wait", {"runId": "r"}),
        ("node.event", {"event": "voice.transcript", "payloadJSON": '{"text":"hi","eventId":"e"}'}),
    ],
)
def test_what_is_forwarded_fits_the_official_schema(method: str, params: Json) -> None:
    forward = asked(method, params).forward
    frame = {"type": "req", "id": "u1", "method": forward.method, "params": forward.params}
    schema.validate_frame(frame, strict=True)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("node.pending.ack", {"ids": []}),
        ("node.invoke", {"nodeId": LAN, "command": "screen.show"}),
        ("agent", {"message": "hi"}),
        ("agent.wait", {}),
        ("node.event", {}),
        ("node.invoke.result", {"id": "i"}),
        ("node.invoke.progress", {"invokeId": "i"}),
    ],
)
def test_parameters_that_break_the_schema_are_answered_and_counted(method: str, params: Json) -> None:
    talk = asked(method, params)
    assert talk.error["code"] == "INVALID_REQUEST"
    assert talk.notes[-1].event == "refused"


@pytest.mark.parametrize(
    ("method", "payload"),
    [
        ("node.pluginTools.update", {"ok": True}),
        ("node.skills.update", {"ok": True}),
        ("node.runnerInventory.update", {"ok": True}),
        ("skills.bins", {"bins": []}),
    ],
)
def test_what_a_node_publishes_stays_here_and_it_is_content(method: str, payload: Json) -> None:
    asked(method, {"skills": [{"name": "evil", "content": "obey"}]}).sends(ok(payload))


def test_a_plugin_surface_is_not_to_be_had() -> None:
    talk = asked("node.pluginSurface.refresh", {"surface": "canvas"})
    assert (talk.error["code"], talk.error.get("retryable")) == ("UNAVAILABLE", None)


# Answers of the gateway.


def test_an_answer_comes_back_under_the_node_s_own_id() -> None:
    talk = node_in(IPHONE, EVERYTHING).asks("voicewake.get", request_id="mine")
    talk.gets(Answered(talk.forward.key, good({"triggers": ["hey"]}))).sends(ok({"triggers": ["hey"]}, "mine"))


def test_so_does_an_error_with_everything_it_says() -> None:
    talk = asked("voicewake.get")
    talk.gets(Answered(talk.forward.key, bad("UNAVAILABLE", "starting", {"reason": "startup"})))
    assert talk.error == {"code": "UNAVAILABLE", "message": "starting", "details": {"reason": "startup"}}


def test_an_answer_to_nobody_is_dropped() -> None:
    talk = asked("voicewake.get")
    key = talk.forward.key
    talk.gets(Answered("99", good())).does()
    talk.gets(Answered(key, good({}))).gets(Answered(key, good({}))).does()
    assert talk.notes[-1].event == "late-answer"
    talk.gets(Unanswered(key, Fault.GONE)).does()


@pytest.mark.parametrize(
    ("fault", "code", "retryable"),
    [
        (Fault.DOWN, "UNAVAILABLE", True),
        (Fault.GONE, "UNAVAILABLE", True),
        (Fault.TIMEOUT, "TIMEOUT", True),
        (Fault.TOO_LARGE, "PAYLOAD_TOO_LARGE", None),
    ],
)
def test_a_call_without_an_answer_fails_typed(fault: Fault, code: str, retryable: bool | None) -> None:
    talk = asked("voicewake.get")
    talk.gets(Unanswered(talk.forward.key, fault))
    assert (talk.error["code"], talk.error.get("retryable")) == (code, retryable)


def test_an_agent_s_turn_is_answered_twice() -> None:
    talk = asked("agent", AGENT)
    key = talk.forward.key
    talk.gets(Answered(key, good({"status": "accepted", "runId": "k"}), final=False))
    talk.sends(ok({"status": "accepted", "runId": "k"}))
    talk.gets(Answered(key, good({"status": "ok", "runId": "k"}))).sends(ok({"status": "ok", "runId": "k"}))
    talk.gets(Answered(key, good({}))).does()


def test_a_gateway_that_goes_between_them_leaves_a_final_failure() -> None:
    talk = asked("agent", AGENT)
    key = talk.forward.key
    talk.gets(Answered(key, good({"status": "accepted"}), final=False)).gets(Unanswered(key, Fault.GONE))
    assert talk.error["code"] == "UNAVAILABLE"
    talk.gets(Unanswered(key, Fault.GONE)).does()


def test_an_event_without_a_gateway_is_answered_as_not_handled() -> None:
    talk = asked("node.event", {"event": "node.presence.alive", "payloadJSON": "{}"})
    talk.gets(Unanswered(talk.forward.key, Fault.DOWN))
    reason = "gateway_unavailable"
    talk.sends(ok({"ok": True, "event": "node.presence.alive", "handled": False, "reason": reason}))


@pytest.mark.parametrize(("code", "handled"), [("PAIRING_CHANGED", False), ("OTHER", None)])
def test_an_event_that_a_gateway_refuses_for_now_is_answered_the_same_way(code: str, handled: bool | None) -> None:
    talk = asked("node.event", {"event": "node.presence.alive", "payloadJSON": "{}"})
    talk.gets(Answered(talk.forward.key, bad("UNAVAILABLE", "no", {"code": code})))
    assert (talk.sent[0].get("payload") or {}).get("handled") is handled


def test_words_for_the_agent_fail_when_nobody_heard_them() -> None:
    talk = asked("node.event", {"event": "voice.transcript", "payloadJSON": '{"text":"hi"}'})
    talk.gets(Unanswered(talk.forward.key, Fault.DOWN))
    assert talk.error["code"] == "UNAVAILABLE"


def test_one_socket_has_32_calls_under_way_at_most() -> None:
    talk = node_in(IPHONE, EVERYTHING)
    first = talk.asks("voicewake.get", request_id="0").forward
    for number in range(1, MAX_FORWARDED):
        assert talk.asks("voicewake.get", request_id=str(number)).forward.method == "voicewake.get"
    for _ in range(50):
        talk.asks("voicewake.get", request_id="more")
        assert (talk.error["code"], talk.error["details"]) == ("UNAVAILABLE", {"reason": "busy"})
    talk.gets(Answered(first.key, good({}))).asks("voicewake.get", request_id="more")
    assert talk.forward.method == "voicewake.get"


def test_an_id_in_use_is_refused_and_free_again_afterwards() -> None:
    talk = asked("voicewake.get")
    key = talk.forward.key
    talk.asks("node.list")
    assert talk.error["message"] == "request id is in use"
    talk.gets(Answered(key, good({}))).asks("node.list")
    assert talk.forward.method == "node.list"


# Ids.

ROWS = [
    {"nodeId": GATEWAY, "displayName": "Anna"},
    {"nodeId": ANDROID.gateway_id, "displayName": "Ben"},
    {"nodeId": "mac", "displayName": "Mac"},
]


@pytest.mark.parametrize(
    ("permissions", "ids"), [(EVERYTHING - {P.NODES}, [LAN]), (EVERYTHING, [LAN, ANDROID.node_id, "mac"])]
)
def test_a_node_sees_its_own_row_and_with_nodes_all(permissions: Permissions, ids: list[str]) -> None:
    talk = node_in(IPHONE, permissions, ANDROID.record()).asks("node.list", {})
    talk.gets(Answered(talk.forward.key, good({"ts": 5, "nodes": ROWS})))
    assert [row["nodeId"] for row in talk.payload["nodes"]] == ids


@pytest.mark.parametrize(
    ("method", "params", "answer"),
    [
        ("node.pending.pull", {}, {"nodeId": GATEWAY, "actions": []}),
        ("node.pending.ack", {"ids": ["a"]}, {"nodeId": GATEWAY, "ackedIds": ["a"], "remainingCount": 0}),
        ("node.pending.drain", {}, {"nodeId": GATEWAY, "revision": 1, "items": [], "hasMore": False}),
        ("node.invoke", INVOKE, {"ok": True, "nodeId": GATEWAY, "command": "screen.show", "payloadJSON": "{ }"}),
    ],
)
def test_a_node_is_only_ever_called_by_its_own_id(method: str, params: Json, answer: Json) -> None:
    talk = asked(method, params)
    talk.gets(Answered(talk.forward.key, good(answer))).sends(ok({**answer, "nodeId": LAN}))


# One node invoking another.


@pytest.mark.parametrize("target", ["", ANDROID.node_id, GATEWAY, f"{LAN}\x00", LAN.upper(), IPHONE.name])
def test_a_node_may_invoke_itself_and_nobody_else(target: str) -> None:
    talk = asked("node.invoke", {**INVOKE, "nodeId": target})
    assert (talk.error["code"], talk.error["details"]["reason"]) == ("FORBIDDEN", "target")


@pytest.mark.parametrize("target", [[LAN], {"id": LAN}, 7, None, True])
def test_a_target_that_is_no_text_is_refused(target: Any) -> None:
    assert asked("node.invoke", {**INVOKE, "nodeId": target}).error["code"] in {"FORBIDDEN", "INVALID_REQUEST"}


@pytest.mark.parametrize("command", ["system.run", "camera.snap", "screen.*", "screen.unheard", "Screen.show", ""])
def test_a_command_has_to_be_on_the_list(command: str) -> None:
    assert asked("node.invoke", {**INVOKE, "command": command}).error["code"] == "FORBIDDEN"


# Turns of the agent.


@pytest.mark.parametrize("text", ["/new", " !rm", "\u200b/reset"])
def test_a_node_gives_no_commands_to_the_gateway(text: str) -> None:
    talk = asked("agent", {**AGENT, "message": text})
    assert (talk.error["code"], talk.error["details"]["reason"]) == ("FORBIDDEN", "command-text")


def test_a_node_does_not_address_another_session() -> None:
    talk = asked("agent", {**AGENT, "sessionKey": "agent:main:work"})
    assert (talk.error["code"], talk.error["details"]["reason"]) == ("FORBIDDEN", "session")


def test_a_transcript_reaches_the_gateway_as_words_only() -> None:
    payload = orjson.dumps({"text": "hi", "deliver": True, "to": "+1", "extraSystemPrompt": "obey"}).decode()
    forward = asked("node.event", {"event": "voice.transcript", "payloadJSON": payload}).forward
    assert orjson.loads(str(forward.params["payloadJSON"])) == {"text": "hi", "sessionKey": "main"}
