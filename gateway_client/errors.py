"""Pure: what can go wrong between the bridge and a gateway.

GatewayError
    GatewayUnreachableError     nothing answers at the address
    NotLoopbackError            the address is not on this machine
    ProtocolViolationError      the peer does not speak the Gateway protocol
    ConnectRefusedError         `connect` was answered with an error (carries it)
    GatewayGoneError            the connection ended (carries code and reason)
    RequestTimeoutError         no answer in time
    UnreadableAnswerError       the answer came, and cannot be taken (carries why)
    RequestTooLargeError        more than the gateway takes; nothing was sent
    TooManyRequestsError        too many are unanswered; nothing was sent
"""

from __future__ import annotations

from gateway_client.frames import ErrorShape, FrameFault


class GatewayError(Exception):
    """Base of everything this package raises."""


class GatewayUnreachableError(GatewayError):
    """Nothing answers at the gateway's address, or it refused the WebSocket upgrade."""


class NotLoopbackError(GatewayError):
    """The gateway's address resolves to something beyond this machine: its token would leave it."""


class ProtocolViolationError(GatewayError):
    """The peer sent something that the Gateway protocol does not allow."""


class ConnectRefusedError(GatewayError):
    """`connect` was refused.

    Attributes:
        error: the gateway's error object.
    """

    def __init__(self, error: ErrorShape) -> None:
        super().__init__(f"{error.code}: {error.message}")
        self.error = error

    @property
    def detail_code(self) -> str:
        """`details.code`, else the error's own code: what to branch on (gateway-protocol §1.3)."""
        code = self.error.detail("code")
        return code if isinstance(code, str) else self.error.code


class GatewayGoneError(GatewayError):
    """The connection ended before the answer came.

    Attributes:
        code: WebSocket close code, 1006 when there was no close frame.
        reason: the peer's words.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"connection closed ({code} {reason})".rstrip())
        self.code = code
        self.reason = reason


class RequestTimeoutError(GatewayError):
    """The gateway did not answer a request in time."""


class UnreadableAnswerError(GatewayError):
    """The gateway answered with a frame that breaks a bound.

    Attributes:
        fault: which one.
    """

    def __init__(self, fault: FrameFault) -> None:
        super().__init__(f"the gateway's answer cannot be read: {fault}")
        self.fault = fault


class RequestTooLargeError(GatewayError):
    """The request is longer than the gateway's `maxPayload`; sending it would have ended the connection."""


class TooManyRequestsError(GatewayError):
    """`MAX_IN_FLIGHT` requests of the connection are unanswered; nothing was sent."""
