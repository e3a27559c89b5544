"""Challenges for nodes whose certificate has run out: random, used once, bound to node and address (design §6)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from bridge.pairing.transcript import NONCE_BYTES

VALID_S = 60.0  # seconds: a node answers within one
MAX_OUTSTANDING = 64  # challenges, 200 bytes each; one address has an eighth of them, so that it cannot take them all
MAX_OF_ADDRESS = 8


@dataclass(frozen=True, slots=True)
class _Challenge:
    node_id: str
    address: str
    drawn: float


class RenewalChallenges:
    """The challenges that may still be answered.

    Args:
        random: source of so many random bytes.
    """

    def __init__(self, random: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._random = random
        self._drawn: dict[bytes, _Challenge] = {}

    def draw(self, node_id: str, address: str, now: float) -> bytes:
        """Returns a new nonce; where there are too many, the oldest of the address goes, else the oldest of all."""
        self._drawn = {nonce: one for nonce, one in self._drawn.items() if now - one.drawn < VALID_S}
        mine = [nonce for nonce, one in self._drawn.items() if one.address == address]
        if len(mine) >= MAX_OF_ADDRESS:
            del self._drawn[mine[0]]
        elif len(self._drawn) >= MAX_OUTSTANDING:
            del self._drawn[next(iter(self._drawn))]
        nonce = self._random(NONCE_BYTES)
        self._drawn[nonce] = _Challenge(node_id, address, now)
        return nonce

    def take(self, nonce: bytes, node_id: str, address: str, now: float) -> bool:
        """Uses a nonce up; returns whether it was drawn for this node at this address a short while ago."""
        drawn = self._drawn.pop(nonce, None)
        return (
            drawn is not None and drawn.drawn > now - VALID_S and (drawn.node_id, drawn.address) == (node_id, address)
        )
