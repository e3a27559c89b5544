"""A P-256 key and its self-signed certificate in one file, and a note of which pair it must be.

One rename makes or replaces both, so no crash can part them. The note, the certificate's pin, remembers that the pair
was made: what is missing, damaged or another than the noted one is refused, and never made again. While a pair is
replaced the note names both, the old one first, so a crash at any point leaves a pair that is accepted.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from certs.errors import IdentityError
from certs.keys import UNREADABLE
from certs.pins import certificate_pin, same_pin, spki_hash
from certs.vault import KEY_BLOCK, Vault, pem_blocks

CERTIFICATE_BLOCK = b"CERTIFICATE"  # RFC 7468 section 5


@dataclass(frozen=True, slots=True)
class Pair:
    """A key and its certificate, checked to belong together."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    """P-256."""
    certificate: x509.Certificate = field(repr=False)
    """Self-signed, for `key`."""
    pin: str
    """SHA-256 hex of the certificate's DER."""
    spki: str
    """SHA-256 hex of the key's SubjectPublicKeyInfo DER."""


class PairFile:
    """One such file of the keys folder with its note. Every method raises `IdentityError` and nothing else."""

    def __init__(self, vault: Vault, stem: str, *, what: str, mend: Callable[[Path], str]) -> None:
        """Use the files `<stem>.pem` and `<stem>.pin`; nothing is read or written yet.

        Args:
            vault: the keys folder.
            stem: what both files are called.
            what: what the pair is, for messages.
            mend: the advice for a file of which a backup may hold a good copy.
        """
        self._vault = vault
        self._name, self._note = f"{stem}.pem", f"{stem}.pin"
        self._what = what
        self._mend = mend

    @property
    def file(self) -> Path:
        """The PEM file: the encrypted key, then the certificate."""
        return self._vault.path / self._name

    @property
    def was_made(self) -> bool:
        """Whether the file or its note is there, were it only as a dangling link."""
        names = (self.file, self._vault.path / self._note)
        return any(name.is_symlink() or name.exists() for name in names)

    def create(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Pair:
        """Write the pair for the first time; the caller holds the folder's lock and has looked at `was_made`."""
        self.write(key, certificate)
        return self.load(locked=True)

    def replace(self, old: Pair, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Pair:
        """Put another pair in the place of `old`; the caller holds the folder's lock.

        A crash leaves the old pair or the new one, and the next `load` notes which.
        """
        new_pin = certificate_pin(certificate)
        self._write_note(old.pin, new_pin)
        self.write(key, certificate)
        self._write_note(new_pin)
        return self.load(locked=True)

    def load(self, *, locked: bool = False) -> Pair:
        """The pair, checked against itself and against the note.

        Args:
            locked: the caller holds the folder's lock; else it is tried for when a replacement was cut off, and if
                somebody else has it the note stays as it is.
        """
        pair = self.read()
        if pair is None:
            raise IdentityError(str(self.file), f"{self._what} is missing", self._mend(self.file))
        noted = self._read_note()
        if noted is None:  # a crash came between the pair and its note
            self._write_note(pair.pin)
        elif not any(same_pin(pin, pair.pin) for pin in noted):
            marker = self._vault.path / self._note
            why = f"its certificate is not the one that {marker} remembers, so paired phones would not fit it"
            raise IdentityError(str(self.file), why, self._mend(self.file))
        elif len(noted) > 1:
            self._settle(pair, locked)
        return pair

    def read(self) -> Pair | None:
        """The pair without a look at the note; None when there is no file."""
        data = self._vault.read(self._name)
        return self._checked(data) if data is not None else None

    def write(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        """Write the pair without a look at the note."""
        self._vault.write(self._name, self._vault.encrypted(key) + certificate.public_bytes(Encoding.PEM))

    def remove(self) -> bool:
        """Remove the pair, not its note; whether there was one."""
        return self._vault.remove(self._name)

    def _settle(self, pair: Pair, locked: bool) -> None:
        """Note which pair a cut-off replacement left."""
        if locked:
            self._write_note(pair.pin)
            return
        with suppress(IdentityError), self._vault.locked():  # else somebody replaces it now, and will note it
            current, noted = self.read(), self._read_note()
            if current is not None and noted is not None and current.pin in noted:
                self._write_note(current.pin)

    def _read_note(self) -> list[str] | None:
        """The pins that the pair may have; None when nothing was noted yet."""
        noted = self._vault.read(self._note)
        return noted.decode("ascii", errors="replace").splitlines() if noted is not None else None

    def _write_note(self, *pins: str) -> None:
        self._vault.write(self._note, "".join(f"{pin}\n" for pin in pins).encode("ascii"))

    def _checked(self, data: bytes) -> Pair:
        """The pair in `data`, if it is one encrypted P-256 key with its own self-signed certificate."""
        blocks = pem_blocks(data)
        if [label for label, _ in blocks] != [KEY_BLOCK, CERTIFICATE_BLOCK]:
            raise self._refused("it does not hold one encrypted key followed by one certificate")
        key = self._vault.decrypted(self._name, blocks[0][1])
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise self._refused("its key is no P-256 key")
        try:
            certificate = x509.load_pem_x509_certificate(blocks[1][1])
            spki = spki_hash(certificate.public_key())
            certificate.verify_directly_issued_by(certificate)
        except (*UNREADABLE, InvalidSignature) as error:
            raise self._refused("its certificate is damaged") from error
        if not same_pin(spki, spki_hash(key.public_key())):
            raise self._refused("its certificate is not for its key")
        return Pair(key, certificate, certificate_pin(certificate), spki)

    def _refused(self, why: str) -> IdentityError:
        return IdentityError(str(self.file), why, self._mend(self.file))
