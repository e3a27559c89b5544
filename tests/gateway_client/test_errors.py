"""What the package's errors carry."""

import pytest

from gateway_client import errors
from gateway_client.errors import ConnectRefusedError, GatewayError, GatewayGoneError
from gateway_client.frames import ErrorShape, Json


def test_every_error_of_the_package_is_a_gateway_error() -> None:
    found = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, Exception)]
    assert len(found) == 10
    assert all(issubclass(item, GatewayError) for item in found)


@pytest.mark.parametrize(
    "details, code",
    [({"code": "AUTH_TOKEN_MISSING"}, "AUTH_TOKEN_MISSING"), ({"code": 7}, "X"), ({}, "X"), (None, "X"), ("code", "X")],
)
def test_a_refusal_is_branched_on_by_its_most_exact_code(details: Json, code: str) -> None:
    error = ConnectRefusedError(ErrorShape("X", "why", details))
    assert (error.detail_code, str(error), error.error.details) == (code, "X: why", details)


def test_an_ended_connection_says_how() -> None:
    gone = GatewayGoneError(1008, "slow consumer")
    assert (gone.code, gone.reason, str(gone)) == (1008, "slow consumer", "connection closed (1008 slow consumer)")
    assert str(GatewayGoneError(1006, "")) == "connection closed (1006 )"
