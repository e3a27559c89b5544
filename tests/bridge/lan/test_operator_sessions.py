"""A phone's chat is kept to the owner's sessions, and what every app asks for is cut instead of refused."""

from __future__ import annotations

from typing import Any

import pytest

from acl.model import Policy
from bridge.lan.events import Answered
from tests.bridge.lan.phones import IPHONE, Json
from tests.bridge.lan.playbook import good, ok, operator_in
from tests.bridge.lan.test_operator_traffic import ALL, ANSWERED, MAIN, run

SESSIONED: dict[str, Json] = {
    "chat.history": {"sessionKey": "kitchen"},
    "chat.send": {"sessionKey": "kitchen", "message": "hi", "idempotencyKey": "k"},
    "chat.abort": {"sessionKey": "kitchen"},
    "chat.startup": {"sessionKey": "kitchen"},
    "chat.metadata": {"sessionKey": "kitchen"},
    "commands.list": {"sessionKey": "kitchen"},
    "agent.identity.get": {"sessionKey": "kitchen"},
    "sessions.resolve": {"key": "kitchen"},
    "sessions.messages.subscribe": {"key": "kitchen"},
    "sessions.messages.unsubscribe": {"key": "kitchen"},
    "sessions.branches.list": {"sessionKey": "kitchen"},
    "progressCard.get": {"sessionKey": "kitchen"},
    "artifacts.download": {"sessionKey": "kitchen", "artifactId": "a"},
    "tools.effective": {"sessionKey": "kitchen"},
    "tasks.list": {"sessionKey": "kitchen"},
    "skills.status": {"sessionKey": "kitchen"},
}


@pytest.mark.parametrize("method", SESSIONED)
def test_another_session_is_refused_in_words_and_never_counts(method: str) -> None:
    """Red when a session is not told to the engine: the call is forwarded. 30 of them that count end a socket."""
    talk = operator_in(IPHONE, ALL)
    for number in range(30):
        talk.asks(method, SESSIONED[method], f"r{number}")
        assert talk.details == {"code": "POLICY", "reason": "session"}
        assert talk.closed is None
    kitchen = operator_in(IPHONE, ALL, policy=Policy(agent_sessions=frozenset({"kitchen"})))
    kitchen.asks(method, SESSIONED[method])
    assert kitchen.payload["subscribed"] in (True, False) if method in ANSWERED else kitchen.forward.method == method


def test_an_agent_named_beside_a_key_is_another_session() -> None:
    talk = operator_in(IPHONE, ALL).asks("chat.history", {"sessionKey": "main", "agentId": "other"})
    assert talk.details["reason"] == "session"
    talk.asks("chat.history", {"sessionKey": "main", "agentId": "main"}, "r2")
    assert talk.forward.params == {"sessionKey": "main", "agentId": "main"}


def test_the_gateways_own_name_of_its_main_session_is_main() -> None:
    defaults = {"defaultAgentId": "bot", "mainKey": "main", "mainSessionKey": "agent:bot:main"}
    theirs: Json = {"snapshot": {"sessionDefaults": defaults}}
    talk = operator_in(IPHONE, ALL, gateway_hello=theirs)
    assert talk.asks("chat.history", {"sessionKey": "agent:bot:main"}).forward.method == "chat.history"


def test_an_agent_called_main_that_is_not_the_default_one_has_a_session_of_its_own() -> None:
    """Red when `agent:main:main` passes for the main session wherever: the gateway gives it to that other agent."""
    defaults = {"defaultAgentId": "bot", "mainKey": "main", "mainSessionKey": "agent:bot:main"}
    talk = operator_in(IPHONE, ALL, gateway_hello={"snapshot": {"sessionDefaults": defaults}})
    for number, session in enumerate(({"sessionKey": MAIN}, {"sessionKey": "main", "agentId": "main"})):
        talk.asks("chat.history", session, f"r{number}")
        assert talk.details == {"code": "POLICY", "reason": "session"}
    talk.asks("chat.history", {"sessionKey": "main"}, "own")
    assert talk.forward.params == {"sessionKey": "main"}
    talk.gateway_says("chat", run(state="final")).does()
    mine = operator_in(IPHONE, ALL).asks("chat.history", {"sessionKey": MAIN})
    assert mine.forward.params == {"sessionKey": MAIN}


def test_lists_are_cut_and_what_was_never_to_be_seen_is_not_asked_for() -> None:
    talk = operator_in(IPHONE, ALL).asks("sessions.list", {"limit": 80, "includeLastMessage": True})
    rows = [{"key": MAIN}, {"key": "agent:main:secret"}]
    talk.gets(Answered(talk.forward.key, good({"count": 2, "sessions": rows}))).sends(
        ok({"count": 1, "sessions": rows[:1]})
    )
    talk.asks("sessions.preview", {"keys": ["secret", MAIN]}, "r2")
    assert talk.forward.params == {"keys": [MAIN]}
    talk.asks("sessions.preview", {"keys": ["secret"]}, "r3")
    assert talk.payload["previews"] == [{"key": "secret", "status": "missing", "items": []}]


def test_the_agent_of_a_progress_card_is_told_by_its_key() -> None:
    """Red when `agentId` is decided upon and then dropped: the card of the gateway's own agent would come instead."""
    theirs = Policy(agent_sessions=frozenset({"agent:cook:kitchen", "main"}))
    talk = operator_in(IPHONE, ALL, policy=theirs)
    talk.asks("progressCard.get", {"sessionKey": "kitchen", "agentId": "cook"})
    assert talk.forward.params == {"sessionKey": "agent:cook:kitchen"}
    talk.asks("progressCard.get", {"sessionKey": "kitchen"}, "r2")
    assert talk.details == {"code": "POLICY", "reason": "session"}
    talk.asks("progressCard.get", {"sessionKey": "main", "agentId": "cook"}, "r3")
    assert talk.details == {"code": "POLICY", "reason": "session"}
    assert talk.asks("progressCard.get", {"sessionKey": MAIN}, "r4").forward.params == {"sessionKey": MAIN}


def test_an_artifact_is_looked_for_in_a_session_that_is_named() -> None:
    """Without its key the gateway would take the session of the run, which may be anybody's."""
    talk = operator_in(IPHONE, ALL)
    for number, way in enumerate(("runId", "taskId")):
        talk.asks("artifacts.download", {way: "of-another-session", "artifactId": "a"}, f"r{number}")
        assert (talk.error["code"], talk.did[1:]) == ("INVALID_REQUEST", [])
    artifact = {"id": "a", "type": "image", "title": "x", "sessionKey": MAIN, "download": {"mode": "bytes"}}
    found: Json = {"artifact": artifact, "encoding": "base64", "data": "aGk="}
    talk.asks("artifacts.download", {"sessionKey": MAIN, "artifactId": "a"}, "r3")
    talk.gets(Answered(talk.forward.key, good(found))).sends(ok(found, "r3"))


def test_tasks_are_the_owners_whoever_was_asked_about() -> None:
    talk = operator_in(IPHONE, ALL).asks("tasks.list", {"status": ["running"], "limit": 5})
    assert talk.forward.params == {"status": ["running"], "limit": 5}
    rows = [{"id": key, "status": "running", "sessionKey": key} for key in (MAIN, "agent:main:secret")]
    talk.gets(Answered(talk.forward.key, good({"tasks": rows, "nextCursor": "1.5"}))).sends(ok({"tasks": rows[:1]}))


def test_an_answer_is_cut_by_the_policy_of_its_call() -> None:
    """Red when the answer is cut by the policy in force when it comes: one call would see two policies."""
    talk = operator_in(IPHONE, ALL).asks("sessions.list", {})
    directory: Any = talk.session.directory
    directory.policy = Policy(agent_sessions=frozenset({"kitchen"}))
    rows = [{"key": MAIN}, {"key": "kitchen"}]
    talk.gets(Answered(talk.forward.key, good({"sessions": rows}))).sends(ok({"sessions": rows[:1], "count": 1}))


def test_runs_of_a_session_that_is_no_longer_the_owners_are_withheld() -> None:
    talk = operator_in(IPHONE, ALL).asks("chat.history", {"sessionKey": MAIN})
    assert talk.gateway_says("chat", run(state="final")).sent
    directory: Any = talk.session.directory
    directory.policy = Policy(agent_sessions=frozenset())
    talk.gateway_says("chat", run(state="final")).does()
