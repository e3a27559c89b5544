"""Pure: the first half of a native enrolment: commit, then reveal (design §6).

begun -> revealed | dead. The bridge gives its nonce away only after it has the node's commitment, and asks a person
only after the commitment was opened; from then on the request lies on the desk under the ceremony's id.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import StrEnum

from bridge.pairing.desk import Draft
from bridge.pairing.transcript import NONCE_BYTES, Transcript, commitment
from certs.csr import Csr
from certs.keys import spki_der

REVEAL_S = 120.0  # seconds from the 201 to the reveal: the node's own limit for the whole ceremony
MAX_BEGUN = 64  # ceremonies that wait for their reveal: 10 fit into the cap, the rest is for good links; 8 KiB each


class Fault(StrEnum):
    """Why a reveal is refused."""

    UNKNOWN = "unknown"
    """There is no such ceremony, or it has ended."""
    AGAIN = "again"
    """It was revealed already."""
    WRONG = "wrong"
    """It does not open the commitment, or the nonce is one that nobody draws: the ceremony is dead."""


@dataclass(frozen=True, slots=True)
class Ceremony:
    """A ceremony whose node has committed itself.

    Attributes:
        id: its id.
        csr: the signing request.
        commit: the commitment, 32 bytes.
        nonce: the bridge's nonce.
        draft: what is asked for, frozen, without the transcript.
        address: the peer's IP address.
        spki_bridge: the SubjectPublicKeyInfo (DER) that the bridge showed when it began.
        began: monotonic seconds.
        token_id: the link's token that it brings, if any.
        counted: whether it counts among those that end with a code; one by a good link does not, unless it has to.
    """

    id: str
    csr: Csr
    commit: bytes
    nonce: bytes = field(repr=False)
    draft: Draft
    address: str
    spki_bridge: bytes = field(repr=False)
    began: float
    token_id: str | None = None
    counted: bool = True

    @property
    def permissions(self) -> tuple[str, ...]:
        """What is asked for, in the order in which the answer lists it and both ends hash it."""
        return tuple(sorted(self.draft.permissions))


class Ceremonies:
    """The ceremonies that wait for their reveal, and the ids of those that were revealed a short while ago."""

    def __init__(self) -> None:
        self._begun: dict[str, Ceremony] = {}
        self._revealed: dict[str, float] = {}

    def begin(self, ceremony: Ceremony) -> None:
        """Adds a ceremony. Those of the same key or address yield to it; where there are too many, the oldest."""
        kept = {name: one for name, one in self._begun.items() if not self._yields(one, ceremony)}
        while len(kept) >= MAX_BEGUN:
            del kept[next(iter(kept))]
        self._begun = {**kept, ceremony.id: ceremony}

    def forget_counted(self) -> None:
        """A person opens enrolment: those that were counted before, of which somebody may know the codes, are gone."""
        self._begun = {name: one for name, one in self._begun.items() if not one.counted}

    @staticmethod
    def _yields(old: Ceremony, new: Ceremony) -> bool:
        return old.draft.node_id == new.draft.node_id or old.address == new.address

    def reveal(self, ceremony_id: str, nonce: bytes, now: float) -> tuple[Ceremony, bytes] | Fault:
        """Opens a commitment; returns the ceremony and the digest of its transcript.

        Args:
            ceremony_id: which.
            nonce: what the node committed itself to.
            now: monotonic seconds.
        """
        if now - self._revealed.get(ceremony_id, now - REVEAL_S) < REVEAL_S:
            return Fault.AGAIN
        ceremony = self._begun.pop(ceremony_id, None)
        if ceremony is None or now - ceremony.began >= REVEAL_S:
            return Fault.UNKNOWN
        if not self._opens(ceremony, nonce):
            return Fault.WRONG
        self._note_revealed(ceremony_id, now)
        transcript = Transcript(
            spki_bridge=ceremony.spki_bridge,
            spki_node=spki_der(ceremony.csr.key),
            csr_der=ceremony.csr.der,
            display_name=ceremony.draft.labels.display_name,
            permissions=ceremony.permissions,
            nonce_node=nonce,
            nonce_bridge=ceremony.nonce,
            request_id=ceremony_id,
        )
        return ceremony, transcript.digest()

    @staticmethod
    def _opens(ceremony: Ceremony, nonce: bytes) -> bool:
        drawn = len(nonce) == NONCE_BYTES and any(nonce) and nonce != ceremony.nonce
        return drawn and hmac.compare_digest(commitment(ceremony.csr.der, nonce), ceremony.commit)

    def _note_revealed(self, ceremony_id: str, now: float) -> None:
        while len(self._revealed) >= MAX_BEGUN:
            del self._revealed[next(iter(self._revealed))]
        self._revealed[ceremony_id] = now
