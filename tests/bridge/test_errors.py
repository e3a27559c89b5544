"""The error tree: codes, statuses, and the way through JSON and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import errors
from bridge.errors import (
    AlreadyDecided,
    AmbiguousId,
    BridgeError,
    DaemonNotRunning,
    GatewayNotConnected,
    NotAllowed,
    RefusedError,
    UnknownId,
    UsageError,
    exit_status,
    from_answer,
    http_answer,
)

TREE = [
    (UsageError, "USAGE", 2, 400),
    (DaemonNotRunning, "DAEMON_NOT_RUNNING", 3, 503),
    (GatewayNotConnected, "GATEWAY_NOT_CONNECTED", 4, 503),
    (RefusedError, "REFUSED", 1, 409),
    (UnknownId, "UNKNOWN_ID", 1, 404),
    (AmbiguousId, "AMBIGUOUS_ID", 1, 409),
    (AlreadyDecided, "ALREADY_DECIDED", 1, 409),
    (NotAllowed, "NOT_ALLOWED", 1, 403),
]


@pytest.mark.parametrize("kind, code, status, http", TREE)
def test_each_family_has_its_code_and_statuses(
    kind: type[UsageError | RefusedError], code: str, status: int, http: int
) -> None:
    error = kind("It did not work.", "Do this.")
    assert (error.code, exit_status(error)) == (code, status)
    assert http_answer(error) == (
        http,
        {"error": {"code": code, "message": "It did not work.", "fix": "Do this."}},
    )


@pytest.mark.parametrize("kind", [each[0] for each in TREE])
def test_an_error_survives_the_way_through_json(kind: type[UsageError | RefusedError]) -> None:
    sent = kind("It did not work.", "Do this.")
    status, body = http_answer(sent)
    received = from_answer(status, json.loads(json.dumps(body)))
    assert type(received) is kind
    assert (received.code, received.message, received.fix) == (sent.code, sent.message, sent.fix)


def test_the_tree_in_the_docstring_names_every_class() -> None:
    assert errors.__doc__ is not None
    for kind, _, status, http in TREE:
        (line,) = [each for each in errors.__doc__.splitlines() if each.split()[:1] == [kind.__name__]]
        assert f"exit {status}, HTTP {http}" in line


def test_a_fix_is_left_out_when_there_is_none() -> None:
    assert http_answer(UnknownId("No."))[1] == {"error": {"code": "UNKNOWN_ID", "message": "No."}}
    assert from_answer(404, {"error": {"code": "UNKNOWN_ID", "message": "No."}}).fix is None


def test_a_foreign_exception_does_not_tell_its_text() -> None:
    status, body = http_answer(ValueError("token abc123 at /Users/anna"))
    assert status == 500
    assert "abc123" not in json.dumps(body)


@pytest.mark.parametrize(
    "status, kind",
    [(400, UsageError), (403, NotAllowed), (404, RefusedError), (409, RefusedError), (429, RefusedError)],
)
def test_an_unknown_code_follows_the_http_status_and_is_kept(status: int, kind: type[BridgeError]) -> None:
    error = from_answer(status, {"error": {"code": "SOMETHING_NEW", "message": "m"}})
    assert type(error) is kind
    assert error.code == "SOMETHING_NEW"


def test_an_unknown_code_of_a_server_failure_is_a_plain_error() -> None:
    error = from_answer(500, {"error": {"code": "INTERNAL", "message": "m"}})
    assert type(error) is BridgeError
    assert exit_status(error) == 1


@pytest.mark.parametrize(
    "body", [None, [], "text", {}, {"error": None}, {"error": {"code": 1, "message": "m"}}, {"error": {"code": "X"}}]
)
def test_a_body_that_is_no_error_document_is_reported_as_such(body: object) -> None:
    assert from_answer(200, body).code == "BAD_ANSWER"


def test_a_fix_that_is_no_text_is_dropped() -> None:
    assert from_answer(409, {"error": {"code": "REFUSED", "message": "m", "fix": 3}}).fix is None


class _WithStatus(Exception):
    def __init__(self, status: object) -> None:
        self.exit_status = status


@pytest.mark.parametrize("status, expected", [(2, 2), (0, 1), (-1, 1), (256, 1), ("3", 1), (True, 1), (None, 1)])
def test_any_exception_may_carry_a_status_but_never_success(status: object, expected: int) -> None:
    assert exit_status(_WithStatus(status)) == expected


def test_an_exception_without_a_status_failed() -> None:
    assert exit_status(ValueError("x")) == 1


JSON_VALUES: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.integers(100, 599), JSON_VALUES, JSON_VALUES, JSON_VALUES)
def test_any_answer_becomes_an_exception_with_code_message_and_a_failing_status(
    status: int, code: object, message: object, fix: object
) -> None:
    error = from_answer(status, {"error": {"code": code, "message": message, "fix": fix}})
    assert isinstance(error.code, str)
    assert isinstance(error.message, str)
    assert error.fix is None or isinstance(error.fix, str)
    assert exit_status(error) in {1, 2, 3, 4}


@given(st.integers(100, 599), JSON_VALUES)
def test_any_body_becomes_an_exception(status: int, body: object) -> None:
    assert isinstance(from_answer(status, body), BridgeError)


def test_a_code_given_in_place_keeps_the_family() -> None:
    error = RefusedError("No.", code="SPECIAL")
    assert (error.code, http_answer(error)[0], exit_status(error)) == ("SPECIAL", 409, 1)
    assert str(error) == "No."


def test_the_base_carries_what_it_is_given() -> None:
    error = BridgeError("CODE", "It failed.", "Mend it.")
    assert (error.code, error.message, error.fix, str(error)) == ("CODE", "It failed.", "Mend it.", "It failed.")
    assert http_answer(error) == (500, {"error": {"code": "CODE", "message": "It failed.", "fix": "Mend it."}})
