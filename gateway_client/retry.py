"""Pure: when and whether to try the gateway again (design §11)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gateway_client.errors import ConnectRefusedError, GatewayError, NotLoopbackError

FIRST_S = 1.0  # seconds; the gateway is on this machine, so a short first wait costs nobody anything
LIMIT_S = 5.0  # seconds
STARTING_LIMIT_S = 2.0  # seconds: what clients clamp a starting gateway's hint to (gateway-protocol §3.5)
REFUSED_S = 30.0  # seconds between attempts after an authentication refusal: it needs a person, not hammering

# `details.code` values that no retry mends: the secret, the pairing or the version has to change first.
_NEEDS_A_PERSON = frozenset(
    {
        "AUTH_TOKEN_MISSING",
        "AUTH_TOKEN_MISMATCH",
        "AUTH_TOKEN_NOT_CONFIGURED",
        "AUTH_PASSWORD_MISSING",
        "AUTH_PASSWORD_MISMATCH",
        "AUTH_PASSWORD_NOT_CONFIGURED",
        "AUTH_DEVICE_TOKEN_MISMATCH",
        "AUTH_RATE_LIMITED",
        "AUTH_SCOPE_MISMATCH",
        "AUTH_UNAUTHORIZED",
        "AUTH_IDENTITY_HEADER_REQUIRED",
        "AUTH_VERIFIED_USER_REQUIRED",
        "PROTOCOL_MISMATCH",
        "PAIRING_REQUIRED",
    }
)


def needs_a_person(exc: GatewayError) -> bool:
    """Tells whether trying again soon is pointless: credentials, pairing, version, or an address off this machine."""
    if isinstance(exc, ConnectRefusedError):
        return exc.detail_code in _NEEDS_A_PERSON
    return isinstance(exc, NotLoopbackError)


def backoff(jitter: Callable[[], float]) -> Iterator[float]:
    """Yields seconds to wait before each attempt: 1 doubling to 5, each times 0.75 to 1.25.

    Args:
        jitter: returns a number in [0, 1).
    """
    wait = FIRST_S
    while True:
        yield wait * (0.75 + jitter() / 2)
        wait = min(LIMIT_S, wait * 2)


def wait_before_retry(exc: GatewayError, planned: float) -> float:
    """Returns the seconds to wait after `exc`, given what the back-off planned."""
    if needs_a_person(exc):
        return REFUSED_S
    if isinstance(exc, ConnectRefusedError) and exc.error.retry_after_ms is not None:
        return min(STARTING_LIMIT_S, max(0.1, exc.error.retry_after_ms / 1000))
    return planned
