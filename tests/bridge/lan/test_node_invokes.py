"""The agent's invokes and their idempotency keys: one deed at the phone, one outcome for each dispatch."""

from __future__ import annotations

import pytest

from acl.model import Direction, OwnerRule, Policy
from acl.permissions import Permission
from bridge.lan.events import Admitted, Answered, Forward, LinkLost, Lost, Oversized
from bridge.lan.recall import Replay
from bridge.upstream.dispatches import PLACES, RUNNING, SHARERS
from bridge.upstream.idempotency import KEPT_S, Entry, Ledger, Status
from gateway_client.frames import Event, JsonObject
from tests.bridge.lan.invokes import LAN, REPLAYED, TEXT, answered, asked, invoked, keyed, result, told
from tests.bridge.lan.phones import ANDROID, IPHONE, NODE_TOKEN, PHONE, Json
from tests.bridge.lan.playbook import Book, Talk, book, event, good, node_in, ok, play


def node_in_by(directory: Book) -> Talk:
    """The iPhone's node socket, with a directory that the test may change."""
    talk = play(directory).receives(IPHONE.connect(auth={"deviceToken": NODE_TOKEN}))
    return talk.gets(Admitted(directory.records[LAN]))


# E8: the same key.


def test_twice_is_done_once_and_told_twice() -> None:
    talk = answered(keyed(node_in(IPHONE)), payloadJSON=TEXT)
    keyed(talk, "i2").does(Replay("i2", REPLAYED))


def test_fifty_in_parallel_are_done_once_and_all_get_the_outcome() -> None:
    """Red when `_asked_before` does not look for an open job: eight would run and the rest wait."""
    talk = keyed(node_in(IPHONE))
    for number in range(49):
        keyed(talk, f"s{number}").does()
    answered(talk, payloadJSON=TEXT)
    assert told(talk) == [("i1", True), *((f"s{number}", True) for number in range(49))]
    results = [one for one in talk.did if isinstance(one, Forward)]
    assert {one.params["payloadJSON"] for one in results} == {TEXT}
    assert talk.sent == []  # the phone is answered when the gateway has taken the first one
    assert talk.gets(Answered(results[0].key, good({"ok": True}))).sent == [ok({"ok": True})]
    for one in results[1:]:
        talk.gets(Answered(one.key, good({"ok": True}))).does()


@pytest.mark.parametrize("change", [{"paramsJSON": "{}"}, {"paramsJSON": None}, {"command": "screen.hide"}])
@pytest.mark.parametrize("before", ["waiting", "running", "done"])
def test_anything_else_under_the_key_is_a_conflict(before: str, change: Json) -> None:
    talk = node_in(IPHONE)
    for number in range(RUNNING if before == "waiting" else 0):
        invoked(talk, invoke_id=f"other{number}")
    keyed(talk)
    if before == "done":
        answered(talk)
    keyed(talk, "i2", **change)
    assert (told(talk), asked(talk)) == ([("i2", "CONFLICT")], [])


def test_after_a_reconnect_it_is_still_done_once() -> None:
    ledger = Ledger()
    answered(keyed(node_in(IPHONE, ledger=ledger)), payloadJSON=TEXT).gets(Lost())
    keyed(node_in(IPHONE, ledger=ledger), "i2").does(Replay("i2", REPLAYED))


def test_the_key_of_another_node_is_another_key() -> None:
    ledger = Ledger()
    answered(keyed(node_in(IPHONE, ledger=ledger)))
    assert asked(keyed(node_in(ANDROID, ledger=ledger), "i2")) == ["i2"]


def test_without_a_key_each_is_done() -> None:
    talk = answered(invoked(node_in(IPHONE), paramsJSON=TEXT))
    assert asked(invoked(talk, invoke_id="i2", paramsJSON=TEXT)) == ["i2"]


def test_after_ten_minutes_it_is_done_again() -> None:
    talk = answered(keyed(node_in(IPHONE))).after(KEPT_S)
    assert asked(keyed(talk, "i2")) == ["i2"]


def test_what_is_remembered_is_told_only_while_it_is_still_granted() -> None:
    ledger = Ledger()
    answered(keyed(node_in(IPHONE, ledger=ledger)))
    assert told(keyed(node_in(IPHONE, frozenset({Permission.SCREEN}), ledger=ledger), "i2")) == [("i2", "FORBIDDEN")]


def test_an_error_of_the_phone_is_its_outcome_too() -> None:
    error: JsonObject = {"code": "UNAVAILABLE", "message": "CAMERA_DISABLED: no"}
    talk = answered(keyed(node_in(IPHONE)), ok=False, error=error)
    keyed(talk, "i2").does(Replay("i2", {"ok": False, "error": error}))


@pytest.mark.parametrize("code", ["NODE_NOT_READY", "NODE_BACKGROUND_UNAVAILABLE"])
def test_what_the_phone_has_not_begun_is_sent_again(code: str) -> None:
    """The gateway dispatches anew, under the same key, what was not ready; red when every answer is remembered."""
    talk = answered(keyed(node_in(IPHONE)), ok=False, error={"code": code, "message": f"{code}: x"})
    assert asked(keyed(talk, "i2")) == ["i2"]


@pytest.mark.parametrize("refusal", ["background", "limit", "forbidden", "too-large"])
def test_what_never_reached_the_phone_leaves_the_key_free(refusal: str) -> None:
    ledger = Ledger()
    talk = node_in(IPHONE, ledger=ledger)
    match refusal:
        case "background":
            talk.asks("node.event", {"event": "node.state", "payload": {"state": "background"}})
        case "limit":
            for number in range(PLACES):
                invoked(talk, invoke_id=f"other{number}")
        case "forbidden":
            talk = node_in(IPHONE, frozenset(), ledger=ledger)
        case _:
            pass
    keyed(talk, command="screen.show")
    if refusal == "too-large":
        talk.gets(Oversized(Event("node.invoke.request", talk.payload), 17_000_000))
    assert [name for name, code in told(talk) if code is not True] == ["i1"]
    assert asked(keyed(node_in(IPHONE, ledger=ledger), "i2", command="screen.show")) == ["i2"]


def test_what_was_cut_off_before_it_was_sent_leaves_the_key_free() -> None:
    ledger = Ledger()
    talk = node_in(IPHONE, ledger=ledger)
    for number in range(RUNNING):
        invoked(talk, invoke_id=f"other{number}")
    assert told(keyed(talk).gets(Lost()))[-1] == ("i1", "NODE_DISCONNECTED")
    assert asked(keyed(node_in(IPHONE, ledger=ledger), "i2")) == ["i2"]


@pytest.mark.parametrize("end", ["lost", "timeout", "gateway-gone"])
def test_what_was_sent_and_has_no_outcome_is_not_done_a_second_time(end: str) -> None:
    ledger = Ledger()
    talk = keyed(node_in(IPHONE, ledger=ledger))
    match end:
        case "lost":
            talk.gets(Lost())
            talk = node_in(IPHONE, ledger=ledger)
        case "timeout":
            talk.after(30.0)
        case _:
            talk.gets(LinkLost())
    assert told(keyed(talk, "i2")) == [("i2", "CONFLICT")]


@pytest.mark.parametrize("end", ["timeout", "gateway-gone"])
def test_a_late_answer_is_nobody_s_outcome_but_is_remembered(end: str) -> None:
    talk = keyed(node_in(IPHONE))
    if end == "timeout":
        talk.after(30.0)
    else:
        talk.gets(LinkLost())
    answered(talk, payloadJSON=TEXT).sends(ok({"ok": True, "ignored": True}))
    keyed(talk, "i2").does(Replay("i2", REPLAYED))


def test_what_is_written_down_is_that_it_was_sent_and_then_its_result() -> None:
    talk = answered(keyed(node_in(IPHONE)), payloadJSON=TEXT)
    entries = [change for change in talk.remembered if isinstance(change, Entry)]
    assert [entry.status for entry in entries] == [Status.SENT, Status.DONE]
    assert "example.com" not in repr(entries)


# Sharing a job.


def test_each_of_those_that_share_has_its_own_deadline() -> None:
    talk = keyed(keyed(node_in(IPHONE), timeoutMs=1_000), "i2", timeoutMs=5_000).after(1.0)
    assert told(talk) == [("i1", "TIMEOUT")]
    assert told(answered(talk)) == [("i2", True)]


def test_sharing_has_a_cap_and_takes_no_place() -> None:
    talk = keyed(node_in(IPHONE))
    for number in range(5 * SHARERS):
        keyed(talk, f"s{number}")
        assert told(talk) == ([] if number < SHARERS else [(f"s{number}", "UNAVAILABLE")])
    assert asked(invoked(talk, invoke_id="another")) == ["another"]


def test_one_that_is_cancelled_leaves_the_others_what_they_wait_for() -> None:
    talk = keyed(keyed(node_in(IPHONE)), "i2")
    talk.gateway_says("node.invoke.cancel", {"invokeId": "i1"})
    assert (told(talk), talk.sent) == ([("i1", "UNAVAILABLE")], [])
    assert told(answered(talk)) == [("i2", True)]


def test_the_last_one_that_is_cancelled_ends_it_at_the_phone_which_has_the_last_word() -> None:
    talk = keyed(keyed(node_in(IPHONE)), "i2")
    talk.gateway_says("node.invoke.cancel", {"invokeId": "i1"})
    talk.gateway_says("node.invoke.cancel", {"invokeId": "i2"})
    talk.sends(event("node.invoke.cancel", {"nodeId": LAN, "invokeId": "i1"}))  # what the phone knows it by
    error = {"code": "UNAVAILABLE", "message": "node invoke cancelled"}
    assert told(answered(talk, ok=False, error=error)) == [("i2", False)]


def test_one_that_waits_for_its_turn_is_cancelled_without_the_phone() -> None:
    talk = node_in(IPHONE)
    for number in range(RUNNING):
        invoked(talk, invoke_id=f"other{number}")
    keyed(talk).gateway_says("node.invoke.cancel", {"invokeId": "i1"})
    assert (told(talk), talk.sent) == ([("i1", "UNAVAILABLE")], [])
    answered(talk, invoke_id="other0")
    assert asked(talk) == []
    assert asked(keyed(talk, "i2")) == ["i2"]


def test_progress_is_for_the_one_who_has_waited_longest_and_input_for_the_one_who_began() -> None:
    talk = keyed(keyed(node_in(IPHONE), timeoutMs=1_000), "i2")
    params = {"invokeId": "i1", "nodeId": LAN, "seq": 1, "chunk": "half"}
    assert talk.asks("node.invoke.progress", params, "p1").forward.params["invokeId"] == "i1"
    talk.gateway_says("node.invoke.input", {"id": "i2", "seq": 1, "payloadJSON": "{}"}).does()
    talk.after(1.0).asks("node.invoke.progress", params, "p2")
    assert talk.forward.params["invokeId"] == "i2"


def test_progress_of_a_node_that_is_busy_with_its_own_calls_comes_before_its_result() -> None:
    """Red when progress waits its turn with the calls: the result would overtake it, and end what it is about."""
    talk = invoked(node_in(IPHONE))
    progress = talk.asks("node.invoke.progress", {"invokeId": "i1", "nodeId": LAN, "seq": 1, "chunk": "half"}).forward
    assert (progress.owed, answered(talk).forward.owed) == (True, True)
    assert talk.asks("node.list", request_id="call").forward.owed is False


def test_input_for_one_that_waits_ends_it_rather_than_being_lost() -> None:
    talk = node_in(IPHONE)
    for number in range(RUNNING):
        invoked(talk, invoke_id=f"other{number}")
    invoked(talk).gateway_says("node.invoke.input", {"id": "i1", "seq": 1, "payloadJSON": "{}"})
    assert told(talk) == [("i1", "UNAVAILABLE")]


def test_what_streams_is_heard_while_others_wait() -> None:
    talk = node_in(IPHONE)
    for number in range(PLACES):
        invoked(talk, invoke_id=f"i{number}")
    params = {"invokeId": "i7", "nodeId": LAN, "seq": 1, "chunk": ""}
    assert talk.asks("node.invoke.progress", params).forward.params["invokeId"] == "i7"
    talk.gateway_says("node.invoke.input", {"id": "i7", "seq": 1, "payloadJSON": "{}"})
    assert talk.sent[0]["event"] == "node.invoke.input"


# What waits is decided anew when its turn comes.


def test_what_was_forbidden_while_it_waited_is_not_sent_and_leaves_the_key_free() -> None:
    """Red when `_ask` takes the word of the moment at which the invoke came."""
    directory = book(IPHONE.record(PHONE))
    talk = node_in_by(directory)
    for number in range(RUNNING):
        invoked(talk, "screen.show", f"other{number}")
    keyed(keyed(talk), "i2")
    directory.policy = Policy(rules=(OwnerRule("no-info", Direction.TO_NODE, "device.info", None, allow=False),))
    answered(talk, invoke_id="other0")
    assert told(talk) == [("i1", "FORBIDDEN"), ("i2", "FORBIDDEN"), ("other0", True)]
    directory.policy = Policy()
    assert asked(keyed(talk, "i3")) == ["i3"]


def test_what_waits_when_the_phone_falls_asleep_is_not_sent_to_it() -> None:
    """Red when `_ask` does not ask the wakefulness: a phone in the background would get a screen command."""
    talk = node_in(IPHONE)
    for number in range(RUNNING):
        invoked(talk, "device.info", f"other{number}")
    invoked(invoked(talk, "screen.show", "i1"), "device.info", "i2")
    talk.asks("node.event", {"event": "node.state", "payload": {"state": "background"}}, "state")
    answered(talk, invoke_id="other0")
    assert (asked(talk), told(talk)) == (["i2"], [("i1", "NODE_BACKGROUND_UNAVAILABLE"), ("other0", True)])


def test_results_for_those_that_shared_keep_their_places_until_the_gateway_has_taken_them() -> None:
    """Red when only open dispatches are counted: each round would leave another 64 results."""
    talk = keyed(node_in(IPHONE))
    for number in range(SHARERS):
        keyed(talk, f"s{number}")
    results = [one for one in answered(talk).did if isinstance(one, Forward)]
    keyed(talk, "j1", idempotencyKey="l")
    assert told(keyed(talk, "j2", idempotencyKey="l")) == [("j2", "UNAVAILABLE")]
    talk.gets(Answered(results[-1].key, good({"ok": True})))
    assert told(keyed(talk, "j3", idempotencyKey="l")) == []


# What is noted.


def test_an_invoke_is_noted_with_the_rule_that_let_it_pass_and_the_size_of_the_answer() -> None:
    talk = answered(keyed(node_in(IPHONE)), payloadJSON='{"a":"é"}')
    fields = talk.notes[-1].fields
    assert (fields["rule"], fields["bytes"]) == ("command-device", 10)
    rule = OwnerRule("lent", Direction.TO_NODE, "device.info", LAN, allow=True)
    talk = answered(keyed(node_in(IPHONE, policy=Policy(rules=(rule,)))), payload={"a": 1})
    assert (talk.notes[-1].fields["rule"], talk.notes[-1].fields["bytes"]) == ("lent", len('{"payload":{"a":1}}'))


@pytest.mark.parametrize(("code", "noted"), [("TIMEOUT", "TIMEOUT"), ("planted-words", "other"), ("", "other")])
def test_a_failure_is_noted_with_its_code_and_never_in_the_phone_s_own_words(code: str, noted: str) -> None:
    error: JsonObject = {"code": code, "message": "planted"} if code else {"message": "planted"}
    talk = answered(keyed(node_in(IPHONE)), ok=False, error=error)
    assert talk.notes[-1].fields["code"] == noted
    assert "planted" not in str(talk.notes[-1])


def test_a_refusal_names_the_rule_that_decided() -> None:
    rule = OwnerRule("no-info", Direction.TO_NODE, "device.info", None, allow=False)
    directory = book(IPHONE.record(PHONE))
    talk = node_in_by(directory)
    directory.policy = Policy(rules=(rule,))
    assert keyed(talk).notes[-1].fields == {"command": "device.info", "code": "FORBIDDEN", "rule": "no-info"}


def test_a_late_answer_is_judged_before_it_is_remembered() -> None:
    """Red when `_late` remembers what the phone says: a forbidden address would be told to whoever asks again."""
    talk = node_in(IPHONE)
    navigate: Json = {"command": "screen.navigate", "paramsJSON": '{"url":"https://example.com/"}'}
    keyed(talk, **navigate).after(30.0)
    answered(talk, payloadJSON='{"url":"https://127.0.0.1/planted","title":"x"}')
    keyed(talk, "i2", **navigate)
    (replay,) = talk.replays
    assert (replay.result["ok"], "planted" in str(replay.result)) == (False, False)


# E5: results that are not one's own.


@pytest.mark.parametrize("invoke_id", ["unknown", "of-b"])
def test_e5_a_result_for_another_s_invoke_changes_nothing_there(invoke_id: str) -> None:
    ledger = Ledger()
    other = keyed(node_in(ANDROID, ledger=ledger), "of-b")
    talk = node_in(IPHONE, ledger=ledger).asks("node.invoke.result", result(invoke_id))
    talk.sends(ok({"ok": True, "ignored": True}))
    assert talk.notes[-1].fields == {"remembered": False}
    other.asks("node.invoke.result", {"id": "of-b", "nodeId": ANDROID.node_id, "ok": True})
    assert told(other) == [("of-b", True)]
