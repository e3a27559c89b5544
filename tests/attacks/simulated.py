"""Ceremonies with a man in the middle, by the product's own functions on both sides and without a network."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acl.permissions import read_permissions
from bridge.pairing.ceremony import Ceremonies, Ceremony
from bridge.pairing.desk import Desk, Draft, NativeProof
from bridge.pairing.records import Surface
from bridge.pairing.transcript import NONCE_BYTES, Transcript, commitment, short_code
from certs.csr import Csr, build_csr, read_csr
from certs.keys import spki_der
from gateway_client.identity import encode_base64url
from tests.bridge.pairing.native import NATIVE_LABELS

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
KEYS = 16  # of nodes, and as many of the man in the middle; the nonces are drawn anew each time
WANTED = ("device", "screen")


@dataclass(frozen=True)
class Sent:
    """What a node sends to begin."""

    csr: Csr
    commit: bytes
    permissions: tuple[str, ...] = WANTED


@dataclass(frozen=True)
class Opened:
    """What it is answered, with the key that TLS showed it."""

    spki: bytes
    id: str
    nonce: bytes
    name: str
    permissions: tuple[str, ...]


Up = Callable[[Sent, bytes], tuple[Sent, bytes]]
Down = Callable[[Opened], Opened]


class Simulation:
    """One bridge, and nodes that pair with it.

    Args:
        seed: of every key and nonce.
    """

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - a repeatable one is wanted
        self._bridge, self._man = self._key(), self._key()
        self._nodes = [read_csr(build_csr(self._key())) for _ in range(KEYS)]
        self._his = [read_csr(build_csr(self._key())) for _ in range(KEYS)]
        self.ways = (self._relay, self._own_key, self._own_nonce, self._own_id, self._wider, self._his_commitment)

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._chance.randbytes(32))  # its signatures can be repeated

    def _nonce(self) -> bytes:
        return self._chance.randbytes(NONCE_BYTES)

    def honest(self) -> bool:
        """Runs a ceremony with nobody in between; tells whether it was accepted."""
        return self._run(lambda sent, nonce: (sent, nonce), lambda opened: opened)

    def attacked(self) -> bool:
        """Runs one with a man in the middle, who picks one of his ways."""
        return self._run(*self._chance.choice(self.ways)())

    # What he does. In each way the node sees his key in TLS.

    def _claim(self, opened: Opened) -> Opened:
        return replace(opened, spki=spki_der(self._man.public_key()))

    def _relay(self) -> tuple[Up, Down]:
        return lambda sent, nonce: (sent, nonce), self._claim

    def _own_key(self) -> tuple[Up, Down]:
        csr, mine = self._chance.choice(self._his), self._nonce()
        return lambda sent, nonce: (replace(sent, csr=csr, commit=commitment(csr.der, mine)), mine), self._claim

    def _own_nonce(self) -> tuple[Up, Down]:
        up, _ = self._own_key()
        return up, lambda opened: replace(self._claim(opened), nonce=self._nonce())

    def _own_id(self) -> tuple[Up, Down]:
        return lambda sent, nonce: (sent, nonce), lambda opened: replace(self._claim(opened), id="his")

    def _wider(self) -> tuple[Up, Down]:
        def up(sent: Sent, nonce: bytes) -> tuple[Sent, bytes]:
            """Ask for more than the node does."""
            return replace(sent, permissions=(*WANTED, "system")), nonce

        return up, lambda opened: replace(self._claim(opened), permissions=WANTED)

    def _his_commitment(self) -> tuple[Up, Down]:
        csr = self._chance.choice(self._his)  # with the node's commitment and nonce
        return lambda sent, nonce: (replace(sent, csr=csr), nonce), self._claim

    # A ceremony.

    def _run(self, up: Up, down: Down) -> bool:
        """The node begins and reveals, the person types what the node shows; tells whether that was right."""
        csr, nonce = self._chance.choice(self._nodes), self._nonce()
        arrived, revealed = up(Sent(csr, commitment(csr.der, nonce)), nonce)
        begun = self._begin(arrived)
        opened = down(Opened(begun.spki_bridge, begun.id, begun.nonce, NATIVE_LABELS.display_name, begun.permissions))
        shown = self._code(csr, nonce, opened)
        ceremonies, desk = Ceremonies(), Desk(lambda: "never")
        ceremonies.begin(begun)
        result = ceremonies.reveal(begun.id, revealed, 1.0)
        if not isinstance(result, tuple):
            return False
        draft = replace(begun.draft, native=NativeProof(result[1]))
        desk.file(draft, begun.address, 1.0, NOON, begun.id)
        return desk.try_code(begun.id, shown).right

    def _begin(self, sent: Sent) -> Ceremony:
        public = encode_base64url(spki_der(sent.csr.key))
        wanted = read_permissions(sent.permissions)
        draft = Draft(sent.csr.node_id, public, NATIVE_LABELS, Surface(), wanted)
        name, spki = self._chance.randbytes(16).hex(), spki_der(self._bridge.public_key())
        return Ceremony(name, sent.csr, sent.commit, self._nonce(), draft, "10.0.0.1", spki, 0.0)

    @staticmethod
    def _code(csr: Csr, nonce: bytes, opened: Opened) -> str:
        """What the node shows."""
        transcript = Transcript(
            opened.spki, spki_der(csr.key), csr.der, opened.name, opened.permissions, nonce, opened.nonce, opened.id
        )
        return short_code(transcript.digest())
