"""Invokes in flight: each leaves exactly once, in time, and a hostile payload is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.upstream.outcomes import (
    DEFAULT_TIMEOUT_MS,
    MAX_NAME_CHARS,
    MAX_TIMEOUT_MS,
    Invoke,
    read_invoke,
)
from gateway_client.frames import Json

PAYLOAD: dict[str, Json] = {
    "id": "i1",
    "nodeId": "aa",
    "command": "screen.eval",
    "paramsJSON": '{"javaScript":"1"}',
    "timeoutMs": 12_341,
    "idempotencyKey": "k",
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def read(**members: Json) -> Invoke:
    found = read_invoke({**PAYLOAD, **members}, 100.0)
    assert found is not None
    return found


class TestRead:
    def test_a_whole_payload_is_read(self) -> None:
        expected = Invoke("i1", "screen.eval", '{"javaScript":"1"}', 12_341, "k", 112.341)
        assert read_invoke(PAYLOAD, 100.0) == expected

    @pytest.mark.parametrize("name", ["id", "command"])
    @pytest.mark.parametrize("value", [None, "", 5, True, [], {}, "x" * (MAX_NAME_CHARS + 1)])
    def test_without_id_or_command_it_is_none(self, name: str, value: Json) -> None:
        assert read_invoke({**PAYLOAD, name: value}, 0.0) is None
        assert read_invoke({key: kept for key, kept in PAYLOAD.items() if key != name}, 0.0) is None

    @pytest.mark.parametrize("payload", [None, [], "x", 5, True, [PAYLOAD]])
    def test_what_is_no_object_is_none(self, payload: Json) -> None:
        assert read_invoke(payload, 0.0) is None

    @pytest.mark.parametrize(
        ("given_value", "taken"),
        [
            (1, 1), (12_341.7, 12_341), (0.2, 1), (MAX_TIMEOUT_MS + 1, MAX_TIMEOUT_MS),
            (1e300, MAX_TIMEOUT_MS), (None, DEFAULT_TIMEOUT_MS), (0, DEFAULT_TIMEOUT_MS), (-1, DEFAULT_TIMEOUT_MS),
            (True, DEFAULT_TIMEOUT_MS), ("5", DEFAULT_TIMEOUT_MS), ([], DEFAULT_TIMEOUT_MS),
        ],
    )  # fmt: skip
    def test_the_time_is_a_bounded_number_of_milliseconds(self, given_value: Json, taken: int) -> None:
        found = read(timeoutMs=given_value)
        assert type(found.timeout_ms) is int
        assert found.timeout_ms == taken
        assert found.deadline == 100.0 + taken / 1000

    @pytest.mark.parametrize("params", [None, {"a": 1}, 5, True])
    def test_parameters_that_are_no_text_are_none(self, params: Json) -> None:
        assert read(paramsJSON=params).params_json is None

    def test_parameters_show_in_no_repr(self) -> None:
        assert "javaScript" not in repr(read())

    @given(payload=json_values)
    def test_it_never_raises(self, payload: Json) -> None:
        assert read_invoke(payload, 0.0) is None or isinstance(payload, dict)

    @given(extra=st.dictionaries(st.sampled_from([*PAYLOAD, "sessionKey", "params"]), json_values, max_size=6))
    def test_the_nodes_request_holds_known_members_only(self, extra: dict[str, Json]) -> None:
        found = read_invoke({**PAYLOAD, **extra}, 0.0)
        if found is None:
            return
        request = found.request_for("bb", 100.0)
        assert request.keys() <= {"id", "nodeId", "command", "timeoutMs", "paramsJSON", "idempotencyKey"}
        assert request["nodeId"] == "bb"
        json.dumps(request, allow_nan=False)

    def test_what_was_absent_stays_absent(self) -> None:
        found = read(paramsJSON=None, idempotencyKey=None)
        whole = {"id": "i1", "nodeId": "bb", "command": "screen.eval", "timeoutMs": 12_341}
        assert found.request_for("bb", 100.0) == whole
        assert found.request_for("bb", 110.0) == {**whole, "timeoutMs": 2_341}
        assert found.request_for("bb", 999.0) == {**whole, "timeoutMs": 1}
        assert read(paramsJSON="null").request_for("bb", 100.0)["paramsJSON"] == "null"
