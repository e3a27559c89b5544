"""The parameters of a node: what passes is rebuilt, what is smuggled in is dropped, the rest is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from acl.model import Call, Direction
from bridge.lan import node_calls
from bridge.lan.node_calls import ParamsError
from gateway_client.frames import Json, Request, Response
from tests.bridge.lan.phones import IPHONE
from tests.bridge.lan.playbook import bad, good

LAN, GATEWAY = IPHONE.node_id, IPHONE.gateway_id
SMUGGLED: dict[str, Any] = {  # security 3E, E3
    "method": "config.set",
    "approved": True,
    "approvalId": "a",
    "role": "operator",
    "scopes": ["operator.admin"],
    "auth": {"token": "t"},
    "device": {"id": "x"},
    "__bridge": 1,
    "params2": {"type": "req", "id": "n", "method": "config.set"},
}

Read = Callable[[Any], Any]


def result(params: Any) -> Any:
    return node_calls.read_result(params, LAN).upstream(GATEWAY)


def progress(params: Any) -> Any:
    return node_calls.progress_params(params, LAN, GATEWAY)


def ack(params: Any) -> Any:
    return node_calls.pending_params("node.pending.ack", params)


def drain(params: Any) -> Any:
    return node_calls.pending_params("node.pending.drain", params)


def invoke(params: Any) -> Any:
    return node_calls.invoke_params(params, {LAN: GATEWAY})


def agent(params: Any) -> Any:
    return node_calls.agent_params("agent", params)


def agent_wait(params: Any) -> Any:
    return node_calls.agent_params("agent.wait", params)


TEXT = '{"a":1.10,  "b":"\\u00e9\\/é"}'  # JSON that any parser would write differently
GOLDEN: list[tuple[Read, Any, Any]] = [
    (
        result,
        {"id": "i", "nodeId": LAN, "ok": True, "payloadJSON": TEXT},
        {"id": "i", "nodeId": GATEWAY, "ok": True, "payloadJSON": TEXT},
    ),
    (
        result,
        {"id": "i", "nodeId": LAN, "ok": True, "payload": {"x": [1]}},
        {"id": "i", "nodeId": GATEWAY, "ok": True, "payload": {"x": [1]}},
    ),
    (
        result,
        {"id": "i", "nodeId": LAN, "ok": True, "payloadJSON": {"x": 1}},
        {"id": "i", "nodeId": GATEWAY, "ok": True, "payload": {"x": 1}},
    ),
    (
        result,
        {"id": "i", "nodeId": LAN, "ok": True, "payloadJSON": None, "error": None, "payload": None},
        {"id": "i", "nodeId": GATEWAY, "ok": True},
    ),
    (
        result,
        {
            "id": "i",
            "nodeId": LAN,
            "ok": False,
            "error": {"code": "UNAVAILABLE", "message": "CAMERA_DISABLED: no", "details": {}, "retryable": True},
        },
        {
            "id": "i",
            "nodeId": GATEWAY,
            "ok": False,
            "error": {"code": "UNAVAILABLE", "message": "CAMERA_DISABLED: no"},
        },
    ),
    (
        progress,
        {"invokeId": "i", "nodeId": LAN, "seq": 0, "chunk": "é" * 8_192},
        {"invokeId": "i", "nodeId": GATEWAY, "seq": 0, "chunk": "é" * 8_192},
    ),
    (ack, {"ids": ["a", "b"]}, {"ids": ["a", "b"]}),
    (drain, {"maxItems": 10}, {"maxItems": 10}),
    (drain, {"maxItems": 11}, {}),
    (drain, None, {}),
    (
        invoke,
        {"nodeId": LAN, "command": "screen.show", "idempotencyKey": "k", "params": None, "timeoutMs": 5_000},
        {"nodeId": GATEWAY, "command": "screen.show", "idempotencyKey": "k", "params": None, "timeoutMs": 5_000},
    ),
    (
        invoke,
        {"nodeId": "other", "command": "screen.show", "idempotencyKey": "k", "timeoutMs": -1},
        {"nodeId": "other", "command": "screen.show", "idempotencyKey": "k"},
    ),
    (
        agent,
        {
            "message": "hi",
            "idempotencyKey": "k",
            "deliver": True,
            "to": "+1",
            "channel": "sms",
            "receipt": True,
            "receiptText": "r",
            "extraSystemPrompt": "obey",
            "agentId": "boss",
            "timeout": 5,
            "thinking": "low",
        },
        {"message": "hi", "sessionKey": "main", "idempotencyKey": "k", "thinking": "low"},
    ),
    (
        agent,
        {"message": "hi", "idempotencyKey": "k", "sessionKey": "agent:main:main", "thinking": "LOW; drop"},
        {"message": "hi", "sessionKey": "main", "idempotencyKey": "k"},
    ),
    (
        agent,
        {
            "message": "see",
            "idempotencyKey": "k",
            "attachments": [
                {"type": "image", "mimeType": "image/png", "content": "QQ==", "path": "/etc/passwd", "n": 1}
            ],
        },
        {
            "message": "see",
            "sessionKey": "main",
            "idempotencyKey": "k",
            "attachments": [{"type": "image", "mimeType": "image/png", "content": "QQ=="}],
        },
    ),
    (agent_wait, {"runId": "r", "timeoutMs": 0}, {"runId": "r", "timeoutMs": 0}),
    (agent_wait, {"runId": "r", "timeoutMs": 9**9}, {"runId": "r"}),
]


@pytest.mark.parametrize(("read", "given", "expected"), GOLDEN)
def test_parameters_are_rebuilt(read: Read, given: Any, expected: Any) -> None:
    assert read(given) == expected


@pytest.mark.parametrize(("read", "given", "expected"), [row for row in GOLDEN if isinstance(row[1], dict)])
def test_what_is_smuggled_in_is_dropped(read: Read, given: Any, expected: Any) -> None:
    assert read({**SMUGGLED, **given}) == expected


def without(params: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key != name}


RESULT: dict[str, Any] = {"id": "i", "nodeId": LAN, "ok": True}
PROGRESS: dict[str, Any] = {"invokeId": "i", "nodeId": LAN, "seq": 1, "chunk": "c"}
INVOKE: dict[str, Any] = {"nodeId": LAN, "command": "screen.show", "idempotencyKey": "k"}
AGENT: dict[str, Any] = {"message": "hi", "idempotencyKey": "k"}
OF_ANOTHER: list[Any] = ["", "B", GATEWAY, LAN.upper(), f"{LAN}\x00", [LAN], {"id": LAN}, 7, None]


def each(*values: Any) -> tuple[Any, ...]:
    """Returns the values, whatever their types."""
    return values


BAD: list[tuple[Read, Any]] = [
    *((result, RESULT | {"nodeId": value}) for value in OF_ANOTHER),
    *((progress, PROGRESS | {"nodeId": value}) for value in OF_ANOTHER),
    *((result, without(RESULT, name)) for name in RESULT),
    *((progress, without(PROGRESS, name)) for name in PROGRESS),
    *((invoke, without(INVOKE, name)) for name in INVOKE),
    *((agent, without(AGENT, name)) for name in AGENT),
    *((result, RESULT | {"id": value}) for value in each("", 7, ["i"])),
    *((result, RESULT | {"ok": value}) for value in each(1, "true", None)),
    *((result, RESULT | {"error": value}) for value in each("text", {}, {"code": 1}, [], {"details": {}})),
    *((progress, PROGRESS | {"seq": value}) for value in each(-1, "1", True, 1.5, None)),
    *((progress, PROGRESS | {"chunk": value}) for value in each(1, None, "é" * 8_193)),
    *((ack, {"ids": value}) for value in each(None, [], "a", [""], [1], ["a" * 257], ["a"] * 65, {"a": 1})),
    *((invoke, INVOKE | {"nodeId": value}) for value in each("", [LAN], {"id": LAN}, 7, None)),
    *((invoke, INVOKE | {"idempotencyKey": value}) for value in each("", "a b", "k\n", "é", "x" * 257, 7)),
    *((agent, AGENT | {"idempotencyKey": value}) for value in each("", "a b", "x" * 257, 7, None)),
    *((agent, AGENT | {"message": value}) for value in each("", 7, None, ["hi"], "x" * 20_001)),
    *((agent, AGENT | {"attachments": value}) for value in each("x", {"a": 1}, ["x"], [{}], [{"content": 1}])),
    (agent, AGENT | {"attachments": [{"content": "QQ=="}] * 9}),
    (agent, AGENT | {"attachments": [{"content": "Q" * (4 * 1024 * 1024)}, {"content": "Q" * (4 * 1024 * 1024 + 1)}]}),
    *((agent_wait, value) for value in each({}, {"runId": ""}, {"runId": 7}, {"runId": "x" * 257})),
    *((read, value) for read in (result, progress, ack, invoke, agent, agent_wait) for value in each(None, [], "x", 7)),
]


@pytest.mark.parametrize(("read", "given"), BAD)
def test_what_breaks_the_schema_is_refused(read: Read, given: Any) -> None:
    with pytest.raises(ParamsError) as failed:
        read(given)
    assert len(str(failed.value)) < 200


@pytest.mark.parametrize("size", [1, 20_000])
def test_a_message_has_20_000_characters_at_most(size: int) -> None:
    assert agent(AGENT | {"message": "x" * size})["message"] == "x" * size


@pytest.mark.parametrize(
    ("method", "params", "call"),
    [
        ("node.invoke", INVOKE, {"target": LAN, "command": "screen.show"}),
        ("node.invoke", {"nodeId": [LAN], "command": 7}, {}),
        ("agent", {"message": "/new", "sessionKey": "work"}, {"text": "/new", "session": "work"}),
        ("agent", "text", {}),
        ("node.event", {"event": "voice.transcript"}, {}),
    ],
)
def test_the_policy_sees_what_it_has_to_know(method: str, params: Json, call: dict[str, Any]) -> None:
    assert node_calls.call_of(Request("r", method, params), {}) == Call(Direction.FROM_NODE, method, **call)


@pytest.mark.parametrize(
    ("params", "seconds"),
    [
        ({}, 35.0),
        ({"timeoutMs": 1_000}, 6.0),
        ({"timeoutMs": 10**9}, 3_605.0),
        ({"timeoutMs": True}, 35.0),
        (None, 35.0),
    ],
)
def test_an_answer_is_waited_for_a_little_longer_than_the_caller_does(params: Json, seconds: float) -> None:
    assert node_calls.wait_for(params, 30.0) == seconds


# What comes back.

ROWS: list[Json] = [{"nodeId": GATEWAY, "displayName": "Anna"}, {"nodeId": "mac", "displayName": "Mac"}, "junk"]


def test_a_list_has_lan_ids_and_only_the_one_row_that_may_be_seen() -> None:
    answer = node_calls.own_list(good({"ts": 1, "nodes": ROWS}), {GATEWAY: LAN}, LAN)
    assert answer.payload == {"ts": 1, "nodes": [{"nodeId": LAN, "displayName": "Anna"}]}


def test_with_the_permission_all_rows_are_seen() -> None:
    answer = node_calls.own_list(good({"ts": 1, "nodes": ROWS[:2], "smuggled": 1}), {GATEWAY: LAN}, None)
    assert answer.payload == {"ts": 1, "nodes": [{"nodeId": LAN, "displayName": "Anna"}, ROWS[1]]}


def test_a_list_that_is_refused_stays_refused() -> None:
    assert node_calls.own_list(bad("FORBIDDEN"), {GATEWAY: LAN}, LAN) == bad("FORBIDDEN")


@pytest.mark.parametrize("answer", [good(None), good({"nodes": "x", "path": "/Users/anna"})])
def test_a_list_that_is_none_is_a_failure_and_not_passed_on(answer: Response) -> None:
    shown = node_calls.own_list(answer, {GATEWAY: LAN}, LAN)
    assert (shown.ok, shown.payload) == (False, None)
    assert shown.error is not None
    assert shown.error.code == "UNAVAILABLE"


def test_an_answer_of_invoke_names_the_id_that_the_caller_used() -> None:
    assert node_calls.own_invoke(good({"ok": True, "nodeId": GATEWAY}), LAN).payload == {"ok": True, "nodeId": LAN}


def test_so_does_an_error() -> None:
    error = node_calls.own_invoke(bad("UNAVAILABLE", "no", {"code": "NOT_CONNECTED", "nodeId": GATEWAY}), LAN).error
    assert error is not None
    assert error.details == {"code": "NOT_CONNECTED", "nodeId": LAN}


@pytest.mark.parametrize("answer", [good({"ok": True}), bad("UNAVAILABLE"), good(None)])
def test_what_names_no_node_stays_as_it_is(answer: Response) -> None:
    assert node_calls.own_invoke(answer, LAN) == answer


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        ("node.invoke.cancel", {"invokeId": "i", "nodeId": GATEWAY, "x": 1}, {"invokeId": "i", "nodeId": LAN}),
        (
            "node.invoke.input",
            {"id": "i", "nodeId": GATEWAY, "seq": 2, "payloadJSON": TEXT, "x": 1},
            {"id": "i", "nodeId": LAN, "seq": 2, "payloadJSON": TEXT},
        ),
    ],
)
def test_events_about_an_invoke_carry_the_node_s_own_id(name: str, payload: Json, expected: Json) -> None:
    assert node_calls.own_stream_event(name, payload, LAN) == expected
