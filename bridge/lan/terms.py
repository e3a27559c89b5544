"""Pure: the terms on which a listener takes peers: sizes, and how long a `connect` may wait for a person."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.lan.events import Instant

HOLD_S = {"openclaw-ios": 25.0, "openclaw-android": 10.0}  # seconds that the client waits for its answer, less a little
DEFAULT_HOLD_S = 8.0  # seconds; the node host gives up after 15


def hold_for(client_id: str) -> float:
    """Returns the seconds for which a client of that id is held while a person decides (design §4)."""
    return HOLD_S.get(client_id, DEFAULT_HOLD_S)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is the same for every session of a listener.

    Attributes:
        frame_max_bytes: bytes of the largest frame of a peer that is in.
        buffer_max_bytes: bytes that may wait for a peer.
        started: when the bridge started.
    """

    frame_max_bytes: int
    buffer_max_bytes: int
    started: Instant
