"""How the gateway 2026.9.6 spells a session that a phone asks for by a shorter key."""

from __future__ import annotations

import pytest

from bridge.lan.session_names import FRESH, SessionKeys, of_agent, session_keys
from gateway_client.frames import JsonObject

OWN: JsonObject = {
    "snapshot": {"sessionDefaults": {"defaultAgentId": "home", "mainKey": "start", "mainSessionKey": "g"}}
}
HOME = SessionKeys("home", "start", "agent:home:start")


@pytest.mark.parametrize(
    ("key", "spelled"),
    [
        (None, "agent:main:main"),
        ("", "agent:main:main"),
        ("main", "agent:main:main"),
        (" Main ", "agent:main:main"),
        ("agent:main:main", "agent:main:main"),
        ("Work", "agent:main:work"),
        ("agent:main:Work", "agent:main:Work"),
        ("agent:other:main", "agent:other:main"),
        ("GLOBAL", "global"),
        ("node-1", "agent:main:node-1"),
    ],
)
def test_at_a_fresh_gateway(key: str | None, spelled: str) -> None:
    assert FRESH.canonical(key) == spelled


@pytest.mark.parametrize(
    ("key", "spelled"),
    [
        (None, "agent:home:start"),
        ("main", "agent:home:start"),
        ("start", "agent:home:start"),
        ("agent:home:main", "agent:home:start"),
        ("agent:main:main", "agent:home:start"),
        ("work", "agent:home:work"),
        ("agent:main:work", "agent:main:work"),
    ],
)
def test_at_one_with_another_default_agent_and_main_key(key: str | None, spelled: str) -> None:
    assert HOME.canonical(key) == spelled


def test_what_the_gateway_says_of_itself_counts() -> None:
    assert session_keys(OWN) == SessionKeys("home", "start", "g")
    assert (
        session_keys({"snapshot": {"sessionDefaults": {"defaultAgentId": "home"}}}).canonical("main")
        == "agent:home:main"
    )


@pytest.mark.parametrize("hello", [{}, {"snapshot": None}, {"snapshot": {"sessionDefaults": {"mainKey": 7}}}])
def test_what_it_does_not_say_is_as_at_a_fresh_one(hello: JsonObject) -> None:
    assert session_keys(hello) == FRESH


@pytest.mark.parametrize(
    ("key", "agent", "named"),
    [
        ("main", None, "main"),
        ("main", "other", "agent:other:main"),
        ("", "other", "agent:other:main"),
        ("agent:main:main", "other", "agent:main:main"),
    ],
)
def test_an_agent_s_main_is_not_the_main_session(key: str, agent: str | None, named: str) -> None:
    assert of_agent(key, agent) == named
