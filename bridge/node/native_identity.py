"""What a paired native node keeps: its key and certificate, and the bridge it belongs to."""

from __future__ import annotations

import shlex
import ssl
import tempfile
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bridge.pairing.hosts import normal_host
from certs.client_files import write_client_file
from certs.context import node_client_context
from certs.errors import IdentityError, as_identity_error
from certs.keys import NodePrivateKey, node_id_of, spki_der
from certs.private_files import read_private, write_private
from certs.spki_pin import SpkiPin

MAX_FILE_BYTES = 32_768  # the key has some 500 bytes, the certificate 1,000
VERSION = 1  # of the file
RENEW_SHARE = 2 / 3  # of a certificate's life after which it should be renewed: day 60 of 90

_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """A paired node and its bridge.

    Attributes:
        private_key: the node's key.
        certificate: PEM, issued by the bridge for that key.
        spki: SHA-256 hex of the bridge's key: the pin.
        next_spki: the same of the key that the bridge has announced as its next; None: none.
        host: where the bridge was last, IPv6 without brackets.
        port: its node port.

    Raises:
        ValueError: the certificate is none, or for another key; or `host` is no name or address.
    """

    private_key: NodePrivateKey = field(repr=False)
    certificate: str = field(repr=False)
    spki: str
    next_spki: str | None
    host: str
    port: int

    def __post_init__(self) -> None:
        theirs = self.leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if theirs != spki_der(self.private_key.public_key()):
            raise ValueError("the certificate is for another key")
        normal_host(self.host)

    @property
    def node_id(self) -> str:
        """The node's id."""
        return node_id_of(self.private_key.public_key())

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate, parsed."""
        return x509.load_pem_x509_certificate(self.certificate.encode("ascii"))

    def expired(self, now: datetime) -> bool:
        """Tells whether the certificate opens no connection any more."""
        return now >= self.leaf.not_valid_after_utc

    def renewal_due(self, now: datetime) -> bool:
        """Tells whether the certificate should be renewed: two thirds of its life are over."""
        leaf = self.leaf
        life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
        return now >= leaf.not_valid_before_utc + life * RENEW_SHARE

    def client_context(self, pin: SpkiPin) -> ssl.SSLContext:
        """Returns a client context that shows this certificate to a bridge with the right key.

        `ssl` takes keys from files only, so an encrypted one exists for a moment; this blocks for as long.

        Args:
            pin: the key that the bridge must show.

        Raises:
            OSError: no temporary file can be made.
            IdentityError: it cannot be kept private.
        """
        with as_identity_error(), tempfile.TemporaryDirectory(prefix="clawdis-bridge-node-") as folder:
            files = write_client_file(Path(folder) / "client.pem", self.private_key, self.leaf)
            return node_client_context(pin, files)


class _Document(BaseModel):
    """The file's members."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    v: Annotated[int, Field(ge=VERSION, le=VERSION)]  # pydantic takes `true` for a literal 1
    key: str = Field(repr=False)
    certificate: str
    spki: _Hash
    next_spki: _Hash | None
    host: str
    port: Annotated[int, Field(ge=1, le=65535)]


def write_identity(file: Path, identity: NodeIdentity, passphrase: bytes) -> None:
    """Keeps an identity in a 0600 file, its key encrypted; what was there is replaced in one step.

    Args:
        file: in a folder of ours.
        identity: what to keep.
        passphrase: what the key is encrypted with.

    Raises:
        IdentityError: the folder cannot be trusted, or the write failed; the old file is then still there.
    """
    key = identity.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))
    document = _Document(
        v=VERSION,
        key=key.decode("ascii"),
        certificate=identity.certificate,
        spki=identity.spki,
        next_spki=identity.next_spki,
        host=identity.host,
        port=identity.port,
    )
    with as_identity_error():
        write_private(file, document.model_dump_json(indent=1).encode("utf-8"))


def read_identity(file: Path, passphrase: bytes) -> NodeIdentity | None:
    """Reads an identity; None when the file does not exist: the node was never paired.

    Args:
        file: as given to `write_identity`.
        passphrase: the one it was written with.

    Raises:
        IdentityError: the file cannot be trusted, is damaged, or is encrypted with another passphrase.
    """
    with as_identity_error():
        try:
            data = read_private(file, MAX_FILE_BYTES)
        except FileNotFoundError:
            return None
    try:
        document = _Document.model_validate_json(data)
        return NodeIdentity(
            private_key=_key(document.key, passphrase),
            certificate=document.certificate,
            spki=document.spki,
            next_spki=document.next_spki,
            host=document.host,
            port=document.port,
        )
    except ValidationError:
        raise _damaged(file, "it is damaged") from None
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise _damaged(file, str(error)) from error


def _key(pem: str, passphrase: bytes) -> NodePrivateKey:
    key = load_pem_private_key(pem.encode("ascii"), passphrase)
    if not isinstance(key, ec.EllipticCurvePrivateKey | Ed25519PrivateKey):
        raise TypeError("its key is of another kind")
    return key


def _damaged(file: Path, why: str) -> IdentityError:
    quoted = shlex.quote(str(file))
    return IdentityError(str(file), why, f"Move it away and pair the node again: mv {quoted} {quoted}.bad")
