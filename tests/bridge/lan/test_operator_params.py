"""The members that a phone's calls may carry: each of them known to the official schema, none of them a way around."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bridge.lan.node_calls import ParamsError
from bridge.lan.operator_params import MAX_KEYS, PARAMS, REQUIRED, read_params
from gateway_client.frames import JsonObject
from tests.gateway import install
from tests.support import schema

NEVER = {  # who vouches, where it is delivered, secrets, words of the system
    *(
        "deliver",
        "to",
        "channel",
        "accountId",
        "threadId",
        "originatingChannel",
        "originatingTo",
        "systemInputProvenance",
    ),
    *("systemProvenanceReceipt", "extraSystemPrompt", "includeSecrets", "approved", "approvalId", "scopes", "role"),
}


# Without a definition in the schema: their members were read from the gateway's own code.
UNDEFINED = {"chat.startup", "users.prefs.get"}
RENAMED = {"agent.identity.get": "AgentIdentityParams"}


ENUMERATED = ["text", "native", "both", "default", "configured", "all", "updatedAt", "lastInteractionAt", "queued"]
CANDIDATES: list[Any] = [
    *ENUMERATED, 5, 20, True, ["text"], {"a": "text"}, [{"type": "text", "content": "text"}], None,
    {"kind": "session-goal-start", "version": 1, "issuedAtMs": 5}, {"mcpServers": {"a": True}},
]  # fmt: skip
UNFIT: list[Any] = [
    "", "x" * 600, 0, -1, 1.5, 2**53 - 1, False, [], [""], [7], ["text", "text"], ["text"] * 300, ["x" * 300], {}, [{}],
    {"kind": "other"}, {"kind": "session-goal-start", "version": 2, "issuedAtMs": 5}, {"mcpServers": {"a": 1}},
    {"skills": [True]}, {"mcpToolsDeny": {"a": [""]}}, [{"type": 7}], [{"content": {}}], [{"sizeBytes": True}],
]  # fmt: skip


def accepted(method: str, name: str) -> list[Any]:
    """Returns the candidates that the official schema takes for one member of a method."""
    found: list[Any] = []
    for value in CANDIDATES:
        try:
            schema.validate(definition_of(method), {name: value}, strict=True)
        except schema.SchemaViolation as wrong:
            if wrong.path != "$":  # at the root only a required member is missing
                continue
        found.append(value)
    return found


def properties(definition: str) -> set[str]:
    """Returns the members that the official schema gives a definition, in any of its shapes."""
    folder = install.installed()
    assert folder is not None
    path = Path(folder, "node_modules", "@openclaw", "gateway-protocol", "protocol.schema.json")
    found: Any = json.loads(path.read_text())["definitions"][definition]
    names: set[str] = set()
    waiting = [found]
    while waiting:
        shape = waiting.pop()
        names |= set(shape.get("properties", {}))
        waiting += [*shape.get("anyOf", []), *shape.get("allOf", []), *shape.get("oneOf", [])]
    return names


def definition_of(method: str) -> str:
    """Returns the name that the schema has for a method's parameters."""
    return RENAMED.get(method) or "".join(part[0].upper() + part[1:] for part in method.split(".")) + "Params"


def taken(method: str, params: dict[str, Any]) -> bool:
    """Whether the bridge forwards these parameters, unchanged."""
    try:
        return read_params(method, params) == params
    except ParamsError:
        return False


WITH_MEMBERS = sorted(method for method in PARAMS if PARAMS[method] and method not in UNDEFINED)


@pytest.mark.real
@pytest.mark.parametrize("method", WITH_MEMBERS)
def test_every_member_is_one_that_the_gateway_knows(method: str) -> None:
    assert PARAMS[method] <= properties(definition_of(method))


@pytest.mark.real
@pytest.mark.parametrize("method", WITH_MEMBERS)
def test_what_the_gateway_takes_is_not_refused_here(method: str) -> None:
    needed: dict[str, Any] = {name: accepted(method, name)[0] for name in REQUIRED.get(method, ())}
    for name in PARAMS[method]:
        values = accepted(method, name)
        assert any(taken(method, {**needed, name: value}) for value in values), (name, values)


@pytest.mark.real
@pytest.mark.parametrize("method", WITH_MEMBERS)
def test_what_the_gateway_does_not_take_is_not_forwarded(method: str) -> None:
    """With any kind of `_KINDS` replaced by one that takes everything, a value of another type goes on."""
    needed: dict[str, Any] = {
        name: next(one for one in CANDIDATES if _fits(name, one)) for name in REQUIRED.get(method, ())
    }
    for name in PARAMS[method]:
        for value in [*CANDIDATES, *UNFIT]:
            params = {**needed, name: value}
            if taken(method, params):
                schema.validate(definition_of(method), params, strict=True)


def _fits(name: str, value: Any) -> bool:
    return isinstance(value, list) and value == ["text"] if name == "keys" else isinstance(value, str)


def test_an_attachment_is_rebuilt_from_what_the_gateway_reads() -> None:
    given = {"sessionKey": "main", "message": "", "idempotencyKey": "k"}
    sent = read_params("chat.send", {**given, "attachments": [{"type": "image", "content": "aGk=", "path": "/etc/x"}]})
    assert sent == {**given, "attachments": [{"type": "image", "content": "aGk="}]}


@pytest.mark.real
@pytest.mark.parametrize("method", WITH_MEMBERS)
def test_what_the_gateway_requires_is_required_here(method: str) -> None:
    with suppress(schema.SchemaViolation):
        schema.validate(definition_of(method), {}, strict=True)
        assert method not in REQUIRED
        return
    assert REQUIRED[method]


@pytest.mark.parametrize("method", sorted(PARAMS))
@pytest.mark.parametrize("value", [b"bytes", 1.5])
def test_a_value_that_no_member_takes_is_refused(method: str, value: Any) -> None:
    for name in PARAMS[method] - {*REQUIRED.get(method, ())}:
        assert not taken(method, {name: value})


@pytest.mark.parametrize("value", [-1, True, "5", 10**9])
def test_a_count_is_a_small_number(value: Any) -> None:
    assert not taken("chat.history", {"sessionKey": "main", "limit": value})


@pytest.mark.parametrize("method", sorted(PARAMS))
def test_no_member_says_where_a_message_goes_or_who_vouches_for_it(method: str) -> None:
    assert not PARAMS[method] & NEVER


@pytest.mark.real
@pytest.mark.parametrize("method", sorted(UNDEFINED))
def test_what_the_schema_does_not_define_is_told_from_what_it_does(method: str) -> None:
    with pytest.raises(KeyError):
        properties(definition_of(method))


def test_a_list_of_any_length_is_not_decided() -> None:
    """With MAX_KEYS five times as large all of them go on."""
    params: JsonObject = {"keys": ["main"] * (MAX_KEYS + 1)}
    with pytest.raises(ParamsError):
        read_params("sessions.preview", params)
    assert read_params("sessions.preview", {"keys": ["main"] * MAX_KEYS})
