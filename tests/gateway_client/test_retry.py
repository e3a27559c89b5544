"""When the gateway is tried again."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_client.errors import (
    ConnectRefusedError,
    GatewayError,
    GatewayGoneError,
    GatewayUnreachableError,
    NotLoopbackError,
    ProtocolViolationError,
)
from gateway_client.frames import ErrorShape
from gateway_client.retry import REFUSED_S, backoff, needs_a_person, wait_before_retry

PERSONAL = [
    "AUTH_TOKEN_MISSING", "AUTH_TOKEN_MISMATCH", "AUTH_TOKEN_NOT_CONFIGURED", "AUTH_PASSWORD_MISSING",
    "AUTH_PASSWORD_MISMATCH", "AUTH_PASSWORD_NOT_CONFIGURED", "AUTH_DEVICE_TOKEN_MISMATCH", "AUTH_RATE_LIMITED",
    "AUTH_SCOPE_MISMATCH", "AUTH_UNAUTHORIZED", "AUTH_IDENTITY_HEADER_REQUIRED", "AUTH_VERIFIED_USER_REQUIRED",
    "PROTOCOL_MISMATCH", "PAIRING_REQUIRED",
]  # fmt: skip
PASSING: list[GatewayError] = [
    GatewayUnreachableError("nothing there"),
    GatewayGoneError(1012, "service restart"),
    ProtocolViolationError("tick timeout"),
    ConnectRefusedError(ErrorShape("UNAVAILABLE", "starting")),
    ConnectRefusedError(ErrorShape("INVALID_REQUEST", "late", {"code": "DEVICE_AUTH_SIGNATURE_EXPIRED"})),
]


def refused(code: str, after: int | None = None) -> ConnectRefusedError:
    return ConnectRefusedError(ErrorShape("INVALID_REQUEST", "m", {"code": code}, retry_after_ms=after))


def test_waits_double_from_one_second_to_five() -> None:
    middle = list(itertools.islice(backoff(lambda: 0.5), 6))
    assert middle == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


@given(st.lists(st.floats(min_value=0, max_value=1, exclude_max=True), min_size=12, max_size=12))
def test_jitter_moves_each_wait_by_a_quarter_at_most(draws: list[float]) -> None:
    jitter = iter(draws)
    planned = itertools.islice(backoff(lambda: 0.5), 12)
    for wait, middle in zip(itertools.islice(backoff(lambda: next(jitter)), 12), planned, strict=True):
        assert 0.75 * middle <= wait <= 1.25 * middle


@pytest.mark.parametrize("code", PERSONAL)
def test_what_only_a_person_can_mend_is_not_hammered(code: str) -> None:
    assert needs_a_person(refused(code))
    assert wait_before_retry(refused(code), 0.25) == REFUSED_S == 30
    assert wait_before_retry(refused(code, after=100), 0.25) == REFUSED_S


def test_the_code_counts_without_details_too() -> None:
    assert needs_a_person(ConnectRefusedError(ErrorShape("AUTH_UNAUTHORIZED", "m")))
    assert not needs_a_person(ConnectRefusedError(ErrorShape("AUTH_UNAUTHORIZED", "m", {"code": "OTHER"})))


def test_an_address_off_this_machine_needs_a_person() -> None:
    assert wait_before_retry(NotLoopbackError("192.0.2.1"), 0.25) == REFUSED_S


@pytest.mark.parametrize("exc", PASSING, ids=lambda exc: type(exc).__name__)
def test_what_passes_by_itself_keeps_the_planned_wait(exc: GatewayError) -> None:
    assert not needs_a_person(exc)
    assert wait_before_retry(exc, 1.25) == 1.25


@pytest.mark.parametrize("after, wait", [(500, 0.5), (0, 0.1), (99, 0.1), (1999, 1.999), (2001, 2.0), (10**9, 2.0)])
def test_a_starting_gateways_hint_is_taken_within_bounds(after: int, wait: float) -> None:
    assert wait_before_retry(refused("STARTING", after), 4.0) == wait
