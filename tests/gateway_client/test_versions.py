"""A gateway that speaks another protocol than it was offered."""

from __future__ import annotations

import pytest

from gateway_client.frames import Json
from gateway_client.versions import PROTOCOL, drift


@pytest.mark.parametrize("hello", [{}, {"protocol": None}, {"protocol": PROTOCOL}, {"other": 5}])
def test_the_protocol_that_was_offered_or_no_word_about_it_is_fine(hello: dict[str, Json]) -> None:
    assert drift(hello, PROTOCOL, PROTOCOL) is None


@pytest.mark.parametrize("spoken", [3, 5, 0, 2**53, "4", True, 4.5, [4], {}])
def test_any_other_is_refused_without_being_repeated_when_it_is_no_number(spoken: Json) -> None:
    """J8. Red when hello-ok's `protocol` is not looked at."""
    error = drift({"protocol": spoken}, PROTOCOL, PROTOCOL)
    assert error is not None
    assert error.code == "PROTOCOL_MISMATCH"
    assert "4 was offered" in error.message


def test_a_range_is_a_range() -> None:
    assert drift({"protocol": 3}, 3, 4) is None
    refused = drift({"protocol": 5}, 3, 4)
    assert refused is not None
    assert "3 to 4" in refused.message
