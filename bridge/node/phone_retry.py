"""Pure: when an app tries again after a refusal or a lost connection (mobile-clients §§3.4, 6.1, 6.2)."""

from __future__ import annotations

from bridge.node.phone_state import PhoneSetup
from gateway_client.errors import ConnectRefusedError, GatewayError

RETRY_LIMIT_S = 8.0  # seconds: the app's longest sleep between attempts
GROWTH = 1.7
HINT_LIMIT_S = 30.0  # seconds: a longer hint is not believed

# `details.code` values after which the app waits for its user.
_PAUSING = frozenset(
    {
        "AUTH_TOKEN_MISSING",
        "AUTH_TOKEN_NOT_CONFIGURED",
        "AUTH_TOKEN_MISMATCH",
        "AUTH_DEVICE_TOKEN_MISMATCH",
        "AUTH_BOOTSTRAP_TOKEN_INVALID",
        "AUTH_PASSWORD_MISSING",
        "AUTH_PASSWORD_MISMATCH",
        "AUTH_RATE_LIMITED",
        "AUTH_SCOPE_MISMATCH",
        "AUTH_VERIFIED_USER_REQUIRED",
        "DEVICE_IDENTITY_REQUIRED",
        "PROTOCOL_MISMATCH",
    }
)


def wait_after(error: GatewayError, failures: int, setup: PhoneSetup) -> float | None:
    """Returns the seconds before the next attempt, or None: the app waits until its user taps Retry.

    Args:
        error: how the last attempt or connection ended.
        failures: attempts that failed in a row, this one included.
        setup: the phone's paces.
    """
    if isinstance(error, ConnectRefusedError):
        detail = error.error
        if error.detail_code in _PAUSING:
            return None
        if error.detail_code == "PAIRING_REQUIRED":
            paused = detail.detail("pauseReconnect") is not False or detail.detail("recommendedNextStep") is None
            return None if paused else setup.pairing_retry_s
        if detail.retry_after_ms is not None:
            return min(HINT_LIMIT_S, detail.retry_after_ms / 1000)
    return min(RETRY_LIMIT_S, setup.retry_unit_s * GROWTH ** max(0, failures - 1))
