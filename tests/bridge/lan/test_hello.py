"""hello-ok: complete for strict clients, true about what the peer may do, and nothing more."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from acl.engine import decide
from acl.model import Allow, Call, Direction, Policy, Subject
from acl.permissions import PROFILES, Permission, Permissions
from acl.rules import RULES
from bridge import __version__
from bridge.lan.connect import read_connect
from bridge.lan.entry import enter
from bridge.lan.events import Admitted
from bridge.lan.hello import Greeting, hello_ok
from bridge.pairing.records import Role
from gateway_client.frames import JsonObject
from tests.bridge.lan.phones import ANDROID, IPHONE, OPERATOR_TOKEN, PHONE, Json
from tests.bridge.lan.playbook import Talk, book, node_in, operator_in, play
from tests.support import schema

GRANTS = {**PROFILES, "nothing": frozenset[Permission](), "everything": frozenset(Permission)}
SINGLE = {permission.value: frozenset({permission}) for permission in Permission}
SCOPES = ("operator.read", "operator.write")
METHODS = [(direction, name) for rule in RULES for direction in [rule.direction] for name in rule.names]


def greeting(role: Role, protocol: int = 4) -> Greeting:
    return Greeting(role, protocol, "conn-1", 26_214_400, 52_428_800, 17)


def subject(role: Role, permissions: Permissions) -> Subject:
    scopes = frozenset(SCOPES) if role is Role.OPERATOR and Permission.CHAT in permissions else frozenset[str]()
    return Subject(IPHONE.node_id, permissions, scopes)


def hello(role: Role, permissions: Permissions, **changes: Any) -> Json:
    admitted = Admitted(IPHONE.record(permissions), **changes)
    built: Json = hello_ok(greeting(role), admitted, subject(role, permissions), Policy(), {})
    return built


CASES = [
    pytest.param(role, grants, id=f"{role}-{name}")
    for role, (name, grants) in itertools.product(Role, {**GRANTS, **SINGLE}.items())
]


@pytest.mark.real
@pytest.mark.parametrize(("role", "permissions"), CASES)
@pytest.mark.parametrize("tokens", [{}, {Role.NODE: "n" * 43}, {Role.NODE: "n" * 43, Role.OPERATOR: "o" * 43}])
def test_it_fits_the_official_schema_to_the_letter(role: Role, permissions: Permissions, tokens: Json) -> None:
    schema.validate("HelloOk", hello(role, permissions, tokens=tokens, issued_at_ms=1), strict=True)


@pytest.mark.parametrize(("role", "permissions"), CASES)
def test_methods_are_exactly_those_that_are_allowed(role: Role, permissions: Permissions) -> None:
    who, way = subject(role, permissions), Direction.FROM_NODE if role is Role.NODE else Direction.FROM_OPERATOR
    own = {"target": IPHONE.node_id, "command": "screen.show", "session": "main", "text": "hi"}
    expected = {
        name
        for direction, name in METHODS
        if direction is way and isinstance(decide(Policy(), who, Call(way, name, **own)), Allow)
    }
    assert set(hello(role, permissions)["features"]["methods"]) == expected
    assert "health" in expected


@pytest.mark.parametrize(("role", "permissions"), CASES)
def test_events_are_the_bridge_s_own_and_those_that_may_pass(role: Role, permissions: Permissions) -> None:
    who = subject(role, permissions)
    way = Direction.EVENT_TO_NODE if role is Role.NODE else Direction.EVENT_TO_OPERATOR
    passing = {name for direction, name in METHODS if direction is way}
    expected = {name for name in passing if isinstance(decide(Policy(), who, Call(way, name)), Allow)}
    events = hello(role, permissions)["features"]["events"]
    own = {"connect.challenge", "tick", "shutdown"} | ({"node.invoke.request"} if role is Role.NODE else set())
    assert set(events) == expected | own
    assert events == sorted(events)


def test_it_says_who_answers_and_what_it_takes() -> None:
    built = hello(Role.NODE, PHONE)
    assert (built["type"], built["protocol"]) == ("hello-ok", 4)
    assert built["server"] == {"version": __version__, "connId": "conn-1"}
    assert built["policy"] == {"maxPayload": 26_214_400, "maxBufferedBytes": 52_428_800, "tickIntervalMs": 30_000}
    assert built["snapshot"] == {
        "presence": [],
        "health": {},
        "stateVersion": {"presence": 0, "health": 0},
        "uptimeMs": 17,
    }


def test_tokens_are_there_only_when_they_were_made() -> None:
    assert hello(Role.NODE, PHONE)["auth"] == {"role": "node", "scopes": []}
    assert hello(Role.OPERATOR, PHONE)["auth"] == {"role": "operator", "scopes": ["operator.read", "operator.write"]}


def test_a_new_node_token_is_for_the_node_alone() -> None:
    auth = hello(Role.NODE, PHONE, tokens={Role.NODE: "n" * 43}, issued_at_ms=5)["auth"]
    assert auth == {"role": "node", "scopes": [], "deviceToken": "n" * 43, "issuedAtMs": 5}


@pytest.mark.parametrize(("permissions", "scopes"), [(PHONE, ["operator.read", "operator.write"]), (frozenset(), [])])
def test_a_code_gives_both_tokens_and_the_scopes_of_the_second(permissions: Permissions, scopes: list[str]) -> None:
    tokens = {Role.NODE: "n" * 43, Role.OPERATOR: "o" * 43}
    auth = hello(Role.NODE, permissions, tokens=tokens, issued_at_ms=5)["auth"]
    assert auth["deviceTokens"] == [
        {"deviceToken": "o" * 43, "role": "operator", "scopes": scopes, "issuedAtMs": 5},
    ]


def test_an_operator_is_never_handed_the_token_of_the_node() -> None:
    tokens = {Role.NODE: "n" * 43, Role.OPERATOR: "o" * 43}
    auth = hello(Role.OPERATOR, PHONE, tokens=tokens, issued_at_ms=5)["auth"]
    assert auth["deviceToken"] == "o" * 43
    assert "deviceTokens" not in auth


GATEWAY: JsonObject = {
    "type": "hello-ok",
    "server": {"version": "2026.9.6", "host": "Annas-Mac.local"},
    "snapshot": {
        "configPath": "/Users/anna/.openclaw/openclaw.json",
        "sessionDefaults": {
            "defaultAgentId": "main",
            "mainKey": "main",
            "mainSessionKey": "agent:main:main",
            "scope": "per-sender",
            "secret": 1,
        },
    },
    "auth": {"deviceToken": "of the bridge"},
    "policy": {"maxPayload": 1, "attachments": {"maxBytes": 19_464_192, "maxImageBytes": 6_291_456, "path": "/tmp"}},
}


@pytest.mark.real
def test_of_the_gateway_s_own_hello_only_the_defaults_of_a_session_and_the_limits_pass() -> None:
    built: Json = hello_ok(
        greeting(Role.OPERATOR), Admitted(IPHONE.record()), subject(Role.OPERATOR, PHONE), Policy(), GATEWAY
    )
    assert built["snapshot"]["sessionDefaults"] == {
        "defaultAgentId": "main",
        "mainKey": "main",
        "mainSessionKey": "agent:main:main",
        "scope": "per-sender",
    }
    assert built["policy"]["attachments"] == {"maxBytes": 19_464_192, "maxImageBytes": 6_291_456}
    assert built["policy"]["maxPayload"] == 26_214_400
    assert not [word for word in ("/Users/anna", "of the bridge", "Annas-Mac", "/tmp", "secret") if word in str(built)]
    schema.validate("HelloOk", built, strict=True)


@pytest.mark.parametrize("attachments", [None, 5, {"maxBytes": 1}, {"maxBytes": "1", "maxImageBytes": 2}])
def test_limits_that_are_not_whole_are_left_out(attachments: Any) -> None:
    theirs: JsonObject = {"policy": {"attachments": attachments}}
    built = hello_ok(greeting(Role.NODE), Admitted(IPHONE.record()), subject(Role.NODE, PHONE), Policy(), theirs)
    assert "attachments" not in str(built["policy"])


# In a conversation.


def hello_of(talk: Talk) -> Json:
    return dict(talk.sent[0]["payload"])


def test_a_client_of_version_3_is_told_version_3() -> None:
    frame = ANDROID.connect(minProtocol=3, maxProtocol=3)
    talk = play(book(ANDROID.record(token_due=True))).receives(frame).gets(Admitted(ANDROID.record()))
    assert hello_of(talk)["protocol"] == 3


def test_it_counts_the_time_since_the_bridge_started() -> None:
    assert hello_of(node_in(IPHONE))["snapshot"]["uptimeMs"] == 600_000


@pytest.mark.parametrize(
    ("asked", "granted", "scopes"),
    [
        (("operator.read", "operator.write", "operator.admin"), PHONE, ["operator.read", "operator.write"]),
        (("operator.read",), PHONE, ["operator.read"]),
        ((), PHONE, []),
        (("operator.read", "operator.write", "operator.admin"), PROFILES["voice+screen"], []),
    ],
)
def test_scopes_are_those_asked_for_and_granted(
    asked: tuple[str, ...], granted: Permissions, scopes: list[str]
) -> None:
    talk = operator_in(IPHONE, granted, scopes=asked)
    assert hello_of(talk)["auth"]["scopes"] == scopes


def test_without_chat_an_operator_may_ask_for_its_health_and_nothing_else() -> None:
    talk = operator_in(IPHONE, PROFILES["voice+screen"])
    assert hello_of(talk)["features"]["methods"] == ["health"]
    talk.asks("chat.send", {"sessionKey": "main", "message": "hi", "idempotencyKey": "k"})
    assert talk.details == {
        "code": "MISSING_SCOPE",
        "missingScope": "operator.write",
        "requiredScopes": ["operator.write"],
    }


def test_it_goes_out_before_anything_else_happens() -> None:
    talk = node_in(IPHONE)
    assert [type(command).__name__ for command in talk.did] == ["Send", "Join"]
    assert OPERATOR_TOKEN not in str(talk.did)


def test_an_entry_without_a_word_of_scopes_has_none() -> None:
    connect = read_connect(IPHONE.params("operator"))
    assert enter(connect, IPHONE.record(), book()).subject.scopes == frozenset()
