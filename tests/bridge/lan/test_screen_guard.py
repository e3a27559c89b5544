"""Commands to a screen in conversation: what the phone gets, what the agent gets, and what neither does."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from acl.model import Navigation, Policy, Subject
from acl.permissions import Permission
from bridge.config import LimitsTable
from bridge.lan.events import Answered, LinkLost
from bridge.lan.screen_guard import Admitted, ScreenGuard
from bridge.lan.screen_page import ScreenPage
from bridge.lan.screen_results import MAX_RESULT_BYTES
from bridge.upstream.dispatches import PLACES
from bridge.upstream.outcomes import Invoke
from gateway_client.frames import ErrorShape
from tests.bridge.lan.invokes import GATEWAY, LAN, answered, asleep, invoked, upstream
from tests.bridge.lan.phones import IPHONE
from tests.bridge.lan.pictures import png, snapshot
from tests.bridge.lan.playbook import Book, Talk, book, good, node_in, ok
from tests.bridge.lan.test_screen_aliases import OLD

URL, PRIVATE = "https://ok.example/", "https://192.168.0.1/admin?token=s3cret"
READS = {"screen.eval": {"javaScript": "1"}, "screen.snapshot": None}


def command(talk: Talk, name: str, params: Any = None, invoke_id: str = "i1", **members: Any) -> Talk:
    return invoked(talk, name, invoke_id, paramsJSON=json.dumps(params), **members)


def goes(talk: Talk, url: str = URL, invoke_id: str = "n1", name: str = "screen.navigate") -> Talk:
    return command(talk, name, {"url": url}, invoke_id)


def arrives(talk: Talk, url: str = URL, invoke_id: str = "n1") -> Talk:
    return answered(talk, id=invoke_id, payloadJSON=json.dumps({"url": url, "title": "T"}))


def strayed() -> Talk:
    return arrives(goes(node_in(IPHONE)), PRIVATE)


def refusal(talk: Talk) -> ErrorShape:
    (report,) = talk.reports
    assert not talk.sent, "the phone was told"
    return report.error


# Down.


def test_the_phone_gets_what_was_checked_and_in_a_browser_s_spelling() -> None:
    """Goes red when `_rebuilt` hands on the text that came."""
    talk = goes(node_in(IPHONE), "HTTPS://OK.Example:443/a b")
    assert talk.payload["paramsJSON"] == '{"url":"https://ok.example/a%20b"}'
    assert (talk.payload["command"], talk.payload["id"]) == ("screen.navigate", "n1")


@pytest.mark.parametrize(
    ("name", "params", "code"),
    [
        ("screen.navigate", None, "INVALID_REQUEST"),
        ("screen.navigate", {"url": 5}, "INVALID_REQUEST"),
        ("screen.navigate", {"url": PRIVATE}, "FORBIDDEN"),
        ("screen.navigate", {"url": "javascript:alert(1)"}, "FORBIDDEN"),
        ("screen.setMode", {"mode": "x"}, "INVALID_REQUEST"),
        ("screen.snapshot", {"maxWidth": 0}, "INVALID_REQUEST"),
        ("screen.eval", {}, "INVALID_REQUEST"),
        ("screen.eval", {"javaScript": "x" * 65_537}, "PAYLOAD_TOO_LARGE"),
    ],
)
def test_a_bad_parameter_is_answered_at_once_and_the_phone_sees_nothing(name: str, params: Any, code: str) -> None:
    error = refusal(command(node_in(IPHONE), name, params))
    assert error.as_json().keys() == {"code", "message"}
    assert error.code == code
    assert "s3cret" not in error.message


def test_a_refused_address_is_not_taken_for_a_sleeping_phone() -> None:
    """The gateway would queue it for when the phone wakes up."""
    assert refusal(goes(asleep(), PRIVATE)).code == "FORBIDDEN"
    assert refusal(goes(asleep())).code == "NODE_BACKGROUND_UNAVAILABLE"


def test_the_rules_are_those_of_the_moment() -> None:
    talk = goes(node_in(IPHONE))
    assert talk.sent
    directory = cast("Book", talk.session.directory)
    directory.policy = Policy(navigation=Navigation(hosts=("other.example",)))
    assert "not listed" in refusal(goes(talk, invoke_id="n2")).message
    arrives(talk)
    assert upstream(talk)["error"]["code"] == "FORBIDDEN"
    directory.policy = Policy(navigation=Navigation(allow_private=True))
    assert goes(talk, PRIVATE, "n3").sent


def test_a_picture_is_as_wide_as_the_owner_allows() -> None:
    talk = node_in(IPHONE, policy=Policy(snapshot_max_width=640))
    assert command(talk, "screen.snapshot").payload["paramsJSON"] == '{"maxWidth":640}'
    assert command(talk, "screen.snapshot", {"maxWidth": 9999}, "i2").payload["paramsJSON"] == '{"maxWidth":640}'


def test_the_limits_of_the_configuration_hold() -> None:
    talk = node_in(IPHONE, limits=LimitsTable(eval_max_bytes=3))
    assert command(talk, "screen.eval", {"javaScript": "1+1"}).sent
    assert refusal(command(talk, "screen.eval", {"javaScript": "1+12"}, "i2")).code == "PAYLOAD_TOO_LARGE"


@pytest.mark.parametrize("name", ["canvas.navigate", "canvas.present"])
def test_the_older_commands_obey_the_same_rules(name: str) -> None:
    talk = node_in(OLD)
    assert refusal(goes(talk, PRIVATE, name=name)).code == "FORBIDDEN"
    assert goes(talk, name=name).payload["paramsJSON"] == '{"url":"https://ok.example/"}'
    answered(talk, id="n1", payloadJSON=json.dumps({"url": PRIVATE}))
    assert upstream(talk)["error"]["code"] == "FORBIDDEN"
    assert refusal(command(talk, "canvas.eval", {"javaScript": "1"})).code == "FORBIDDEN"
    answered(goes(talk, "/", "n2", "canvas.navigate"), id="n2")
    assert command(talk, "canvas.eval", {"javaScript": "1"}).sent


def test_showing_an_older_canvas_without_an_address_is_no_navigation() -> None:
    talk = node_in(OLD)
    answered(goes(talk, name="canvas.navigate"), id="n1", payload={"url": PRIVATE})
    answered(command(talk, "canvas.present", {}, "p"), id="p")
    assert refusal(command(talk, "canvas.snapshot")).code == "FORBIDDEN"


# Up.


def test_good_results_come_back_in_the_form_in_which_they_were_sent() -> None:
    talk = node_in(IPHONE)
    assert upstream(arrives(goes(talk)))["payloadJSON"] == '{"url":"https://ok.example/","title":"T"}'
    picture = snapshot(png(390, 844), "png", 390, 844)
    sent = upstream(answered(command(talk, "screen.snapshot"), payload={**picture, "x": 1}))
    assert sent == {"id": "i1", "nodeId": GATEWAY, "ok": True, "payload": picture}


@pytest.mark.parametrize("name", ["canvas.eval", "canvas.snapshot"])
def test_what_an_older_app_reads_is_passed_on_as_it_is(name: str) -> None:
    """Red when the results of untyped commands are held to a shape and to the size of an address."""
    for odd in ("{", json.dumps({"base64": "x" * 2 * MAX_RESULT_BYTES})):
        talk = answered(command(node_in(OLD), name, {"javaScript": "1"}), payloadJSON=odd)
        assert (upstream(talk)["ok"], upstream(talk)["payloadJSON"]) == (True, odd)


@pytest.mark.parametrize(
    ("name", "params", "members"),
    [
        ("screen.navigate", {"url": URL}, {}),
        ("screen.navigate", {"url": URL}, {"payloadJSON": "{"}),
        ("screen.eval", {"javaScript": "1"}, {"payload": {"value": 1}}),
        ("screen.snapshot", None, {"payload": snapshot(png(390, 844), "jpeg", 390, 844)}),
        ("screen.snapshot", {"maxWidth": 389}, {"payload": snapshot(png(390, 844), "png", 390, 844)}),
    ],
)
def test_a_bad_result_is_one_failure_for_the_agent_and_the_phone_is_answered(
    name: str, params: Any, members: Any
) -> None:
    talk = answered(command(node_in(IPHONE), name, params), **members)
    assert (upstream(talk)["ok"], upstream(talk)["error"]["code"]) == (False, "INVALID_RESULT")
    assert upstream(talk).keys() == {"id", "nodeId", "ok", "error"}
    assert {"command": name} in [note.fields for note in talk.notes if note.event == "invoke-result-invalid"]
    talk.gets(Answered(talk.forward.key, good({"ok": True}))).sends(ok({"ok": True}))
    answered(talk).sends(ok({"ok": True, "ignored": True}))


def test_a_place_that_is_not_allowed_is_never_said_to_the_agent() -> None:
    """Goes red without the second check in `ScreenGuard.judge`."""
    talk = strayed()
    assert (upstream(talk)["ok"], upstream(talk)["error"]["code"]) == (False, "FORBIDDEN")
    assert "192.168" not in json.dumps(upstream(talk))
    (note,) = [note for note in talk.notes if note.event == "navigation-violation"]
    assert note.fields == {"command": "screen.navigate", "why": "private", "host": "192.168.0.1"}
    assert "s3cret" not in repr(talk.notes)


@pytest.mark.parametrize("name", READS)
def test_nothing_is_read_from_such_a_place_until_another_navigation_has_ended_well(name: str) -> None:
    """Goes red without `READING` in `ScreenGuard.admit`."""
    talk = strayed()
    assert refusal(command(talk, name, READS[name])).code == "FORBIDDEN"
    for number, (other, params) in enumerate(
        [("screen.hide", None), ("screen.show", None), ("screen.setMode", {"mode": "canvas"})]
    ):
        answered(command(talk, other, params, f"o{number}"), id=f"o{number}")
        assert refusal(command(talk, name, READS[name])).code == "FORBIDDEN"
    goes(talk, invoke_id="n2")
    assert refusal(command(talk, name, READS[name])).code == "UNAVAILABLE"
    arrives(talk, invoke_id="n2")
    assert command(talk, name, READS[name]).sent


@pytest.mark.parametrize("name", READS)
def test_what_was_asked_before_is_not_answered_from_there(name: str) -> None:
    talk = goes(command(node_in(IPHONE), name, READS[name]))
    arrives(talk, PRIVATE)
    payload = {"result": "secret"} if name == "screen.eval" else snapshot(png(1, 1), "png", 1, 1)
    assert upstream(answered(talk, payload=payload))["error"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("ends", ["open", "well", "failed", "astray, then well"])
def test_what_was_asked_before_a_navigation_is_not_answered_after_it_has_begun(name: str, ends: str) -> None:
    """The device may have read it on the way. Red when `_unanswered` does not compare turns."""
    talk = goes(command(node_in(IPHONE), name, READS[name]))
    if ends == "well":
        arrives(talk)
    elif ends == "failed":
        answered(talk, id="n1", ok=False, error={"code": "TIMEOUT", "message": "no"})
    elif ends != "open":
        arrives(talk, PRIVATE)
        arrives(goes(talk, invoke_id="n2"), invoke_id="n2")
    payload = {"result": "secret"} if name == "screen.eval" else snapshot(png(1, 1), "png", 1, 1)
    told = upstream(answered(talk, payload=payload))
    assert told["error"]["code"] == "UNAVAILABLE"
    assert told.keys() == {"id", "nodeId", "ok", "error"}


@pytest.mark.parametrize("place", [URL, PRIVATE])
def test_what_a_script_throws_is_a_result_as_well(place: str) -> None:
    """Red when a failed reading passes unasked: `throw new Error(document.body.innerText)` says what it read."""
    talk = arrives(goes(command(node_in(IPHONE), "screen.eval", READS["screen.eval"])), place)
    told = upstream(answered(talk, ok=False, error={"code": "SCRIPT", "message": "secret"}))
    assert told["error"]["code"] == ("UNAVAILABLE" if place == URL else "FORBIDDEN")
    assert "secret" not in json.dumps(told)


def test_a_navigation_that_was_not_tried_takes_no_answer_away() -> None:
    talk = goes(command(node_in(IPHONE), "screen.eval", READS["screen.eval"]))
    answered(talk, id="n1", ok=False, error={"code": "NODE_NOT_READY", "message": "no"})
    assert upstream(answered(talk, payload={"result": 1}))["payload"] == {"result": 1}


def test_a_device_that_has_not_begun_to_read_says_so_itself() -> None:
    """The gateway keeps a call for an app that sleeps; what was refused here would be lost to it."""
    talk = goes(command(node_in(IPHONE), "screen.eval", READS["screen.eval"]))
    told = upstream(answered(talk, ok=False, error={"code": "NODE_BACKGROUND_UNAVAILABLE", "message": "asleep"}))
    assert told["error"] == {"code": "NODE_BACKGROUND_UNAVAILABLE", "message": "asleep"}


def test_a_phone_that_reconnects_still_shows_what_it_showed() -> None:
    directory = book(IPHONE.record())
    page = directory.screen(LAN)
    page.begin("n0")
    page.strayed()
    talk = node_in(IPHONE, screens=directory.screens)
    assert refusal(command(talk, "screen.eval", {"javaScript": "1"})).code == "FORBIDDEN"


@pytest.mark.parametrize("code", ["NODE_BACKGROUND_UNAVAILABLE", "NODE_NOT_READY", "INVALID_REQUEST"])
def test_a_navigation_that_was_not_tried_changes_nothing(code: str) -> None:
    talk = node_in(IPHONE)
    answered(goes(talk), id="n1", ok=False, error={"code": code, "message": "no"})
    assert command(talk, "screen.eval", {"javaScript": "1"}).sent


def test_after_one_that_failed_or_was_never_answered_nobody_knows_what_is_shown() -> None:
    failed = node_in(IPHONE)
    answered(goes(failed), id="n1", ok=False, error={"code": "TIMEOUT", "message": "no"})
    late = goes(node_in(IPHONE)).after(31)
    arrives(late)
    cut = goes(node_in(IPHONE)).gets(LinkLost())
    for talk in (failed, late, cut):
        assert "navigate again" in refusal(command(talk, "screen.snapshot")).message
        arrives(goes(talk, invoke_id="n2"), invoke_id="n2")
        assert command(talk, "screen.snapshot", invoke_id="i2").sent


def test_no_more_is_remembered_than_is_in_flight() -> None:
    """Goes red without the sweep in `ScreenGuard.begin`."""
    guard = ScreenGuard(Subject(LAN, frozenset({Permission.SCREEN})), ScreenPage())
    open_now: set[str] = set()
    for number in range(5 * PLACES):
        admitted = guard.admit(Invoke(f"i{number}", "screen.show", None, 1_000, None, 1.0), Policy())
        assert isinstance(admitted, Admitted)
        if len(open_now) == PLACES:
            open_now.clear()  # their time is up
        open_now.add(admitted.invoke.id)
        guard.begin(admitted, open_now.__contains__)
        assert len(guard) == len(open_now)


# What waits at the gateway, and the owner's rules.


def pulled(talk: Talk, *actions: Any) -> Talk:
    talk.asks("node.pending.pull", {})
    return talk.gets(Answered(talk.forward.key, good({"nodeId": GATEWAY, "actions": list(actions)})))


def test_what_waited_at_the_gateway_obeys_the_same_rules() -> None:
    """Goes red when `_own_actions` passes the actions on as they came."""
    talk = pulled(
        node_in(IPHONE),
        {"id": "a1", "command": "screen.navigate", "paramsJSON": json.dumps({"url": PRIVATE}), "enqueuedAtMs": 1},
        {
            "id": "a2",
            "command": "screen.navigate",
            "paramsJSON": '{"url":"https://ok.example","x":1}',
            "enqueuedAtMs": 2,
        },
        {"id": "a3", "command": "screen.setMode", "paramsJSON": '{"mode":"x"}', "enqueuedAtMs": 3},
    )
    assert talk.payload["actions"] == [
        {"id": "a2", "command": "screen.navigate", "paramsJSON": '{"url":"https://ok.example/"}', "enqueuedAtMs": 2}
    ]
    assert upstream(talk) == {"ids": ["a1", "a3"]}
    assert "navigate again" in refusal(command(talk, "screen.eval", {"javaScript": "1"})).message


@pytest.mark.parametrize("name", READS)
def test_what_waited_behind_a_navigation_is_not_read_from_where_that_may_end(name: str) -> None:
    """Red when all of an answer is decided before its navigations count: the script would run wherever they lead."""
    read = {"id": "a2", "command": name, "paramsJSON": json.dumps(READS[name]), "enqueuedAtMs": 2}
    sent = {"id": "a1", "command": "screen.navigate", "paramsJSON": json.dumps({"url": URL}), "enqueuedAtMs": 1}
    talk = pulled(node_in(IPHONE), sent, read)
    assert [action["id"] for action in talk.payload["actions"]] == ["a1"]
    assert upstream(talk) == {"ids": ["a2"]}
    before = pulled(node_in(IPHONE), read, sent)
    assert [action["id"] for action in before.payload["actions"]] == ["a2", "a1"]  # positive control


def test_an_action_without_parameters_has_none_at_the_phone_either() -> None:
    """Neither has one whose parameters are no text: there is nothing that a phone could read in them."""
    shown = {"id": "a1", "command": "screen.show", "enqueuedAtMs": 1}
    asked = {"id": "a2", "command": "device.info", "enqueuedAtMs": 2}
    talk = pulled(node_in(IPHONE), {**shown, "paramsJSON": '{"x":1}'}, {**asked, "paramsJSON": {"x": 1}})
    assert talk.payload["actions"] == [shown, asked]
