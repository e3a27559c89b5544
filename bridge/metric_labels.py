"""Pure: the labels of the metrics. Every set is closed, so that nothing a peer says makes one more time series."""

from __future__ import annotations

from acl.permissions import COMMANDS
from acl.rules import RULES
from bridge.lan.events import Fault

OTHER = "other"
METHODS = frozenset(name for rule in RULES if not rule.direction.value.startswith("event") for name in rule.names)
FAMILIES = frozenset(command.partition(".")[0] for command in COMMANDS)

# Error codes of an invoke, a call or a connect: those of the gateway's protocol (§1.3) and the bridge's own.
CODES = frozenset(
    """AUTH_BOOTSTRAP_TOKEN_INVALID AUTH_DEVICE_TOKEN_MISMATCH AUTH_TOKEN_MISMATCH AUTH_TOKEN_MISSING CONFLICT
    DEVICE_AUTH_DEVICE_ID_MISMATCH DEVICE_AUTH_INVALID DEVICE_AUTH_NONCE_MISMATCH DEVICE_AUTH_NONCE_REQUIRED
    DEVICE_AUTH_PUBLIC_KEY_INVALID DEVICE_AUTH_SIGNATURE_EXPIRED DEVICE_AUTH_SIGNATURE_INVALID DEVICE_IDENTITY_REQUIRED
    FORBIDDEN INVALID_REQUEST NODE_BACKGROUND_UNAVAILABLE NODE_DISCONNECTED NOT_CONNECTED NOT_PAIRED PAIRING_CHANGED
    PAIRING_REQUIRED PAYLOAD_TOO_LARGE PROTOCOL_MISMATCH RATE_LIMITED TIMEOUT UNAUTHORIZED
    UNAVAILABLE""".split()  # noqa: SIM905 - one word a line would hide the list
)

_FAULTS = frozenset(fault.value for fault in Fault)


def method_label(method: str) -> str:
    """Returns the method when the ACL knows it."""
    return method if method in METHODS else OTHER


def family_label(command: str) -> str:
    """Returns what a command is about: `screen` of `screen.show`."""
    family = command.partition(".")[0]
    return family if family in FAMILIES else OTHER


def code_label(code: str) -> str:
    """Returns an error code of the protocol."""
    return code if code in CODES else OTHER


def outcome_label(outcome: str) -> str:
    """Returns how a call ended."""
    return outcome if outcome == "ok" or outcome in _FAULTS else code_label(outcome)
