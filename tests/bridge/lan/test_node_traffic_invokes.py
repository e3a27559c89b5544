"""The agent's commands on their way to a phone: each has one outcome, and none is done that was not granted."""

from __future__ import annotations

from typing import Any

import pytest

from acl.model import Subject
from acl.permissions import COMMANDS, Permission, Permissions
from bridge.lan.events import Answered, Ended, Fault, FromGateway, Link, LinkLost, Lost, Oversized, Report, Unanswered
from bridge.lan.node_traffic import NodeTraffic
from bridge.upstream.dispatches import PLACES, RUNNING
from gateway_client.frames import ErrorShape, Event
from tests.bridge.lan.invokes import GATEWAY, LAN, TEXT, answered, asleep, invoked, result
from tests.bridge.lan.phones import COMMANDS as DECLARED
from tests.bridge.lan.phones import IPHONE, PHONE, Json
from tests.bridge.lan.playbook import START, bad, book, event, good, node_in, ok

GONE = "NODE_DISCONNECTED: the node went away before it answered"
CHANGED = bad("UNAVAILABLE", "changed", {"code": "PAIRING_CHANGED"})


# Down.


def test_a_command_reaches_the_phone_under_its_own_id_and_untouched() -> None:
    talk = invoked(
        node_in(IPHONE), "device.info", paramsJSON=TEXT, timeoutMs=12_341, idempotencyKey="k", sessionKey="s", x=1
    )
    payload = {
        "id": "i1",
        "nodeId": LAN,
        "command": "device.info",
        "timeoutMs": 12_341,
        "paramsJSON": TEXT,
        "idempotencyKey": "k",
    }
    talk.sends(event("node.invoke.request", payload))


@pytest.mark.parametrize("command", sorted({*COMMANDS, "x.secret", "Screen.show", "screen.show ", "\u017fcreen.show"}))
@pytest.mark.parametrize(
    "permissions", [PHONE, frozenset(Permission), frozenset[Permission]()], ids=["phone", "all", "none"]
)
def test_only_what_was_granted_and_offered_reaches_the_phone(command: str, permissions: Permissions) -> None:
    talk = invoked(node_in(IPHONE, permissions), command)
    if command in DECLARED and COMMANDS[command] in permissions:
        assert talk.sent[0]["event"] == "node.invoke.request"
    else:
        talk.does(Report("i1", ErrorShape("FORBIDDEN", f"{command} is not granted to this node")))


def test_a_refusal_to_the_gateway_is_code_and_message_and_nothing_else() -> None:
    for talk in (invoked(node_in(IPHONE), "system.run"), invoked(asleep())):
        (report,) = talk.reports
        assert report.error.as_json().keys() == {"code", "message"}


@pytest.mark.parametrize("payload", [None, [], {}, {"id": "i"}, {"command": "screen.show"}, {"id": 1, "command": "c"}])
def test_an_invoke_that_is_none_goes_nowhere(payload: Any) -> None:
    talk = node_in(IPHONE).gateway_says("node.invoke.request", payload).does()
    assert talk.notes[-1].event == "invoke-malformed"


def test_an_id_that_is_under_way_is_not_given_out_twice_and_keeps_its_one_outcome() -> None:
    talk = invoked(invoked(node_in(IPHONE))).does()
    assert talk.notes[-1].event == "invoke-repeated"
    assert answered(talk).forward.params["id"] == "i1"


def test_a_phone_works_on_8_at_once_and_32_wait_in_order() -> None:
    talk = node_in(IPHONE)
    for number in range(RUNNING):
        assert invoked(talk, invoke_id=f"i{number}").sent
    for number in range(RUNNING, PLACES):
        invoked(talk, invoke_id=f"i{number}").does()
    for number in range(200):
        assert invoked(talk, invoke_id=f"more{number}").reports[0].error.code == "UNAVAILABLE"
    answered(talk, invoke_id="i3")
    assert [frame["payload"]["id"] for frame in talk.sent] == [f"i{RUNNING}"]
    assert invoked(talk, invoke_id="still").reports[0].error.code == "UNAVAILABLE"  # the result is not taken yet
    talk.gets(Answered("r1.0", good({"ok": True})))
    invoked(talk, invoke_id="again").does()


def test_a_deadline_goes_on_while_an_invoke_waits_and_the_phone_gets_what_is_left() -> None:
    talk = node_in(IPHONE)
    for number in range(RUNNING):
        invoked(talk, invoke_id=f"i{number}")
    invoked(talk, invoke_id="short", timeoutMs=1_000)
    invoked(talk, invoke_id="long", timeoutMs=20_000)
    assert [report.invoke_id for report in talk.after(1.0).reports] == ["short"]
    answered(talk.after(4.0), invoke_id="i0")
    (request,) = [frame["payload"] for frame in talk.sent]
    assert (request["id"], request["timeoutMs"]) == ("long", 15_000)


def test_a_place_is_free_again_when_nobody_waits_any_more() -> None:
    talk = node_in(IPHONE)
    for number in range(RUNNING):
        invoked(talk, invoke_id=f"i{number}", timeoutMs=1_000)
    invoked(talk, invoke_id="next").does().after(1.0)
    assert [report.invoke_id for report in talk.reports] == [f"i{number}" for number in range(RUNNING)]
    assert [frame["payload"]["id"] for frame in talk.sent] == ["next"]


# Up.


def test_a_result_goes_up_under_the_gateway_s_id_with_its_text_untouched() -> None:
    talk = answered(invoked(node_in(IPHONE), "device.info"), payloadJSON=TEXT, smuggled=1)
    assert (talk.forward.link, talk.forward.method) == (Link.NODE, "node.invoke.result")
    assert talk.forward.params == {"id": "i1", "nodeId": GATEWAY, "ok": True, "payloadJSON": TEXT}
    talk.gets(Answered(talk.forward.key, good({"ok": True}))).sends(ok({"ok": True}))


@pytest.mark.parametrize("invoke_id", ["unknown", "of-another-node"])
def test_a_result_for_an_invoke_that_it_has_not_is_ignored(invoke_id: str) -> None:
    talk = invoked(node_in(IPHONE)).asks("node.invoke.result", result(invoke_id))
    talk.sends(ok({"ok": True, "ignored": True}))
    assert talk.notes[-1].event == "late-result"


def test_a_second_result_is_ignored() -> None:
    answered(answered(invoked(node_in(IPHONE)))).sends(ok({"ok": True, "ignored": True}))


def test_a_result_that_is_malformed_leaves_the_invoke_open() -> None:
    talk = invoked(node_in(IPHONE)).asks("node.invoke.result", {"id": "i1", "nodeId": "other", "ok": True})
    assert talk.error["message"] == "nodeId mismatch"
    assert answered(talk).forward.params["id"] == "i1"


def test_a_result_that_the_gateway_refuses_for_a_moment_is_sent_again_three_times() -> None:
    talk = answered(invoked(node_in(IPHONE)))
    first = talk.forward
    assert first.delay_s == 0
    for _ in range(3):
        again = talk.gets(Answered(first.key, CHANGED)).forward
        assert (again.params, again.delay_s, again.allow) == (first.params, 0.25, first.allow)
    talk.gets(Answered(first.key, CHANGED))
    assert talk.details == {"code": "PAIRING_CHANGED"}


def test_it_is_sent_again_only_while_somebody_waits_for_it() -> None:
    talk = invoked(node_in(IPHONE), timeoutMs=1_000).after(0.8)
    talk = answered(talk)
    talk.gets(Answered(talk.forward.key, CHANGED))
    assert talk.details == {"code": "PAIRING_CHANGED"}


def test_a_result_that_succeeds_at_the_second_try_is_answered_once() -> None:
    talk = answered(invoked(node_in(IPHONE)))
    again = talk.gets(Answered(talk.forward.key, CHANGED)).forward
    talk.gets(Answered(again.key, good({"ok": True}))).sends(ok({"ok": True}))
    talk.gets(Answered(again.key, good({"ok": True}))).does()


def test_any_other_refusal_is_passed_on() -> None:
    talk = answered(invoked(node_in(IPHONE)))
    talk.gets(Answered(talk.forward.key, bad("INVALID_REQUEST", "nodeId mismatch")))
    assert talk.error["code"] == "INVALID_REQUEST"


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.GONE])
def test_a_result_whose_invoke_ended_with_the_link_troubles_the_phone_no_more(fault: Fault) -> None:
    talk = answered(invoked(node_in(IPHONE)))
    talk.gets(Unanswered(talk.forward.key, fault)).sends(ok({"ok": True, "ignored": True}))


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.TOO_LARGE, "PAYLOAD_TOO_LARGE"),
        (Fault.TIMEOUT, "TIMEOUT"),
        (Fault.UNREADABLE, "UNAVAILABLE"),
        (Fault.ANSWER_TOO_LARGE, "PAYLOAD_TOO_LARGE"),
    ],
)
def test_a_result_that_got_lost_on_an_open_link_is_told_to_both_sides(fault: Fault, code: str) -> None:
    talk = answered(invoked(node_in(IPHONE)))
    talk.gets(Unanswered(talk.forward.key, fault))
    assert (talk.reports[0].invoke_id, talk.reports[0].error.code) == ("i1", code)
    assert talk.error["code"] == code


def test_a_result_for_which_there_is_no_room_now_is_kept_and_sent_until_it_is_taken() -> None:
    talk = answered(invoked(node_in(IPHONE), timeoutMs=5_000))
    first = talk.forward
    for _ in range(10):
        again = talk.gets(Unanswered(first.key, Fault.BUSY)).forward
        assert (again.params, again.delay_s, again.allow, again.owed) == (first.params, 0.25, first.allow, True)
        assert (talk.sent, talk.reports) == ([], [])
        talk.after(0.25)
    talk.gets(Answered(first.key, good({"ok": True}))).sends(ok({"ok": True}))


def test_one_for_which_there_is_never_room_ends_its_invoke_before_the_caller_gives_up() -> None:
    talk = answered(invoked(node_in(IPHONE), timeoutMs=1_000))
    key = talk.forward.key
    talk.after(0.7).gets(Unanswered(key, Fault.BUSY))
    assert talk.forward.key == key
    talk.after(0.25).gets(Unanswered(key, Fault.BUSY))
    assert [(report.invoke_id, report.error.code) for report in talk.reports] == [("i1", "UNAVAILABLE")]
    assert (talk.error["code"], talk.error["retryable"]) == ("UNAVAILABLE", True)
    talk.gets(Unanswered(key, Fault.BUSY)).does()


def test_an_invoke_keeps_its_place_until_the_gateway_has_taken_its_result() -> None:
    talk = node_in(IPHONE)
    for number in range(PLACES):
        invoked(talk, invoke_id=f"i{number}").asks("node.invoke.result", result(f"i{number}"), f"r{number}")
        assert talk.forward.owed
    first = talk.forward
    assert invoked(talk, invoke_id="more").reports[0].error.code == "UNAVAILABLE"
    talk.gets(Answered(first.key, good({"ok": True})))
    assert answered(invoked(talk, invoke_id="more"), invoke_id="more").forward.params["id"] == "more"


def test_progress_of_an_own_invoke_goes_up_and_of_another_is_ignored() -> None:
    talk = invoked(node_in(IPHONE))
    params = {"invokeId": "i1", "nodeId": LAN, "seq": 1, "chunk": "half", "x": 1}
    expected = {"invokeId": "i1", "nodeId": GATEWAY, "seq": 1, "chunk": "half"}
    assert talk.asks("node.invoke.progress", params).forward.params == expected
    talk.asks("node.invoke.progress", {**params, "invokeId": "i2"}, "r2").sends(ok({"ok": True, "ignored": True}, "r2"))


@pytest.mark.parametrize(
    ("name", "key", "more"),
    [("node.invoke.cancel", "invokeId", {}), ("node.invoke.input", "id", {"seq": 1, "payloadJSON": TEXT})],
)
def test_the_gateway_may_cancel_and_feed_an_open_invoke_only(name: str, key: str, more: Json) -> None:
    talk = invoked(node_in(IPHONE))
    talk.gateway_says(name, {key: "other", "nodeId": GATEWAY, **more}).does()
    talk.gateway_says(name, {key: "i1", "nodeId": GATEWAY, **more, "x": 1})
    talk.sends(event(name, {"nodeId": LAN, key: "i1", **more}))


# Time and the end.


def test_an_invoke_that_is_not_answered_times_out() -> None:
    talk = invoked(node_in(IPHONE), timeoutMs=5_000).after(4.75).does()
    assert talk.session.next_deadline() == talk.now.mono + 0.25
    talk.after(0.25).does(Report("i1", ErrorShape("TIMEOUT", "the node did not answer in time")))
    answered(talk).sends(ok({"ok": True, "ignored": True}))


@pytest.mark.parametrize("given", [0, -1, None, "5", True])
def test_a_timeout_that_makes_no_sense_is_30_seconds(given: Any) -> None:
    talk = invoked(node_in(IPHONE), timeoutMs=given)
    assert talk.payload["timeoutMs"] == 30_000


@pytest.mark.parametrize("end", [Lost(), Ended(4001, "device removed"), Ended(1012, "stop", restart=True)], ids=repr)
def test_a_phone_that_goes_ends_all_its_invokes(end: Any) -> None:
    talk = invoked(invoked(node_in(IPHONE), invoke_id="i1"), invoke_id="i2").gets(end)
    assert talk.reports == [Report(name, ErrorShape("NODE_DISCONNECTED", GONE)) for name in ("i1", "i2")]


def test_so_does_one_that_is_closed_for_its_refusals() -> None:
    talk = invoked(node_in(IPHONE))
    for _ in range(11):
        talk.asks("no.such")
    assert [report.invoke_id for report in talk.reports] == ["i1"]


def test_a_command_that_is_too_long_for_the_phone_is_reported() -> None:
    talk = invoked(node_in(IPHONE))
    frame = Event("node.invoke.request", talk.payload)
    talk.gets(Oversized(frame, 17_000_000))
    assert (talk.reports[0].invoke_id, talk.reports[0].error.code) == ("i1", "PAYLOAD_TOO_LARGE")
    answered(talk).sends(ok({"ok": True, "ignored": True}))


def test_another_event_that_is_too_long_is_left_out() -> None:
    talk = node_in(IPHONE).gets(Oversized(Event("chat", {}), 17_000_000)).does()
    assert talk.notes[-1].fields == {"bytes": 17_000_000}


def test_the_policy_is_asked_although_a_command_was_offered() -> None:
    subject = Subject(LAN, frozenset())
    traffic = NodeTraffic(subject, IPHONE.record(), frozenset({"screen.show"}), book())
    payload: Json = {"id": "i1", "nodeId": GATEWAY, "command": "screen.show"}
    (_, report) = traffic.on_event(FromGateway(Event("node.invoke.request", payload)), START)
    assert report == Report("i1", ErrorShape("FORBIDDEN", "screen.show is not granted to this node"))


# When the gateway goes.


def test_what_a_lost_link_has_ended_has_no_other_end() -> None:
    talk = invoked(invoked(node_in(IPHONE)), "device.info", "i2").gets(LinkLost()).does()
    assert [note.fields for note in talk.notes if note.event == "invokes-lost"] == [{"count": 2}]
    late = {"ok": True, "ignored": True}
    answered(talk).sends(ok(late))
    talk.asks("node.invoke.progress", {"invokeId": "i2", "nodeId": LAN, "seq": 0, "chunk": "x"}).sends(ok(late))
    assert talk.after(29.0).reports == []
    assert talk.after(29.0).reports == []
    assert talk.gets(Lost()).reports == []


def test_an_id_may_come_again_over_the_next_link() -> None:
    talk = invoked(node_in(IPHONE)).gets(LinkLost())
    assert invoked(talk).sent[0]["event"] == "node.invoke.request"
    assert answered(talk).forward.params["id"] == "i1"
