"""Which session is meant: the gateway's own name for its main one, and an agent that is named beside a key."""

from __future__ import annotations

import pytest

from bridge.lan.session_names import named_session, plain_session
from gateway_client.frames import JsonObject


def hello(**defaults: str) -> JsonObject:
    return {"snapshot": {"sessionDefaults": {**defaults}}}


BOT = hello(defaultAgentId="bot", mainKey="main", mainSessionKey="agent:bot:main")
GLOBAL = hello(defaultAgentId="main", mainKey="main", mainSessionKey="global", scope="global")


@pytest.mark.parametrize(
    "key, agent, gateway, session",
    [
        ("main", None, {}, "main"),
        ("agent:main:main", None, {}, "main"),
        ("kitchen", None, {}, "kitchen"),
        ("agent:main:kitchen", None, {}, "agent:main:kitchen"),
        ("main", "main", {}, "main"),
        ("main", "other", {}, "agent:other:main"),
        ("agent:other:main", "other", {}, "agent:other:main"),
        ("agent:main:main", "other", {}, "agent:other:agent:main:main"),
        ("kitchen", "other", {}, "agent:other:kitchen"),
        ("agent:bot:main", None, BOT, "main"),
        ("agent:bot:main", "bot", BOT, "main"),
        ("main", "main", BOT, "agent:main:agent:main:main"),
        ("agent:main:main", "main", BOT, "agent:main:agent:main:main"),
        ("agent:main:main", None, BOT, "agent:main:agent:main:main"),
        ("main", None, BOT, "main"),
        ("agent:bot:work", None, BOT, "agent:bot:work"),
        ("agent:bot:main", None, {}, "agent:bot:main"),
        ("global", None, GLOBAL, "main"),
        ("global", None, {}, "global"),
        ("Main", None, BOT, "Main"),
        ("main ", None, BOT, "main "),
    ],
)
def test_a_key_means_one_session(key: str, agent: str | None, gateway: JsonObject, session: str) -> None:
    assert plain_session(key, agent, gateway) == session
    fields: JsonObject = {"sessionKey": key} if agent is None else {"sessionKey": key, "agentId": agent}
    assert named_session(fields, gateway) == session


@pytest.mark.parametrize("fields", [{}, {"agentId": "other"}, {"sessionKey": 5}, {"sessionKey": None, "key": []}])
def test_what_names_none_names_none(fields: JsonObject) -> None:
    assert named_session(fields, BOT) is None


@pytest.mark.parametrize("gateway", [{"snapshot": 5}, {"snapshot": {"sessionDefaults": []}}, {"snapshot": None}])
def test_a_hello_of_another_form_names_nothing(gateway: JsonObject) -> None:
    assert plain_session("agent:bot:main", None, gateway) == "agent:bot:main"
