"""`node.invoke`: the event at the node, every outcome, every refusal."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.calls import COMMANDS, answering, invoke
from tests.conformance.target import Target
from tests.conformance.wire import Json, new_identity

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    ("params", "text"),
    [({}, None), ({"params": None}, "null"), ({"params": {"a": [1, None]}}, '{"a":[1,null]}'), ({"params": 1}, "1")],
)
async def test_request_event_carries_the_parameters_as_text(gateway: Target, params: Json, text: str | None) -> None:
    async with gateway.operator() as operator, gateway.approved_node(operator, commands=COMMANDS) as (node, node_id):
        call = {"nodeId": node_id, "command": "device.info", "timeoutMs": 12_345, "sessionKey": "main", **params}
        _, (request,) = await invoke(operator, node, call, answering(node, ok=True))
    left = request.pop("timeoutMs")
    assert 11_000 < left <= 12_345
    assert request.pop("id")
    assert request == {
        "nodeId": node_id, "command": "device.info", "paramsJSON": text, "idempotencyKey": "k", "sessionKey": "main",
    }  # fmt: skip


async def test_request_event_without_options(gateway: Target) -> None:
    async with gateway.operator() as operator, gateway.approved_node(operator, commands=COMMANDS) as (node, node_id):
        call = {"nodeId": node_id, "command": "device.info"}
        _, (request,) = await invoke(operator, node, call, answering(node, ok=True))
    assert 29_000 < request["timeoutMs"] <= 30_000
    assert "sessionKey" not in request


# What the node answers -> what stands in the operator's payload beside ok, nodeId, command.
SUCCESSES: dict[str, tuple[Json, Json]] = {
    "payloadJSON": ({"payloadJSON": '{"a":1}'}, {"payload": {"a": 1}, "payloadJSON": '{"a":1}'}),
    "payload": ({"payload": {"a": 1}}, {"payload": {"a": 1}, "payloadJSON": None}),
    "neither": ({}, {"payloadJSON": None}),
    "payloadJSON that is no JSON": ({"payloadJSON": "x"}, {"payload": {"payloadJSON": "x"}, "payloadJSON": "x"}),
    "payloadJSON that is an object": ({"payloadJSON": {"a": 1}}, {"payload": {"a": 1}, "payloadJSON": None}),
    "nulls": ({"payloadJSON": None, "error": None}, {"payloadJSON": None}),
    "an empty payloadJSON": ({"payloadJSON": ""}, {"payloadJSON": ""}),
    "an error that does not matter": ({"payload": 1, "error": {"code": "X"}}, {"payload": 1, "payloadJSON": None}),
}


@pytest.mark.parametrize("name", SUCCESSES)
async def test_success_reaches_the_operator(gateway: Target, name: str) -> None:
    result, expected = SUCCESSES[name]
    async with gateway.operator() as operator, gateway.approved_node(operator, commands=COMMANDS) as (node, node_id):
        call = {"nodeId": node_id, "command": "device.info"}
        answer, seen = await invoke(operator, node, call, answering(node, ok=True, **result))
    assert len(seen) == 1
    assert answer["payload"] == {"ok": True, "nodeId": node_id, "command": "device.info", **expected}


# The node's error -> message and nodeError at the operator.
FAILURES: dict[str, tuple[Json, str, Any]] = {
    "code and message": ({"error": {"code": "X", "message": "boom"}}, "X: boom", {"code": "X", "message": "boom"}),
    "no error": ({}, "node invoke failed", None),
    "an empty error": ({"error": {}}, "node invoke failed", {}),
    "only a message": ({"error": {"message": "boom"}}, "boom", {"message": "boom"}),
    "only a code": ({"error": {"code": "X"}}, "X: node invoke failed", {"code": "X"}),
    "in the background, but not a foreground command": (
        {"error": {"code": "NODE_BACKGROUND_UNAVAILABLE", "message": "bg"}},
        "NODE_BACKGROUND_UNAVAILABLE: bg",
        {"code": "NODE_BACKGROUND_UNAVAILABLE", "message": "bg"},
    ),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_failure_reaches_the_operator(gateway: Target, name: str) -> None:
    result, message, node_error = FAILURES[name]
    async with gateway.operator() as operator, gateway.approved_node(operator, commands=COMMANDS) as (node, node_id):
        call = {"nodeId": node_id, "command": "device.info"}
        answer, _ = await invoke(operator, node, call, answering(node, ok=False, **result))
    assert answer["error"] == {
        "code": "UNAVAILABLE", "message": message, "details": {"nodeError": node_error, "nodeCommandDispatched": True},
    }  # fmt: skip


async def test_node_that_is_not_ready_is_asked_again(gateway: Target) -> None:
    async with gateway.operator() as operator, gateway.approved_node(operator, commands=COMMANDS) as (node, node_id):
        call = {"nodeId": node_id, "command": "device.info"}
        error = {"code": "NODE_NOT_READY", "message": "wait"}
        answer, seen = await invoke(operator, node, call, answering(node, ok=False, error=error))
    assert len({request["id"] for request in seen}) == 5
    assert {request["idempotencyKey"] for request in seen} == {"k"}
    assert answer["error"]["details"]["nodeError"] == error


async def test_second_try_of_a_node_that_became_ready_succeeds(gateway: Target) -> None:
    async with gateway.operator() as operator, gateway.approved_node(operator, commands=COMMANDS) as (node, node_id):
        tries: list[str] = []

        async def answer(request: Json) -> None:
            tries.append(request["id"])
            error = {"code": "NODE_NOT_READY", "message": "wait"}
            result = {"ok": True} if len(tries) == 2 else {"ok": False, "error": error}
            await node.ok("node.invoke.result", {"id": request["id"], "nodeId": node_id, **result})

        got, _ = await invoke(operator, node, {"nodeId": node_id, "command": "device.info"}, answer)
    assert got["ok"]
    assert len(tries) == 2


async def test_silent_node_times_out_and_its_late_result_is_ignored(gateway: Target) -> None:
    async with gateway.operator() as operator, gateway.approved_node(operator, commands=COMMANDS) as (node, node_id):
        call = {"nodeId": node_id, "command": "device.info", "timeoutMs": 200}
        answer, (request,) = await invoke(operator, node, call, None)
        late = await node.ok("node.invoke.result", {"id": request["id"], "nodeId": node_id, "ok": True})
    assert answer["error"]["message"] == "TIMEOUT: node invoke timed out"
    assert answer["error"]["details"]["nodeError"] == {"code": "TIMEOUT", "message": "node invoke timed out"}
    assert late == {"ok": True, "ignored": True}


async def test_one_key_is_dispatched_twice(gateway: Target) -> None:
    async with gateway.operator() as operator, gateway.approved_node(operator, commands=COMMANDS) as (node, node_id):
        call = {"nodeId": node_id, "command": "device.info"}
        for _ in range(2):
            _, seen = await invoke(operator, node, call, answering(node, ok=True))
            assert len(seen) == 1


# A result that is refused outright: parameters to change, start of the message.
BAD_RESULTS: dict[str, tuple[Json, str]] = {
    "an extra key in the error": (
        {"ok": False, "error": {"code": "X", "message": "y", "retryable": True}},
        "invalid node.invoke.result params: at /error: unexpected property 'retryable'",
    ),
    "an extra key": ({"details": 1}, "invalid node.invoke.result params: at root: unexpected property 'details'"),
    "ok that is no boolean": ({"ok": "yes"}, "invalid node.invoke.result params: at /ok: must be boolean"),
    "an empty code": ({"error": {"code": ""}}, "invalid node.invoke.result params: at /error/code"),
    "another node's id": ({"nodeId": "0" * 64}, "nodeId mismatch"),
}


@pytest.mark.parametrize("name", BAD_RESULTS)
async def test_bad_result_is_refused_and_the_invoke_goes_on(gateway: Target, name: str) -> None:
    change, message = BAD_RESULTS[name]
    async with gateway.operator() as operator, gateway.approved_node(operator, commands=COMMANDS) as (node, node_id):

        async def answer(request: Json) -> None:
            result = {"id": request["id"], "nodeId": node_id, "ok": True, **change}
            error = await node.error("node.invoke.result", result)
            assert error["code"] == "INVALID_REQUEST"
            assert error["message"].startswith(message)
            await node.ok("node.invoke.result", {"id": request["id"], "nodeId": node_id, "ok": True, "payload": "good"})

        got, _ = await invoke(operator, node, {"nodeId": node_id, "command": "device.info"}, answer)
    assert got["payload"]["payload"] == "good"


PROGRESS: dict[str, tuple[Json, str]] = {
    "too many characters": ({"chunk": "x" * 16_385}, "invalid node.invoke.progress params: at /chunk"),
    "too many bytes": ({"chunk": "é" * 9_000}, "progress chunk too large"),
    "another node's id": ({"nodeId": "0" * 64}, "nodeId mismatch"),
    "a negative number": ({"seq": -1}, "invalid node.invoke.progress params: at /seq"),
}


@pytest.mark.parametrize("name", PROGRESS)
async def test_bad_progress_is_refused(gateway: Target, name: str) -> None:
    change, message = PROGRESS[name]
    async with gateway.operator() as operator, gateway.approved_node(operator, commands=COMMANDS) as (node, node_id):
        good = {"invokeId": "x", "nodeId": node_id, "seq": 0, "chunk": ""}
        assert await node.ok("node.invoke.progress", good) == {"ok": True, "ignored": True}
        error = await node.error("node.invoke.progress", {**good, **change})
    assert error["code"] == "INVALID_REQUEST"
    assert error["message"].startswith(message)


async def test_disconnect_ends_the_invoke_and_absence_refuses_the_next(gateway: Target) -> None:
    identity = new_identity()
    async with gateway.operator() as operator:
        async with gateway.approved_node(operator, identity, commands=COMMANDS) as (node, node_id):
            call = {"nodeId": node_id, "command": "device.info", "idempotencyKey": "k"}
            async with asyncio.TaskGroup() as tasks:
                asking = tasks.create_task(operator.ask("node.invoke", call))
                await node.event("node.invoke.request")
                await node.socket.close()
        gone = asking.result()["error"]
        away = await operator.error("node.invoke", call)
    assert gone["details"]["nodeError"]["code"] == "DISCONNECTED"
    assert gone["details"]["nodeCommandDispatched"] is True
    assert (away["code"], away["message"]) == ("UNAVAILABLE", "node not connected")
    assert away["details"] == {
        "code": "NOT_CONNECTED",
        "nodeError": {"code": "NOT_CONNECTED", "message": "node not connected"},
        "nodeCommandDispatched": False,
    }


async def test_node_without_an_approved_surface_is_pairing_changed(gateway: Target) -> None:
    async with gateway.operator() as operator, gateway.node() as (_, node_id):
        for target in (node_id, "0" * 64):
            call = {"nodeId": target, "command": "device.info", "idempotencyKey": "k"}
            error = await operator.error("node.invoke", call)
            assert (error["code"], error["retryable"]) == ("UNAVAILABLE", True)
            assert error["details"] == {"code": "PAIRING_CHANGED"}


NOT_ALLOWED = {
    "camera.snap": "command not allowlisted",
    "system.run": "command not allowlisted",
    "nope.nope": "command not allowlisted",
    "screen.record": "command not allowlisted",
    "location.get": "command not declared by node",
    "screen.hide": "command not declared by node",
}


@pytest.mark.parametrize("command", NOT_ALLOWED)
async def test_command_beyond_policy_or_surface_is_refused(gateway: Target, command: str) -> None:
    async with gateway.operator() as operator, gateway.approved_node(operator, commands=COMMANDS) as (_, node_id):
        error = await operator.error("node.invoke", {"nodeId": node_id, "command": command, "idempotencyKey": "k"})
    assert error["code"] == "INVALID_REQUEST"
    assert error["details"] == {"reason": NOT_ALLOWED[command], "command": command}


async def test_node_that_declared_nothing_can_do_nothing(gateway: Target) -> None:
    async with gateway.operator() as operator, gateway.approved_node(operator, commands=()) as (_, node_id):
        error = await operator.error(
            "node.invoke", {"nodeId": node_id, "command": "device.info", "idempotencyKey": "k"}
        )
    assert error["details"]["reason"] == "node did not declare commands"


BAD_CALLS: dict[str, Json] = {
    "no node": {"command": "device.info", "idempotencyKey": "k"},
    "no command": {"nodeId": "x", "idempotencyKey": "k"},
    "no key": {"nodeId": "x", "command": "device.info"},
    "an empty key": {"nodeId": "x", "command": "device.info", "idempotencyKey": ""},
    "a negative time": {"nodeId": "x", "command": "device.info", "idempotencyKey": "k", "timeoutMs": -1},
    "an unknown member": {"nodeId": "x", "command": "device.info", "idempotencyKey": "k", "z": 1},
    "a blank node": {"nodeId": " ", "command": "device.info", "idempotencyKey": "k"},
    "a private command": {"nodeId": "x", "command": "worker.launch.v1", "idempotencyKey": "k"},
    "an exec approval": {"nodeId": "x", "command": "system.execApprovals.get", "idempotencyKey": "k"},
}


@pytest.mark.parametrize("name", BAD_CALLS)
async def test_malformed_invoke_is_refused(gateway: Target, name: str) -> None:
    async with gateway.operator() as operator:
        error = await operator.error("node.invoke", BAD_CALLS[name])
    assert error["code"] == "INVALID_REQUEST"
