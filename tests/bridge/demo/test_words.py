"""The demo's words for values, refusals and failures."""

from __future__ import annotations

import pytest

from bridge.demo.agent import Call
from bridge.demo.words import SHOWN_CHARS, refusal, refused_by, short, told
from gateway_client.frames import ErrorShape


def error(message: str = "no", **details: object) -> ErrorShape:
    return ErrorShape("INVALID_REQUEST", message, details=details)  # type: ignore[arg-type] # plain JSON of the tests


@pytest.mark.parametrize(
    "call, who",
    [
        (Call("m", {}, result={}), None),
        (Call("m", {}, error=error(reason="command not declared by node")), "gateway"),
        (Call("m", {}, error=error(nodeError={"code": "NODE_BACKGROUND_UNAVAILABLE"})), "bridge"),
        (Call("m", {}, error=error(nodeError={"code": "BUSY"})), None),
    ],
)
def test_who_refused_is_told_from_the_details(call: Call, who: str | None) -> None:
    assert refused_by(call) == who


@pytest.mark.parametrize(
    "message, words",
    [("X: X: wait", "refused: X: wait"), ("X: wait", "refused: X: wait"), ("no", "refused: no")],
)
def test_a_code_is_said_once(message: str, words: str) -> None:
    assert refusal(error(message)) == words


def test_values_are_short_and_pictures_are_sizes() -> None:
    assert short({"a": 1}) == '{"a": 1}'
    assert len(short("x" * 1000)) == SHOWN_CHARS + 3
    assert short({"format": "png", "width": 1, "height": 2, "base64": "AAAA"}) == "png, 1 x 2, 3 bytes"


def test_every_failure_of_a_group_is_told() -> None:
    assert told(ExceptionGroup("g", [OSError("a"), ValueError()])) == "a; ValueError"
