"""Pure: what both ends of a native pairing compute: commitment, transcript, short code, proofs (design §6).

Every hash is SHA-256 under a label of its own, so that no value of one step can stand in for one of another. Parts are
written with their length in front of them: no two lists of parts give the same bytes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

NONCE_BYTES = 32  # of both nonces, and of a renewal's
DIGEST_BYTES = 32  # of SHA-256
CODE_DIGITS = 6
CODES = 10**CODE_DIGITS  # a man in the middle has one guess at a code per ceremony: 1e-6
_SAS_BYTES = 8  # of the hash that the code is taken from: 2**64 / 1e6 leaves a bias below 6e-14

_COMMIT = b"clawdis-bridge/1/commit"
_TRANSCRIPT = b"clawdis-bridge/1/transcript"
_SAS = b"clawdis-bridge/1/sas"
_FETCH = b"clawdis-bridge/1/fetch"
_RENEW = b"clawdis-bridge/1/renew"
_TOKEN_KEY = b"clawdis-bridge/1/token-key"
_TOKEN = b"clawdis-bridge/1/token"


def commitment(csr_der: bytes, nonce: bytes) -> bytes:
    """Returns what the node sends before it has seen the bridge's nonce; it fixes the node's own.

    Args:
        csr_der: the PKCS#10 request, as it is sent.
        nonce: the node's nonce, 32 random bytes.

    Raises:
        ValueError: the nonce has another length.
    """
    return _digest(_COMMIT, csr_der, _of_length("nonce", nonce, NONCE_BYTES))


@dataclass(frozen=True, slots=True)
class Transcript:
    """One ceremony as both ends saw it; where they saw different things, their digests differ.

    Attributes:
        spki_bridge: SubjectPublicKeyInfo DER of the bridge: for the node, the one its own TLS handshake showed.
        spki_node: SubjectPublicKeyInfo DER of the node's key.
        csr_der: the PKCS#10 request.
        display_name: the node's name as the bridge answered it.
        permissions: what is asked for, as the bridge answered it, in its order.
        nonce_node: 32 bytes, committed to first and revealed last.
        nonce_bridge: 32 bytes.
        request_id: the id that the bridge gave the request.

    Raises:
        ValueError: a nonce of another length, or a permission that is empty or holds a comma: two different lists
            would read the same.
    """

    spki_bridge: bytes
    spki_node: bytes
    csr_der: bytes
    display_name: str
    permissions: Sequence[str]
    nonce_node: bytes
    nonce_bridge: bytes
    request_id: str

    def __post_init__(self) -> None:
        _of_length("nonce_node", self.nonce_node, NONCE_BYTES)
        _of_length("nonce_bridge", self.nonce_bridge, NONCE_BYTES)
        if any(not name or "," in name for name in self.permissions):
            raise ValueError("a permission is empty or holds a comma")

    def digest(self) -> bytes:
        """Returns T, 32 bytes.

        Raises:
            ValueError: a text that UTF-8 cannot write (a lone surrogate).
        """
        return _digest(
            _TRANSCRIPT,
            b"bridge",
            self.spki_bridge,
            b"node",
            self.spki_node,
            hashlib.sha256(self.csr_der).digest(),
            self.display_name.encode("utf-8"),
            ",".join(self.permissions).encode("utf-8"),
            self.nonce_node,
            self.nonce_bridge,
            self.request_id.encode("utf-8"),
        )


def short_code(transcript: bytes) -> str:
    """Returns the six digits that the node shows and a person types at the Mac, e.g. `012345`.

    Args:
        transcript: T, a `Transcript`'s digest.

    Raises:
        ValueError: it is not 32 bytes long; so in every function that takes it.
    """
    number = int.from_bytes(_over(_SAS, transcript)[:_SAS_BYTES], "big") % CODES
    return f"{number:0{CODE_DIGITS}d}"


def spaced(code: str) -> str:
    """Returns a short code as people read it: `123 456`."""
    half = CODE_DIGITS // 2
    return f"{code[:half]} {code[half:]}"


def fetch_digest(transcript: bytes) -> bytes:
    """Returns the 32 bytes that the node signs when it asks how its request stands."""
    return _over(_FETCH, transcript)


def token_key(token: bytes) -> bytes:
    """Returns what is kept of a native link's token: it proves the token and does not tell it.

    Args:
        token: the secret of the link, decoded.
    """
    return hashlib.sha256(_TOKEN_KEY + token).digest()


def token_proof(key: bytes, transcript: bytes) -> bytes:
    """Returns the proof that the node holds a link's token, good for this one ceremony.

    Args:
        key: the token's `token_key`.
        transcript: T.
    """
    return hmac.digest(key, _TOKEN + _of_length("transcript", transcript, DIGEST_BYTES), "sha256")


def renewal_digest(nonce: bytes, spki_bridge: bytes, csr_der: bytes) -> bytes:
    """Returns the 32 bytes that a node signs to renew a certificate that has expired.

    Args:
        nonce: the bridge's challenge, 32 bytes.
        spki_bridge: SubjectPublicKeyInfo DER of the bridge.
        csr_der: the PKCS#10 request.

    Raises:
        ValueError: the nonce has another length.
    """
    return _digest(_RENEW, _of_length("nonce", nonce, NONCE_BYTES), spki_bridge, csr_der)


def _digest(label: bytes, *parts: bytes) -> bytes:
    return hashlib.sha256(label + b"".join(map(_with_length, parts))).digest()


def _over(label: bytes, transcript: bytes) -> bytes:
    return hashlib.sha256(label + _of_length("transcript", transcript, DIGEST_BYTES)).digest()


def _with_length(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part


def _of_length(what: str, value: bytes, length: int) -> bytes:
    if len(value) != length:
        raise ValueError(f"{what} has {len(value)} bytes, not {length}")
    return value
