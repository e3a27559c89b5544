"""The keys folder: the bridge's identity, its client authority, and the keys it uses upstream.

`bridge.pem` holds the encrypted key and its certificate, `bridge.pin` remembers which identity that is; the files
`client-ca.*` are the same for the client authority, `bridge-next.pem` is the key that a rotation takes, and each
`node-<name>.pem` the key of one upstream identity. Phones pin the identity and cannot take another: whatever is
missing, damaged or mismatched is an `IdentityError`, and never a new key.
"""

import re
from datetime import datetime
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from certs.authority import ClientAuthority, build_authority_certificate
from certs.errors import RESTORE, IdentityError, from_backup, lost_authority
from certs.identity import IDENTITY_FILE, BridgeIdentity, IdentityFiles
from certs.issue import new_bridge_key
from certs.pair_file import PairFile
from certs.passphrase import PassphraseSource, Place
from certs.passphrase_choice import ChosenPassphrase
from certs.vault import KEY_BLOCK, MAX_FILE_BYTES, Vault, pem_blocks

__all__ = ["IDENTITY_FILE", "MAX_FILE_BYTES", "BridgeIdentity", "KeyFolder"]

AUTHORITY = "client-ca"

_NODE_NAME = re.compile(r"[0-9a-f]{8,64}")


class KeyFolder:
    """The folder of private keys. Every method raises `IdentityError` and nothing else for a key it cannot trust."""

    def __init__(self, path: Path, passphrases: PassphraseSource | None = None) -> None:
        """Make the folder when it is missing, close it to others when it is open.

        Args:
            path: the keys folder.
            passphrases: where the passphrase lives; None: the keychain if it works when the first key is made, else a
                file in this folder.

        Raises:
            IdentityError: the folder is a link, someone else's, or others could write in it.
        """
        self._vault = Vault(path, passphrases if passphrases is not None else ChosenPassphrase(path))
        self._identities = IdentityFiles(self._vault)
        mend = partial(lost_authority, path)
        self._authority = PairFile(self._vault, AUTHORITY, what="the key of the client authority", mend=mend)

    @property
    def note(self) -> str | None:
        """A sentence for the log when the folder's mode had to be repaired, else None."""
        return self._vault.note

    @property
    def passphrase_place(self) -> Place:
        """Where the passphrase lives; while there is none yet: a file.

        Raises:
            IdentityError: the record of the choice cannot be read.
        """
        return self._vault.passphrases.place

    def load_or_create(self, host: str, *, now: datetime) -> BridgeIdentity:
        """The bridge's identity, made on the very first call and never again.

        Args:
            host: the bridge's `.local` host name for a new certificate; an existing one keeps its own.
            now: aware UTC time of issue.

        Raises:
            IdentityError: there was an identity and it cannot be used.
            ValueError: `host` or `now` cannot go into a certificate.
        """
        return self._identities.load_or_create(host, now=now)

    def load(self) -> BridgeIdentity:
        """The identity made earlier, as the files hold it now: for a bridge with paired nodes, which must not make one.

        Raises:
            IdentityError: there is none, or it cannot be used.
        """
        return self._identities.load()

    def renew_certificate(self, host: str, *, now: datetime) -> BridgeIdentity:
        """A new certificate for the same key: native nodes notice nothing, every app must forget the bridge.

        A crash leaves the old certificate or the new one; both load, and the call can be made again.

        Raises:
            IdentityError: there is no identity that can be used, or the new one cannot be written.
            ValueError: `host` or `now` cannot go into a certificate.
        """
        return self._identities.renew(host, now=now)

    def prepare_next(self, host: str, *, now: datetime) -> str:
        """The SPKI hash of the key that a rotation will take, made on the first call after the last rotation.

        Raises:
            IdentityError: there is no identity, or a next key that cannot be used (never answered by another one:
                nodes may have been told of it).
            ValueError: `host` or `now` cannot go into a certificate.
        """
        return self._identities.prepare_next(host, now=now)

    @property
    def next_spki(self) -> str | None:
        """The SPKI hash of the prepared key; None while there is none."""
        return self._identities.next_spki

    def rotate(self, *, now: datetime, to: str | None = None) -> BridgeIdentity:
        """Put the prepared key, with a fresh certificate, in the place of the current one.

        Every app must forget the bridge; native nodes follow if they were told the next SPKI hash. A crash leaves the
        old identity or the new one; both load, and the call can be made again.

        Args:
            now: aware UTC time of issue.
            to: the SPKI hash that the caller means by the next key. With it a repeated call rotates once only.

        Raises:
            IdentityError: no key was prepared, it is another than `to`, or it cannot be used or written.
            ValueError: `now` is not UTC.
        """
        return self._identities.rotate(now=now, to=to)

    def client_authority(self, now: datetime) -> ClientAuthority:
        """The authority of the native nodes' certificates, made on the very first call and never again.

        Args:
            now: aware UTC time of issue.

        Raises:
            IdentityError: there is no identity, or there was an authority and it cannot be used.
            ValueError: `now` is not UTC.
        """
        self._identities.load()  # an authority without a bridge would look like what is left of one
        with self._vault.locked():
            if self._authority.was_made:
                pair, created = self._authority.load(locked=True), False
            else:
                key = new_bridge_key()
                pair, created = self._authority.create(key, build_authority_certificate(key, now=now)), True
        return ClientAuthority(pair.certificate, pair.key, created)

    def load_client_authority(self) -> ClientAuthority:
        """The authority made earlier: for a bridge with native nodes, which must not make one.

        Raises:
            IdentityError: there is none, or it cannot be used.
        """
        pair = self._authority.load()
        return ClientAuthority(pair.certificate, pair.key)

    def create_ed25519(self, name: str) -> Ed25519PrivateKey:
        """Make and keep the key of one upstream identity.

        Args:
            name: 8 to 64 lower-case hexadecimal digits.

        Raises:
            IdentityError: there is such a key already, or there is no passphrase for the keys that exist.
            ValueError: `name` is no such name.
        """
        file = _node_file(name)
        with self._vault.locked():
            if self._vault.read(file) is not None:
                where = self._vault.path / file
                raise IdentityError(str(where), "there is a key of this name already", from_backup(where))
            key = Ed25519PrivateKey.generate()
            self._vault.write(file, self._vault.encrypted(key))
        return key

    def load_ed25519(self, name: str) -> Ed25519PrivateKey:
        """The key of an upstream identity that was made earlier.

        Raises:
            IdentityError: it is missing, unreadable or no Ed25519 key; never answered by a new one.
            ValueError: `name` is no name of a key.
        """
        file = _node_file(name)
        where = self._vault.path / file
        data = self._vault.read(file)
        if data is None:
            raise IdentityError(str(where), "the key is missing", f"{RESTORE}, or put back a copy")
        mend = from_backup(where)
        if [label for label, _ in pem_blocks(data)] != [KEY_BLOCK]:
            raise IdentityError(str(where), "it holds no single encrypted private key", mend)
        key = self._vault.decrypted(file, data)
        if not isinstance(key, Ed25519PrivateKey):
            raise IdentityError(str(where), "its key is no Ed25519 key", mend)
        return key

    def delete(self, name: str) -> bool:
        """Remove the key of an upstream identity; whether there was one.

        Raises:
            IdentityError: it cannot be removed.
            ValueError: `name` is no name of a key.
        """
        return self._vault.remove(_node_file(name))


def _node_file(name: str) -> str:
    if not _NODE_NAME.fullmatch(name):
        raise ValueError("the name of an upstream key is 8 to 64 lower-case hexadecimal digits")
    return f"node-{name}.pem"
