"""Pure: answers about limits: what they stopped, how far a node has used them up, and what is under way."""

from __future__ import annotations

from pydantic import Field

from bridge.control.document import Document


class Penalty(Document):
    """A key that is kept out for a while, because it was refused or limited too often."""

    node_id: str
    seconds: int
    """Until it is let in again."""


class LimitsInUse(Document):
    """What the limits have stopped since the start, and whom they keep out now."""

    refused: dict[str, int] = Field(default_factory=dict)
    """Refused calls of all nodes, by kind."""
    limited: dict[str, int] = Field(default_factory=dict)
    """Calls, events and commands over a limit, by limit."""
    turned_away: dict[str, int] = Field(default_factory=dict)
    """Connections that were closed before TLS, by reason."""
    strangers: int = 0
    """Sockets that have not authenticated, now."""
    penalties: list[Penalty] = Field(default_factory=list)


class LimitUse(Document):
    """How much of one limit a node has used up."""

    used: int
    of: int
    met: int
    """How often something was over it since the start."""


class Load(Document):
    """How much is under way at this moment."""

    calls: int = 0
    """Calls of phones without a final answer."""
    in_flight: int = 0
    """Those that the gateway is answering; at most `limits.in_flight`."""
    queued: int = 0
    """Those that wait for a place there."""
    bytes_in_flight: int = 0
    """Bytes of large messages on their way to the gateway; at most `limits.in_flight_bytes`."""
    sockets_held: int = 0
    """Sockets that are not read until there is room for what they announced."""
    bytes_buffered: int = 0
    """Bytes that wait for phones that read slowly."""
