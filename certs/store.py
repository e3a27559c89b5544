"""The keys folder: the bridge's identity and the keys it uses upstream.

`bridge.pem` holds the encrypted key and its certificate in one file, so that one rename makes or renews both and
no crash can part them. `bridge.pin` remembers that an identity was made, and which. Phones pin that identity and
cannot take another: whatever is missing, damaged or mismatched is an `IdentityError`, and never a new key.
"""

import re
import shlex
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from certs.errors import IdentityError, as_identity_error, from_backup
from certs.issue import build_bridge_certificate, new_bridge_key
from certs.passphrase import FilePassphrase, PassphraseSource
from certs.pins import certificate_pin, same_pin, spki_hash
from certs.private_files import (
    locked_folder,
    private_folder,
    read_private,
    remove_private,
    write_private,
)

IDENTITY_FILE = "bridge.pem"
PIN_FILE = "bridge.pin"
MAX_FILE_BYTES = 16384  # the longest file here, bridge.pem, has some 1,400 bytes

_NODE_NAME = re.compile(r"[0-9a-f]{8,64}")
_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\n[A-Za-z0-9+/=\n]+-----END \1-----\n")
_KEY_BLOCK = b"ENCRYPTED PRIVATE KEY"  # PKCS#8, RFC 7468 section 11
_CERTIFICATE_BLOCK = b"CERTIFICATE"  # RFC 7468 section 5


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


class KeyFolder:
    """The folder of private keys. Every method raises `IdentityError` and nothing else for a key it cannot trust."""

    def __init__(self, path: Path, passphrases: PassphraseSource | None = None) -> None:
        """Make the folder when it is missing, close it to others when it is open.

        Args:
            path: the keys folder.
            passphrases: where the passphrase lives; None: a file in this folder.

        Raises:
            IdentityError: the folder is a link, someone else's, or others could write in it.
        """
        self._path = path
        self._passphrases = passphrases if passphrases is not None else FilePassphrase(path)
        with as_identity_error():
            self._note = private_folder(path)

    @property
    def note(self) -> str | None:
        """A sentence for the log when the folder's mode had to be repaired, else None."""
        return self._note

    def load_or_create(self, host: str, *, now: datetime) -> BridgeIdentity:
        """The bridge's identity, made on the very first call and never again.

        Args:
            host: the bridge's `.local` host name for a new certificate; an existing one keeps its own.
            now: aware UTC time of issue.

        Raises:
            IdentityError: there was an identity and it cannot be used.
            ValueError: `host` or `now` cannot go into a certificate.
        """
        with as_identity_error(), locked_folder(self._path):
            if self._was_made():
                return self._load(created=False)
            key = new_bridge_key()
            certificate = build_bridge_certificate(key, host, now=now)
            pem = _key_pem(key, self._passphrase_for_new_key()) + certificate.public_bytes(Encoding.PEM)
            write_private(self._path / IDENTITY_FILE, pem)
            return self._load(created=True)

    def load(self) -> BridgeIdentity:
        """The identity made earlier: for a bridge with paired nodes, which must not make one.

        Raises:
            IdentityError: there is none, or it cannot be used.
        """
        with as_identity_error():
            return self._load(created=False)

    def create_ed25519(self, name: str) -> Ed25519PrivateKey:
        """Make and keep the key of one upstream identity.

        Args:
            name: 8 to 64 lower-case hexadecimal digits.

        Raises:
            IdentityError: there is such a key already, or there is no passphrase for the keys that exist.
            ValueError: `name` is no such name.
        """
        file = self._node_file(name)
        with as_identity_error(), locked_folder(self._path):
            if _read(file) is not None:
                raise IdentityError(str(file), "there is a key of this name already", from_backup(file))
            key = Ed25519PrivateKey.generate()
            write_private(file, _key_pem(key, self._passphrase_for_new_key()))
        return key

    def load_ed25519(self, name: str) -> Ed25519PrivateKey:
        """The key of an upstream identity that was made earlier.

        Raises:
            IdentityError: it is missing, unreadable or no Ed25519 key; never answered by a new one.
            ValueError: `name` is no name of a key.
        """
        file = self._node_file(name)
        data = _read(file)
        mend = f"{from_backup(file)}, or revoke that node and pair it again"
        if data is None:
            raise IdentityError(str(file), "the key is missing", mend)
        if [label for label, _ in _pem_blocks(data)] != [_KEY_BLOCK]:
            raise IdentityError(str(file), "it holds no single encrypted private key", mend)
        key = _decrypted(file, data, self._passphrase())
        if not isinstance(key, Ed25519PrivateKey):
            raise IdentityError(str(file), "its key is no Ed25519 key", mend)
        return key

    def delete(self, name: str) -> bool:
        """Remove the key of an upstream identity; whether there was one.

        Raises:
            IdentityError: it cannot be removed.
            ValueError: `name` is no name of a key.
        """
        with as_identity_error():
            return remove_private(self._node_file(name))

    def _was_made(self) -> bool:
        """Whether any trace says that an identity exists or existed; a dangling link is a trace too."""
        traces = (self._path / IDENTITY_FILE, self._path / PIN_FILE)
        return any(file.is_symlink() or file.exists() for file in traces) or self._holds_node_keys()

    def _holds_node_keys(self) -> bool:
        return any(self._path.glob("node-*.pem"))

    def _load(self, *, created: bool) -> BridgeIdentity:
        """Read the identity, check it against itself and against the pin that was written down."""
        file = self._path / IDENTITY_FILE
        data = _read(file)
        if data is None:
            raise IdentityError(str(file), "the bridge's key and certificate are missing", _lost(self._path, file))
        identity = self._checked(file, data, created=created)
        self._check_pin(identity)
        return identity

    def _checked(self, file: Path, data: bytes, *, created: bool) -> BridgeIdentity:
        """The identity in `data`, if it is one encrypted P-256 key with its own self-signed certificate."""
        blocks = _pem_blocks(data)
        if [label for label, _ in blocks] != [_KEY_BLOCK, _CERTIFICATE_BLOCK]:
            why = "it does not hold one encrypted key followed by one certificate"
            raise IdentityError(str(file), why, _lost(self._path, file))
        passphrase = self._passphrase()
        key = _decrypted(file, blocks[0][1], passphrase)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise IdentityError(str(file), "its key is no P-256 key", _lost(self._path, file))
        try:
            certificate = x509.load_pem_x509_certificate(blocks[1][1])
            spki = spki_hash(certificate.public_key())
            certificate.verify_directly_issued_by(certificate)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise IdentityError(str(file), "its certificate is damaged", _lost(self._path, file)) from error
        if not same_pin(spki, spki_hash(key.public_key())):
            raise IdentityError(str(file), "its certificate is not for its key", _lost(self._path, file))
        return BridgeIdentity(key, certificate, certificate_pin(certificate), spki, file, passphrase, created)

    def _check_pin(self, identity: BridgeIdentity) -> None:
        """Compare with the pin written when the identity was made, or write it if a crash came before that."""
        marker = self._path / PIN_FILE
        noted = _read(marker)
        if noted is None:
            with as_identity_error():
                write_private(marker, f"{identity.pin}\n".encode("ascii"))
        elif not same_pin(noted.decode("ascii", errors="replace"), identity.pin):
            why = f"its certificate is not the one that {marker} remembers, so paired phones would refuse it"
            raise IdentityError(str(identity.file), why, _lost(self._path, identity.file))

    def _passphrase(self) -> bytes:
        """The passphrase of the keys that exist."""
        passphrase = self._passphrases.load()
        if passphrase is None:
            mend = _lost(self._path, self._path)
            raise IdentityError(self._passphrases.where, "the passphrase of the bridge's keys is missing", mend)
        return passphrase

    def _passphrase_for_new_key(self) -> bytes:
        """The passphrase, made first if there is no key at all yet."""
        if self._was_made():
            return self._passphrase()
        existing = self._passphrases.load()
        return existing if existing is not None else self._passphrases.create()

    def _node_file(self, name: str) -> Path:
        if not _NODE_NAME.fullmatch(name):
            raise ValueError("the name of an upstream key is 8 to 64 lower-case hexadecimal digits")
        return self._path / f"node-{name}.pem"


def _read(file: Path) -> bytes | None:
    """The content of a file of the folder, or None when there is no such file."""
    with as_identity_error():
        try:
            return read_private(file, MAX_FILE_BYTES)
        except FileNotFoundError:
            return None


def _key_pem(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey, passphrase: bytes) -> bytes:
    """The key as PKCS#8 PEM, encrypted (RFC 5958 section 3)."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))


def _pem_blocks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Label and text of each PEM block; empty when there is anything between or around them."""
    blocks = list(_PEM_BLOCK.finditer(data))
    if b"".join(block[0] for block in blocks) != data:
        return []
    return [(block[1], block[0]) for block in blocks]


def _decrypted(file: Path, pem: bytes, passphrase: bytes) -> PrivateKeyTypes:
    """The private key in `pem`; IdentityError when the passphrase or the text is wrong."""
    try:
        return load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        why = "its key cannot be decrypted: the file is damaged or the passphrase is another one"
        raise IdentityError(str(file), why, from_backup(file)) from error


def _lost(folder: Path, file: Path) -> str:
    return (
        f"Put {_quoted(file)} back from a backup; if there is none, begin anew with: rm -r {_quoted(folder)} "
        "(every phone must then forget this bridge and pair again)"
    )


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
