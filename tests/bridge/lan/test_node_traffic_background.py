"""A phone in the background, what waits for it at the gateway, and the events that it may hear."""

from __future__ import annotations

from typing import Any

import pytest

from acl.permissions import FOREGROUND_FAMILIES, Permission
from bridge.lan.events import Answered, Fault, Forward, FromGateway, LinkLost, Unanswered
from bridge.lan.traffic import MAX_FORWARDED
from gateway_client.frames import Event
from tests.bridge.lan.invokes import GATEWAY, LAN, TEXT, answered, asleep, invoked, result
from tests.bridge.lan.phones import COMMANDS as DECLARED
from tests.bridge.lan.phones import IPHONE, Json
from tests.bridge.lan.playbook import bad, event, good, node_in, ok, req

# Background.


@pytest.mark.parametrize("command", DECLARED)
def test_a_phone_in_the_background_is_answered_for_at_once(command: str) -> None:
    talk = invoked(asleep(), command)
    if command.startswith(FOREGROUND_FAMILIES):
        (report,) = talk.reports
        assert report.error.code == "NODE_BACKGROUND_UNAVAILABLE"
        assert report.error.message.startswith("NODE_BACKGROUND_UNAVAILABLE: ")
        assert report.error.message.endswith("retry after 30 s")
    else:
        assert talk.sent[0]["event"] == "node.invoke.request"


def test_an_app_that_goes_to_the_background_says_so_and_the_gateway_hears_it_too() -> None:
    talk = node_in(IPHONE)
    talk.asks("node.event", {"event": "node.presence.alive", "payloadJSON": '{"trigger":"background"}'})
    assert talk.forward.params["event"] == "node.presence.alive"
    assert talk.session.in_background


def test_the_word_of_an_app_that_stays_connected_is_believed_for_a_minute() -> None:
    """Red without `until`: an app that does not say when it is back would be asleep for ever."""
    talk = node_in(IPHONE).asks("node.event", {"event": "node.presence.alive", "payload": {"trigger": "background"}})
    assert talk.after(59.0).session.in_background
    assert not talk.after(1.0).session.in_background
    assert invoked(talk).sent[0]["event"] == "node.invoke.request"
    assert asleep().after(3_600.0).session.in_background  # a native node says so itself


@pytest.mark.parametrize("trigger", ["connect", "silent_push", "bg_app_refresh", "significant_location", "manual"])
def test_another_sign_of_life_changes_nothing(trigger: str) -> None:
    params = {"event": "node.presence.alive", "payloadJSON": f'{{"trigger":"{trigger}"}}'}
    assert not node_in(IPHONE).asks("node.event", params).session.in_background
    assert asleep().asks("node.event", params).session.in_background


def test_what_brings_it_back() -> None:
    assert not asleep().asks("node.pending.pull", {}).session.in_background
    back = {"event": "node.state", "payload": {"state": "foreground"}}
    assert not asleep().asks("node.event", back).session.in_background
    assert not node_in(IPHONE).session.in_background


@pytest.mark.parametrize(
    ("command", "success", "background"),
    [("screen.show", True, False), ("screen.show", False, True), ("device.info", True, True)],
)
def test_a_foreground_command_that_succeeds_brings_it_back(command: str, success: bool, background: bool) -> None:
    talk = invoked(node_in(IPHONE), command)
    talk.asks("node.event", {"event": "node.state", "payload": {"state": "background"}}, "e1")
    assert answered(talk, ok=success).session.in_background is background


# What waits at the gateway.

ACTIONS = [
    {"id": "a1", "command": "device.info", "paramsJSON": TEXT, "enqueuedAtMs": 1},
    {"id": "a2", "command": "camera.snap", "enqueuedAtMs": 2},
    {"id": "a3", "command": "system.run", "enqueuedAtMs": 3},
]


def test_actions_that_are_not_granted_are_removed_and_acknowledged_upstream() -> None:
    talk = node_in(IPHONE).asks("node.pending.pull", {})
    talk.gets(Answered(talk.forward.key, good({"nodeId": GATEWAY, "actions": ACTIONS})))
    assert talk.payload == {"nodeId": LAN, "actions": [ACTIONS[0]]}
    assert (talk.forward.method, talk.forward.params) == ("node.pending.ack", {"ids": ["a2", "a3"]})
    ack = talk.forward.key
    talk.gets(Answered(ack, good({"ackedIds": ["a2", "a3"]}))).does()


@pytest.mark.parametrize("lost", [False, True])
def test_one_acknowledgement_is_under_way_at_a_time_and_it_is_owed(lost: bool) -> None:
    talk = node_in(IPHONE).asks("node.pending.pull", {})
    talk.gets(Answered(talk.forward.key, good({"nodeId": GATEWAY, "actions": ACTIONS[:2]})))
    first = talk.forward
    for number in range(MAX_FORWARDED):
        talk.asks("node.pending.pull", {}, f"r{number}")
        talk.gets(Answered(talk.forward.key, good({"nodeId": GATEWAY, "actions": ACTIONS[2:]})))
        assert talk.payload["actions"] == []
        assert not [command for command in talk.did if isinstance(command, Forward)]
    talk.gets(Unanswered(first.key, Fault.BUSY) if lost else Answered(first.key, good({"ackedIds": ["a2"]})))
    assert (talk.forward.params, talk.forward.owed, first.owed) == ({"ids": ["a3"]}, True, True)


def test_with_everything_granted_nothing_is_acknowledged() -> None:
    talk = node_in(IPHONE).asks("node.pending.pull", {})
    talk.gets(Answered(talk.forward.key, good({"nodeId": GATEWAY, "actions": ACTIONS[:1]})))
    talk.sends(ok({"nodeId": LAN, "actions": ACTIONS[:1]}))


@pytest.mark.parametrize("actions", [[None], ["x"], [{}], [{"id": "a", "command": 7}], [[]]])
def test_an_action_that_is_none_never_reaches_the_phone(actions: list[Any]) -> None:
    talk = node_in(IPHONE).asks("node.pending.pull", {})
    talk.gets(Answered(talk.forward.key, good({"actions": actions})))
    assert talk.payload["actions"] == []


@pytest.mark.parametrize("answer", [bad("UNAVAILABLE"), good(None)])
def test_a_pull_that_fails_is_passed_on(answer: Any) -> None:
    talk = node_in(IPHONE).asks("node.pending.pull", {})
    talk.gets(Answered(talk.forward.key, answer))
    assert len(talk.sent) == 1


# Events.


FOLLOWED: Json = {"ok": True, "event": "chat.subscribe", "handled": True}
RUN: Json = {"runId": "r", "sessionKey": "agent:main:main", "seq": 1}


@pytest.mark.parametrize(
    ("name", "permission", "payload"),
    [
        ("voicewake.changed", Permission.VOICE, {"triggers": ["hey"]}),
        ("voicewake.routing.changed", Permission.VOICE, {"config": {"a": 1}}),
        ("chat", Permission.CHAT, {**RUN, "state": "final"}),
        ("agent", Permission.CHAT, {**RUN, "stream": "s", "ts": 1, "data": {"a": 1}}),
    ],
)
def test_an_event_needs_its_permission_and_is_rebuilt_without_a_number(
    name: str, permission: Permission, payload: Json
) -> None:
    talk = node_in(IPHONE, frozenset({permission}))
    if permission is Permission.CHAT:  # and its session has to be followed
        talk.asks("node.event", {"event": "chat.subscribe", "payload": {"sessionKey": "main"}})
        talk.gets(Answered(talk.forward.key, good(FOLLOWED)))
    talk.gets(FromGateway(Event(name, {**payload, "smuggled": 1}, 7, {"presence": 1}))).sends(event(name, payload))
    node_in(IPHONE, frozenset(Permission) - {permission}).gateway_says(name, payload, 7).does()


@pytest.mark.parametrize(
    "name",
    [
        *("tick", "health", "presence", "shutdown", "connect.challenge", "node.pair.resolved", "heartbeat"),
        *("exec.approval.requested", "device.pair.requested", "config.changed", "Chat", "chat ", "node.invoke.result"),
    ],
)
def test_every_other_event_stays_away_from_a_node(name: str) -> None:
    node_in(IPHONE, frozenset(Permission)).gateway_says(name, {"x": 1}, 9).does()


def test_a_link_that_is_lost_says_nothing_to_the_phone() -> None:
    invoked(node_in(IPHONE)).gets(LinkLost()).does()


def test_an_early_result_is_held_against_nothing() -> None:
    talk = node_in(IPHONE).receives(req("node.invoke.result", result()))
    talk.sends(ok({"ok": True, "ignored": True}))
