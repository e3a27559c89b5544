"""Native nodes to enrol: keys, signing requests, and both halves of a ceremony."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.asymmetric import ec

from acl.permissions import PROFILES, Permissions
from bridge.pairing.ceremony import Ceremony
from bridge.pairing.desk import Draft, NativeProof, Why
from bridge.pairing.records import Labels, Surface
from bridge.pairing.transcript import Transcript, commitment
from certs.csr import Csr, build_csr, read_csr
from certs.keys import spki_der
from gateway_client.identity import encode_base64url

SPKI_BRIDGE = b"the bridge's SubjectPublicKeyInfo"
NONCE_BRIDGE = b"B" * 32
NATIVE_LABELS = Labels(
    display_name="Anna's iPhone", client_id="openclaw-ios", client_version="1.0", platform="ios 26.1"
)


def p256(number: int = 0) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key of node `number`."""
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(b"node %d" % number).digest()) >> 1, ec.SECP256R1())


@dataclass
class NativePhone:
    """A native node that plays its half by hand."""

    number: int = 0
    nonce: bytes = b"N" * 32
    csr: Csr = field(init=False)

    def __post_init__(self) -> None:
        self.key = p256(self.number)
        self.csr = read_csr(build_csr(self.key))

    @property
    def node_id(self) -> str:
        """Its id."""
        return self.csr.node_id

    def draft(self, permissions: Permissions = PROFILES["voice+screen"], why: Why = Why.NEW) -> Draft:
        """Return what it asks for."""
        public_key = encode_base64url(spki_der(self.key.public_key()))
        declared = Surface(commands=("screen.navigate", "screen.snapshot"))
        return Draft(self.node_id, public_key, NATIVE_LABELS, declared, permissions, why)

    def ceremony(self, name: str = "c1", address: str = "192.168.1.7", began: float = 0.0) -> Ceremony:
        """Return its ceremony as the bridge begins it."""
        return Ceremony(
            name,
            self.csr,
            commitment(self.csr.der, self.nonce),
            NONCE_BRIDGE,
            self.draft(),
            address,
            SPKI_BRIDGE,
            began,
        )

    def transcript(self, ceremony: Ceremony) -> bytes:
        """Return the digest that this node computes of a ceremony."""
        return Transcript(
            SPKI_BRIDGE,
            spki_der(self.key.public_key()),
            self.csr.der,
            ceremony.draft.labels.display_name,
            ceremony.permissions,
            self.nonce,
            ceremony.nonce,
            ceremony.id,
        ).digest()

    def revealed(self, name: str = "c1") -> Draft:
        """Return its request as it lies on the desk after the reveal."""
        return replace(self.draft(), native=NativeProof(self.transcript(self.ceremony(name))))
