"""A node's chat subscriptions outlive the link to the gateway: they are said again, one after the other."""

from __future__ import annotations

from typing import Any

import pytest

from acl.model import Policy, Subject
from acl.permissions import Permission
from bridge.lan.events import Answered, Command, Fault, Forward, Gap, Link, LinkLost, LinkReady, Oversized, Unanswered
from bridge.lan.node_traffic import NodeTraffic
from bridge.lan.streams import MAX_NAME_CHARS, MAX_SESSIONS
from bridge.lan.traffic import Result
from gateway_client.frames import Event, JsonObject, Request
from tests.bridge.lan.phones import IPHONE
from tests.bridge.lan.playbook import START, Book, Talk, bad, book, good, node_in

CHAT = frozenset({Permission.CHAT})
KEYS = frozenset({"main", "work", "agent:main:work", *(f"s{number}" for number in range(1_000))})
LONG = "k" * (MAX_NAME_CHARS + 1)
ANY = Policy(agent_sessions=KEYS | {LONG})


def commands_of(result: Result) -> list[Command]:
    assert isinstance(result, list), result
    return result


def says(talk: Talk, event: str, session: Any, answer: Any = None) -> Talk:
    talk.asks("node.event", {"event": event, "payload": {"sessionKey": session}})
    outcome = answer or good({"ok": True, "event": event, "handled": True})
    key = talk.forward.key
    return talk.gets(Unanswered(key, outcome) if isinstance(outcome, Fault) else Answered(key, outcome))


def following(*sessions: str) -> Talk:
    talk = node_in(IPHONE, CHAT, policy=ANY)
    for session in sessions:
        says(talk, "chat.subscribe", session)
    return talk


def said_again(talk: Talk, answer: Any = None) -> list[str]:
    """Has the link made anew; returns the sessions that are subscribed to again."""
    sessions: list[str] = []
    talk.gets(LinkReady())
    while talk.did:
        assert talk.sent == []
        forward = talk.forward
        assert (forward.link, forward.method, forward.owed) == (Link.NODE, "node.event", True)
        payload = forward.params["payload"]
        assert forward.params == {"event": "chat.subscribe", "payload": payload}
        assert isinstance(payload, dict)
        sessions.append(str(payload["sessionKey"]))
        outcome = answer or good({"ok": True})
        talk.gets(Unanswered(forward.key, outcome) if isinstance(outcome, Fault) else Answered(forward.key, outcome))
    return sessions


def test_a_link_that_was_made_anew_hears_of_every_session_again() -> None:
    talk = following("main", "agent:main:work")
    for _ in range(3):
        talk.gets(LinkLost()).does()
        assert said_again(talk) == ["main", "agent:main:work"]


def test_a_node_that_follows_nothing_says_nothing() -> None:
    following().gets(LinkReady()).does()


def test_what_was_unsubscribed_is_not_said_again_even_when_the_gateway_did_not_hear_of_it() -> None:
    for heard in (None, bad("UNAVAILABLE"), Fault.DOWN):
        assert said_again(says(following("main", "work"), "chat.unsubscribe", "main", heard)) == ["work"]


@pytest.mark.parametrize("answer", [bad("UNAVAILABLE"), Fault.DOWN, Fault.TIMEOUT])
def test_what_the_node_was_told_is_not_subscribed_is_not(answer: Any) -> None:
    assert said_again(says(following(), "chat.subscribe", "main", answer)) == []


@pytest.mark.parametrize("answer", [bad("UNAVAILABLE"), Fault.GONE, Fault.BUSY])
def test_one_that_fails_is_tried_with_the_next_link(answer: Any) -> None:
    talk = following("main", "work")
    assert said_again(talk, answer) == ["main", "work"]
    assert said_again(talk) == ["main", "work"]


def test_one_is_under_way_at_a_time() -> None:
    talk = following("main", "work").gets(LinkReady())
    first = talk.forward
    talk.gets(LinkReady()).does()
    assert talk.gets(Answered(first.key, good({}))).forward.params["payload"] == {"sessionKey": "main"}


def test_a_session_that_is_left_meanwhile_is_not_said_any_more() -> None:
    talk = following("main", "work").gets(LinkReady())
    first = talk.forward
    says(talk, "chat.unsubscribe", "work")
    talk.gets(Answered(first.key, good({}))).does()


def test_what_was_unsubscribed_by_another_spelling_is_not_said_again() -> None:
    """Red when the spellings are compared: the session is shown no more, and subscribed to for ever."""
    assert said_again(says(following("main", "work"), "chat.unsubscribe", "agent:main:main")) == ["work"]


def test_a_session_that_was_left_before_the_gateway_took_it_is_not_said_again() -> None:
    """Red when the gateway's late word for a subscription brings one back that the node has ended."""
    talk = following()
    talk.asks("node.event", {"event": "chat.subscribe", "payload": {"sessionKey": "main"}}, "on")
    on = talk.forward
    talk.asks("node.event", {"event": "chat.unsubscribe", "payload": {"sessionKey": "agent:main:main"}}, "off")
    off = talk.forward
    talk.gets(Answered(on.key, good({"ok": True, "event": "chat.subscribe", "handled": True})))
    talk.gets(Unanswered(off.key, Fault.GONE)).gets(LinkLost())
    assert said_again(talk) == []


def test_a_session_whose_runs_are_not_shown_is_not_said_again() -> None:
    """Red when the two have bounds of their own: the link would carry what nobody sees."""
    talk = node_in(IPHONE, CHAT, policy=Policy(agent_sessions=frozenset({LONG})))
    says(talk, "chat.subscribe", LONG)
    assert said_again(talk) == []


def test_what_the_node_may_not_subscribe_to_is_not_said_for_it() -> None:
    traffic = NodeTraffic(Subject("aa" * 32, CHAT), IPHONE.record(), frozenset(), book())
    params: JsonObject = {"event": "chat.subscribe", "payload": {"sessionKey": "main"}}
    (first,) = commands_of(traffic.on_request(Request("r1", "node.event", params), START))
    assert isinstance(first, Forward)
    traffic.on_event(Answered(first.key, good({"ok": True})), START)
    traffic.subject = Subject("aa" * 32, frozenset())
    assert traffic.on_event(LinkReady(), START) == []


def test_a_session_that_the_owner_has_taken_away_is_not_said_for_it() -> None:
    """With `_subscribe_again` asking the policy about the event alone, `work` is subscribed to again."""
    talk = node_in(IPHONE, CHAT, policy=ANY)
    directory = talk.session.directory
    for session in ("work", "main"):
        says(talk, "chat.subscribe", session)
    assert isinstance(directory, Book)
    directory.policy = Policy()
    assert said_again(talk) == ["main"]


def test_64_sessions_are_remembered_and_the_oldest_is_forgotten_first() -> None:
    talk = following(*(f"s{number}" for number in range(1_000)))
    assert said_again(talk) == [f"s{number}" for number in range(1_000 - MAX_SESSIONS, 1_000)]
    assert said_again(says(talk, "chat.subscribe", f"s{1_000 - MAX_SESSIONS}"))[-1] == f"s{1_000 - MAX_SESSIONS}"


@pytest.mark.parametrize("session", ["", 7, None, ["main"], LONG])
def test_a_session_that_is_none_is_not_remembered(session: Any) -> None:
    assert said_again(says(following(), "chat.subscribe", session)) == []


def test_the_node_s_own_answers_are_not_mistaken_for_these() -> None:
    talk = following("main").gets(LinkReady())
    again = talk.forward
    talk.asks("node.list", {})
    own = talk.forward.key
    assert own != again.key
    assert talk.gets(Answered(own, good({"nodes": []}))).payload == {"nodes": []}
    assert not [command for command in talk.did if isinstance(command, Forward)]


def delta(session: str = "agent:main:main", run: str = "r1", **members: Any) -> JsonObject:
    return {"runId": run, "sessionKey": session, "seq": 1, "state": "delta", "deltaText": "x", **members}


def final() -> JsonObject:
    return {"runId": "r1", "sessionKey": "agent:main:main", "seq": 2, "state": "final"}


BEGINNING: Any = {"message": {"role": "assistant"}}


def test_a_node_sees_whole_runs_of_the_sessions_that_it_follows() -> None:
    talk = following("main")
    assert talk.gateway_says("chat", delta(**BEGINNING)).sent
    assert talk.gateway_says("chat", delta()).sent
    talk.gateway_says("chat", delta(run="r2")).does()
    talk.gateway_says("chat", delta(run="r2", **BEGINNING)).does()
    talk.gateway_says("chat", delta("agent:main:work", "r3", **BEGINNING)).does()


def test_what_an_earlier_socket_has_subscribed_to_is_not_shown_to_the_next() -> None:
    """The link outlives a socket. With the question to `Subscriptions.passes` left out, the event is sent."""
    node_in(IPHONE, CHAT).gateway_says("chat", delta(**BEGINNING)).does()


@pytest.mark.parametrize("lost", [LinkLost(), Gap(), Oversized(Event("chat", {}), 2**25)])
def test_what_was_lost_on_the_link_is_a_gap(lost: LinkLost | Gap | Oversized) -> None:
    talk = following("main")
    assert talk.gateway_says("chat", delta(**BEGINNING)).sent
    talk.gets(lost).gateway_says("chat", delta()).does()
    assert talk.gateway_says("chat", final()).sent


def test_what_the_owner_has_withheld_for_a_while_is_a_gap() -> None:
    """Red without `missed` in `_on_gateway_event` of bridge/lan/node_traffic.py."""
    talk = following("main")
    assert talk.gateway_says("chat", delta(**BEGINNING)).sent
    directory = talk.session.directory
    assert isinstance(directory, Book)
    directory.policy = Policy(agent_sessions=frozenset({"other"}))
    talk.gateway_says("chat", delta()).does()
    directory.policy = ANY
    talk.gateway_says("chat", delta()).does()


def test_after_the_end_of_a_subscription_nothing_is_shown() -> None:
    talk = says(following("main"), "chat.unsubscribe", "agent:main:main")
    talk.gateway_says("chat", delta(**BEGINNING)).does()
