"""The validator accepts what is right, refuses what is not, and knows what the newer gateway adds."""

from typing import Any

import pytest

from tests.support.schema import (
    ENVELOPE_ONLY,
    SchemaViolation,
    checked_as,
    definition_of,
    is_known,
    known_methods,
    validate,
    validate_frame,
)

pytestmark = pytest.mark.real

CLIENT = {"id": "openclaw-ios", "mode": "node", "version": "1", "platform": "ios"}


def connect(**params: Any) -> dict[str, Any]:
    return {
        "type": "req",
        "id": "1",
        "method": "connect",
        "params": {"minProtocol": 4, "maxProtocol": 4, "client": CLIENT, **params},
    }


def invoke(**payload: Any) -> dict[str, Any]:
    return {
        "type": "event",
        "event": "node.invoke.request",
        "payload": {"id": "i", "nodeId": "n", "command": "c", **payload},
    }


def test_connect_is_held_against_its_params() -> None:
    assert checked_as(connect()) == ["RequestFrame", "ConnectParams"]
    validate_frame(connect(role="node", scopes=[]))


def test_violation_names_definition_and_path() -> None:
    with pytest.raises(SchemaViolation) as violation:
        validate_frame(connect(client={**CLIENT, "id": "ios-node"}))
    assert violation.value.definition == "ConnectParams"
    assert violation.value.path == "$.params.client.id"


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "hello"},
        {"type": "req", "id": "", "method": "health"},
        {"type": "req", "id": "1", "method": "health", "extra": 1},
        {"type": "res", "id": "1"},
        {"type": "res", "id": "1", "ok": False, "error": {"code": "X"}},
        {"type": "res", "id": "1", "ok": True, "payload": {"type": "hello-ok", "protocol": 4}},
        {"type": "event", "event": "tick", "payload": {"ts": "now"}},
        connect(surprise=True),
        invoke(surprise=True),
        {
            "type": "req",
            "id": "1",
            "method": "node.invoke.result",
            "params": {
                "id": "i",
                "nodeId": "n",
                "ok": False,
                "error": {"code": "X", "message": "m", "retryable": True},
            },
        },
    ],
)
def test_what_does_not_fit_is_refused(frame: dict[str, Any]) -> None:
    with pytest.raises(SchemaViolation):
        validate_frame(frame)


def test_newer_keys_are_tolerated_unless_strict() -> None:
    frame = invoke(sessionKey="agent:main:main", paramsJSON=None)
    validate_frame(frame)
    with pytest.raises(SchemaViolation):
        validate_frame(frame, strict=True)


def test_answer_is_checked_with_the_method_of_its_request() -> None:
    answer = {"type": "res", "id": "1", "ok": True, "payload": {"ok": "yes"}}
    validate_frame({**answer, "ok": False, "error": {"code": "X", "message": "m"}})
    with pytest.raises(SchemaViolation) as violation:
        validate_frame(answer, method="node.event")
    assert violation.value.definition == "NodeEventResult"


def test_single_definitions_can_be_used() -> None:
    validate("TickEvent", {"ts": 1})
    with pytest.raises(KeyError):
        validate("NoSuchDefinition", {})
    assert {"connect", "node.event", "node.invoke"} <= known_methods()


@pytest.mark.parametrize(
    ("frame", "method"),
    [
        ({"type": "req", "id": "1", "method": "no.such.method"}, None),
        ({"type": "event", "event": "no.such.event"}, None),
        ({"type": "res", "id": "1", "ok": True, "payload": {}}, "no.such.method"),
        ({"type": "res", "id": "1", "ok": True, "payload": {}}, None),
    ],
)
def test_what_nothing_is_known_of_is_a_violation(frame: dict[str, Any], method: str | None) -> None:
    with pytest.raises(SchemaViolation):
        validate_frame(frame, method=method)
    assert not is_known(frame, method=method)


def test_a_name_is_either_defined_or_listed() -> None:
    for name in ENVELOPE_ONLY:
        with pytest.raises(KeyError):
            definition_of(name)
