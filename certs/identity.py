"""The bridge's identity: made once, renewed with the same key, and rotated to a next key that phones heard of before.

Apps pin the certificate, native nodes the key. So a renewal makes every app forget the bridge and pair again, and a
rotation every native node as well, except those that were told the hash of the next key.
"""

from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from certs.errors import IdentityError, from_backup, lost_identity
from certs.issue import build_bridge_certificate, new_bridge_key
from certs.pair_file import Pair, PairFile
from certs.pins import spki_hash
from certs.vault import Vault

IDENTITY = "bridge"  # what its files are called
IDENTITY_FILE = f"{IDENTITY}.pem"
NEXT = "bridge-next"


@dataclass(frozen=True, slots=True)
class BridgeIdentity:
    """The key and certificate that phones pin, checked to belong together."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    """P-256."""
    certificate: x509.Certificate = field(repr=False)
    """Self-signed, for `key`."""
    pin: str
    """SHA-256 hex of the certificate's DER."""
    spki: str
    """SHA-256 hex of the key's SubjectPublicKeyInfo DER."""
    file: Path
    """The PEM file with the encrypted key and the certificate, for `ssl.SSLContext.load_cert_chain`."""
    passphrase: bytes = field(repr=False)
    """What the key in `file` is encrypted with."""
    created: bool = False
    """True only from the call that made the identity: an event for the audit log."""


class IdentityFiles:
    """The identity and the next key in the keys folder; `KeyFolder` says what each method does and raises."""

    def __init__(self, vault: Vault) -> None:
        """Use the vault's folder; nothing is read or written yet."""
        self._vault = vault
        mend = partial(lost_identity, vault.path)
        self._current = PairFile(vault, IDENTITY, what="the bridge's key and certificate", mend=mend)
        self._next = PairFile(vault, NEXT, what="the bridge's next key", mend=from_backup)

    def load_or_create(self, host: str, *, now: datetime) -> BridgeIdentity:
        """The identity, made on the very first call and never again."""
        with self._vault.locked():
            if self._vault.holds_any_key():
                return self._identity(self._current.load(locked=True))
            key = new_bridge_key()
            pair = self._current.create(key, build_bridge_certificate(key, host, now=now))
            return self._identity(pair, created=True)

    def load(self) -> BridgeIdentity:
        """The identity made earlier."""
        return self._identity(self._current.load())

    def renew(self, host: str, *, now: datetime) -> BridgeIdentity:
        """A new certificate for the same key."""
        with self._vault.locked():
            old = self._current.load(locked=True)
            certificate = build_bridge_certificate(old.key, host, now=now)
            return self._identity(self._current.replace(old, old.key, certificate))

    def prepare_next(self, host: str, *, now: datetime) -> str:
        """The hash of the next key, which is made if there is none."""
        with self._vault.locked():
            current, prepared = self._current.load(locked=True), self._next.read()
            if prepared is not None and prepared.spki != current.spki:
                return prepared.spki
            key = new_bridge_key()
            self._next.write(key, build_bridge_certificate(key, host, now=now))
            return spki_hash(key.public_key())

    @property
    def next_spki(self) -> str | None:
        """The hash of the next key; None while there is none."""
        current, prepared = self._current.read(), self._next.read()
        if prepared is None or (current is not None and prepared.spki == current.spki):
            return None  # the latter is what a cut-off rotation left
        return prepared.spki

    def rotate(self, *, now: datetime, to: str | None = None) -> BridgeIdentity:
        """Put the next key, with a fresh certificate, in the place of the current one."""
        with self._vault.locked():
            current, prepared = self._current.load(locked=True), self._next.read()
            wanted = to if to is not None or prepared is None else prepared.spki
            if wanted != current.spki:
                current = self._current.replace(current, *self._successor(prepared, wanted, now))
            if prepared is not None and prepared.spki == current.spki:
                self._next.remove()
            return self._identity(current)

    def _successor(
        self, prepared: Pair | None, wanted: str | None, now: datetime
    ) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """The next key with the certificate that it will show."""
        file = str(self._next.file)
        if prepared is None:
            mend = "Make one first, and let the phones hear of it: clawdis-bridge certs rotate"
            raise IdentityError(file, "there is no next key that the phones could know", mend)
        if prepared.spki != wanted:
            mend = "See which one it is: clawdis-bridge certs show"
            raise IdentityError(file, f"the next key is {prepared.spki}, not {wanted}", mend)
        host = prepared.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        return prepared.key, build_bridge_certificate(prepared.key, str(host), now=now)

    def _identity(self, pair: Pair, *, created: bool = False) -> BridgeIdentity:
        passphrase = self._vault.passphrase()
        return BridgeIdentity(pair.key, pair.certificate, pair.pin, pair.spki, self._current.file, passphrase, created)
