"""When the simulated app tries again, and when it waits for its user."""

from __future__ import annotations

import pytest

from bridge.node.phone_retry import wait_after
from bridge.node.phone_state import PhoneSetup
from gateway_client.errors import ConnectRefusedError, GatewayError, GatewayGoneError, GatewayUnreachableError
from gateway_client.frames import ErrorShape, JsonObject

SETUP = PhoneSetup("127.0.0.1", 1, "0" * 64)


def refused(details: JsonObject, retry_after_ms: int | None = None) -> ConnectRefusedError:
    return ConnectRefusedError(ErrorShape("UNAVAILABLE", "no", details, retry_after_ms=retry_after_ms))


WAIT: JsonObject = {"code": "PAIRING_REQUIRED", "recommendedNextStep": "wait_then_retry", "pauseReconnect": False}

CASES: dict[str, tuple[GatewayError, float | None]] = {
    "an approval is awaited": (refused(WAIT), 6.0),
    "pairing without a next step": (refused({"code": "PAIRING_REQUIRED"}), None),
    "a denial": (refused({**WAIT, "pauseReconnect": True}), None),
    "a hint": (refused({"reason": "busy"}, 1500), 1.5),
    "an absurd hint": (refused({"reason": "busy"}, 10**9), 30.0),
    "a revoked token": (refused({"code": "AUTH_DEVICE_TOKEN_MISMATCH"}), None),
    "rate limited": (refused({"code": "AUTH_RATE_LIMITED"}, 1000), None),
    "an unknown refusal": (refused({}), 0.5),
    "a lost connection": (GatewayGoneError(1012, "service restart"), 0.5),
    "nobody there": (GatewayUnreachableError("x"), 0.5),
}


@pytest.mark.parametrize("name", CASES)
def test_first_wait(name: str) -> None:
    error, wait_s = CASES[name]
    assert wait_after(error, 1, SETUP) == wait_s


def test_waits_grow_to_eight_seconds() -> None:
    waits = [wait_after(GatewayUnreachableError("x"), count, SETUP) for count in range(1, 12)]
    assert waits[:3] == [0.5, 0.85, pytest.approx(1.445)]
    assert waits[-1] == 8.0
