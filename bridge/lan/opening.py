"""Pure: the first frame of a socket: a `connect`, or how the socket ends (gateway-protocol §1.6)."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.lan import refusal
from bridge.lan.connect import Connect, ConnectShapeError, read_connect
from bridge.lan.refusal import Refusal
from gateway_client.frames import Bounds, FrameError, FrameFault, Request, parse_frame

BOUNDS_BEFORE_HELLO = Bounds(max_bytes=65_536, max_items=2_048)  # the gateway's own limit (gateway-protocol §1.4)


@dataclass(frozen=True, slots=True)
class Opening:
    """A well-formed `connect`."""

    request_id: str
    connect: Connect


@dataclass(frozen=True, slots=True)
class NotConnect:
    """A request that is answered with a refusal."""

    request_id: str
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class NoFrame:
    """Nothing that an answer could be addressed to: the socket is closed.

    Attributes:
        what: for the log.
        code: WebSocket close code.
        reason: the words of the close frame.
    """

    what: str
    code: int = 1008
    reason: str = "invalid request frame"


def read_opening(data: bytes) -> Opening | NotConnect | NoFrame:
    """Reads the first message of a socket."""
    try:
        frame = parse_frame(data, BOUNDS_BEFORE_HELLO)
    except FrameError as exc:
        if exc.fault is FrameFault.TOO_LARGE:
            return NoFrame(exc.fault.value, 1009, "frame too large")
        return NoFrame(exc.fault.value)
    if not isinstance(frame, Request):
        return NoFrame("not a request")
    if frame.method != "connect":
        return NotConnect(frame.id, refusal.first_must_connect())
    try:
        return Opening(frame.id, read_connect(frame.params))
    except ConnectShapeError as exc:
        return NotConnect(frame.id, refusal.invalid(str(exc)))
