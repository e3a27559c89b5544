"""The file that a native node's TLS client takes its key and certificate from."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, PublicFormat

from certs.keys import NodePrivateKey, spki_der
from certs.private_files import write_private


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """Where `ssl` finds a client's key and certificate: it reads them from files only."""

    file: Path
    """PEM: the encrypted key, then the certificate."""
    passphrase: bytes = field(repr=False)
    """What the key in `file` is encrypted with."""


def write_client_file(
    file: Path, private_key: NodePrivateKey, certificate: x509.Certificate, passphrase: bytes | None = None
) -> ClientFiles:
    """Write the key, encrypted, and its certificate into one 0600 file, replacing what was there in one step.

    Args:
        file: in a folder of ours.
        private_key: the node's key.
        certificate: what the bridge issued for it.
        passphrase: None: a random one, which then only the result knows.

    Raises:
        ValueError: the certificate is for another key.
        PrivateFileError: the folder cannot be trusted, or the write failed; the old file is then still there.
    """
    wanted = spki_der(private_key.public_key())
    if certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != wanted:
        raise ValueError("the certificate is for another key")
    secret = passphrase if passphrase is not None else secrets.token_urlsafe(32).encode("ascii")
    pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(secret))
    write_private(file, pem + certificate.public_bytes(Encoding.PEM))
    return ClientFiles(file, secret)
