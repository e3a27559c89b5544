"""`node.invoke` of a LAN caller: one call at the gateway for each key, and the one answer for everyone who asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from acl.model import Policy
from acl.permissions import Permission
from bridge.lan.events import Answered, Fault, Forward, Lost, Unanswered
from bridge.lan.lan_invokes import MAX_SHARERS
from bridge.upstream.idempotency import KEPT_S, Ledger
from tests.bridge.lan.phones import ANDROID, IPHONE, Json
from tests.bridge.lan.playbook import Talk, bad, good, node_in

LAN, GATEWAY = IPHONE.node_id, IPHONE.gateway_id
EVERYTHING = frozenset(Permission)
INVOKE: Json = {"nodeId": LAN, "command": "screen.show", "idempotencyKey": "k", "params": {"a": 1}}
DONE: Json = {"ok": True, "nodeId": GATEWAY, "command": "screen.show", "payloadJSON": "{ }"}
OTHER = "mac"  # a node of the gateway that is not behind this bridge
WITH_OTHER = Policy(invoke_targets=frozenset({OTHER, ANDROID.node_id}))


def asked(method: str, params: Any = None, **changes: Any) -> Talk:
    return node_in(IPHONE, EVERYTHING, **changes).asks(method, params)


def done(talk: Talk) -> Talk:
    return talk.gets(Answered(talk.forward.key, good(DONE)))


def wrapped(code: str, dispatched: bool = True) -> Any:
    details: Json = {"nodeError": {"code": code, "message": f"{code}: why"}, "nodeCommandDispatched": dispatched}
    return bad("UNAVAILABLE", f"{code}: why", details)


def forwards(talk: Talk) -> list[Forward]:
    return [command for command in talk.did if isinstance(command, Forward)]


@pytest.mark.parametrize("command", ["screen.navigate", "canvas.navigate", "canvas.present"])
def test_a_screen_that_is_not_behind_this_bridge_is_sent_where_ours_may_go(command: str) -> None:
    """Red when `call_of` says nothing of the address: nobody else asks about it on the way to that node."""
    policy = Policy(invoke_targets=frozenset({OTHER}), invoke_commands=("screen.*", "canvas.*"))
    there: Json = {"nodeId": OTHER, "command": command, "idempotencyKey": "k"}
    talk = asked("node.invoke", {**there, "params": {"url": "https://192.168.0.1/admin"}}, policy=policy)
    assert (talk.details, forwards(talk)) == ({"code": "POLICY", "reason": "navigation"}, [])
    talk = asked("node.invoke", {**there, "params": {"url": "https://ok.example/"}}, policy=policy)
    assert talk.forward.params["params"] == {"url": "https://ok.example/"}
    talk = asked("node.invoke", {**there, "params": {"url": "/"}}, policy=policy)
    assert bool(forwards(talk)) == (command != "screen.navigate")


@pytest.mark.parametrize("command", [None, 5, [], {}, ["screen.navigate"]])
def test_a_command_of_another_type_is_none(command: Any) -> None:
    talk = asked("node.invoke", {**INVOKE, "command": command, "params": {"url": "https://ok.example/"}})
    assert talk.details == {"code": "POLICY", "reason": "target"}


# One call for a key.


def test_those_that_come_meanwhile_share_the_call_and_get_its_answer() -> None:
    """Red when `invoke` does not look for a call under way: 50 requests would be 50 frames at the gateway."""
    talk = asked("node.invoke", INVOKE)
    first = talk.forward
    for number in range(49):
        talk.asks("node.invoke", INVOKE, f"s{number}").does()
    talk.gets(Answered(first.key, good(DONE)))
    assert [frame["id"] for frame in talk.sent] == ["r1", *(f"s{number}" for number in range(49))]
    assert {str(frame["payload"]) for frame in talk.sent} == {str({**DONE, "nodeId": LAN})}


@pytest.mark.parametrize("fault", list(Fault))
def test_they_share_a_failure_too(fault: Fault) -> None:
    talk = asked("node.invoke", INVOKE)
    key = talk.forward.key
    talk.asks("node.invoke", INVOKE, "s").gets(Unanswered(key, fault))
    first, second = talk.sent
    assert {**first, "id": "s"} == second
    assert first["ok"] is False


def test_those_that_come_later_get_what_is_remembered() -> None:
    talk = done(asked("node.invoke", INVOKE)).after(KEPT_S - 1).asks("node.invoke", INVOKE, "r2")
    assert (talk.payload, forwards(talk)) == ({**DONE, "nodeId": LAN}, [])
    assert talk.after(1).asks("node.invoke", INVOKE, "r3").forward.method == "node.invoke"


def test_also_over_another_socket_and_after_the_first_has_gone() -> None:
    ledger = Ledger()
    done(asked("node.invoke", INVOKE, ledger=ledger)).gets(Lost())
    talk = asked("node.invoke", INVOKE, ledger=ledger)
    assert (talk.payload, forwards(talk)) == ({**DONE, "nodeId": LAN}, [])


@pytest.mark.parametrize("change", [{"params": {"a": 2}}, {"command": "screen.hide"}, {"nodeId": ANDROID.node_id}])
@pytest.mark.parametrize("finished", [False, True])
def test_anything_else_under_the_key_is_a_conflict(finished: bool, change: Json) -> None:
    talk = node_in(IPHONE, EVERYTHING, ANDROID.record(), policy=WITH_OTHER).asks("node.invoke", INVOKE)
    if finished:
        done(talk)
    talk.asks("node.invoke", {**INVOKE, **change}, "r2")
    assert (talk.error["code"], talk.details, forwards(talk)) == ("CONFLICT", {"code": "CONFLICT"}, [])
    assert len(forwards(talk.asks("node.invoke", {**INVOKE, **change, "idempotencyKey": "l"}, "r3"))) == 1


def test_the_same_key_of_another_caller_is_another_key_at_the_gateway() -> None:
    ledger = Ledger()
    first = asked("node.invoke", INVOKE, ledger=ledger).forward
    talk = node_in(ANDROID, EVERYTHING, IPHONE.record(), policy=Policy(invoke_targets=frozenset({LAN})), ledger=ledger)
    second = talk.asks("node.invoke", {**INVOKE, "params": {"a": 2}}).forward
    assert first.params["idempotencyKey"] != second.params["idempotencyKey"]
    assert "k" not in (first.params["idempotencyKey"], second.params["idempotencyKey"])


@pytest.mark.parametrize("code", ["NODE_NOT_READY", "NODE_BACKGROUND_UNAVAILABLE", "NODE_DISCONNECTED", "TIMEOUT"])
def test_what_was_not_done_may_be_asked_for_again(code: str) -> None:
    talk = asked("node.invoke", INVOKE)
    talk.gets(Answered(talk.forward.key, wrapped(code)))
    assert talk.asks("node.invoke", INVOKE, "r2").forward.params["nodeId"] == GATEWAY


@pytest.mark.parametrize(
    ("answer", "free"),
    [
        (wrapped("TIMEOUT"), False),
        (wrapped("DISCONNECTED"), False),
        (wrapped("NOT_CONNECTED", dispatched=False), True),
        (wrapped("NODE_NOT_READY"), True),
        (wrapped("NODE_BACKGROUND_UNAVAILABLE"), True),
        (bad("INVALID_REQUEST", "no", {"reason": "command not allowlisted"}), True),
        (Fault.GONE, False),
        (Fault.TIMEOUT, False),
        (Fault.UNREADABLE, False),
        (Fault.DOWN, True),
        (Fault.BUSY, True),
        (Fault.TOO_LARGE, True),
    ],
)
def test_a_node_elsewhere_is_not_asked_twice_when_nobody_knows_what_it_did(answer: Any, free: bool) -> None:
    """Red without `sent`: only this bridge's nodes have a ledger at their own end."""
    params = {**INVOKE, "nodeId": OTHER}
    talk = asked("node.invoke", params, policy=WITH_OTHER)
    key = talk.forward.key
    talk.gets(Unanswered(key, answer) if isinstance(answer, Fault) else Answered(key, answer))
    talk.asks("node.invoke", params, "r2")
    if free:
        assert talk.forward.params["nodeId"] == OTHER
    else:
        assert (talk.error["code"], forwards(talk)) == ("CONFLICT", [])


def test_an_error_of_a_node_elsewhere_is_its_outcome_and_is_told_again() -> None:
    """Red when its key is free again: an error may come after half a deed."""
    params = {**INVOKE, "nodeId": OTHER}
    talk = asked("node.invoke", params, policy=WITH_OTHER)
    talk.gets(Answered(talk.forward.key, wrapped("CAMERA_DISABLED")))
    first = talk.error
    talk.asks("node.invoke", params, "r2")
    assert (talk.error, forwards(talk)) == (first, [])
    assert talk.after(KEPT_S).asks("node.invoke", params, "r3").forward.params["nodeId"] == OTHER


def test_requests_that_wait_for_another_have_a_cap() -> None:
    talk = asked("node.invoke", INVOKE)
    key = talk.forward.key
    for number in range(5 * MAX_SHARERS):
        talk.asks("node.invoke", INVOKE, f"s{number}")
        assert (number < MAX_SHARERS) is (talk.did == [])
    talk.gets(Answered(key, good(DONE)))
    assert len(talk.sent) == 1 + MAX_SHARERS


def test_an_id_that_waits_is_not_used_twice() -> None:
    talk = asked("node.invoke", INVOKE)
    assert talk.asks("node.invoke", INVOKE, "r1").error["message"] == "request id is in use"
    assert talk.asks("node.invoke", INVOKE, "s").did == []
    assert talk.asks("node.invoke", INVOKE, "s").error["message"] == "request id is in use"


def test_an_answer_without_a_payload_comes_back_without_one() -> None:
    talk = asked("node.invoke", INVOKE)
    talk.gets(Answered(talk.forward.key, replace(good(), payload=None)))
    first = talk.sent
    talk.asks("node.invoke", INVOKE, "r1")
    assert talk.sent == first


# Whom, and how it is told.


def test_the_owner_may_name_another_node_and_its_id_is_rewritten() -> None:
    policy = Policy(invoke_targets=frozenset({ANDROID.node_id}))
    talk = node_in(IPHONE, EVERYTHING, ANDROID.record(), policy=policy)
    talk.asks("node.invoke", {**INVOKE, "nodeId": ANDROID.node_id})
    assert talk.forward.params["nodeId"] == ANDROID.gateway_id
    talk.gets(Answered(talk.forward.key, good({"ok": True, "nodeId": ANDROID.gateway_id})))
    assert talk.payload["nodeId"] == ANDROID.node_id


@pytest.mark.parametrize("details", [{}, {"code": "QUEUED_UNTIL_FOREGROUND", "queuedActionId": "q", "nodeId": GATEWAY}])
def test_a_caller_on_the_lan_gets_the_background_as_a_typed_error(details: Json) -> None:
    node_error = {"code": "NODE_BACKGROUND_UNAVAILABLE", "message": "NODE_BACKGROUND_UNAVAILABLE: asleep"}
    talk = asked("node.invoke", INVOKE)
    talk.gets(Answered(talk.forward.key, bad("UNAVAILABLE", "queued", {**details, "nodeError": node_error})))
    assert talk.error == {
        "code": "NODE_BACKGROUND_UNAVAILABLE",
        "message": "NODE_BACKGROUND_UNAVAILABLE: asleep",
        "details": {"code": "NODE_BACKGROUND_UNAVAILABLE", **({"queued": True} if details else {})},
        "retryable": True,
        "retryAfterMs": 30_000,
    }


@pytest.mark.parametrize(("words", "retry_ms"), [("retry after 7 s", 7_000), ("retry after 9999 s", 30_000)])
def test_a_caller_on_the_lan_is_told_when_to_try_again_in_the_node_s_own_words(words: str, retry_ms: int) -> None:
    node_error = {"code": "NODE_BACKGROUND_UNAVAILABLE", "message": f"NODE_BACKGROUND_UNAVAILABLE: x; {words}"}
    talk = asked("node.invoke", INVOKE)
    talk.gets(Answered(talk.forward.key, bad("UNAVAILABLE", "no", {"nodeError": node_error})))
    assert talk.error["retryAfterMs"] == retry_ms


@pytest.mark.parametrize(
    ("code", "typed", "retry_ms"),
    [
        ("NODE_DISCONNECTED", True, 1_000),
        ("TIMEOUT", True, 1_000),
        ("CONFLICT", True, None),
        ("AUTH_RATE_LIMITED", False, None),
        ("UNAVAILABLE", False, None),
    ],
)
def test_of_a_node_s_errors_a_caller_gets_the_listed_ones_typed(code: str, typed: bool, retry_ms: int | None) -> None:
    talk = asked("node.invoke", INVOKE)
    details = {"nodeError": {"code": code, "message": f"{code}: why"}}
    talk.gets(Answered(talk.forward.key, bad("UNAVAILABLE", "wrapped", details)))
    assert talk.error["code"] == (code if typed else "UNAVAILABLE")
    assert talk.error["message"] == (f"{code}: why" if typed else "wrapped")
    assert talk.error.get("retryAfterMs") == retry_ms
