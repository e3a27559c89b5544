"""The bridge's own certificates while it runs: what is in force, and who is told when that changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from bridge.audit.errors import AuditError
from bridge.audit.recorder import Recorder
from bridge.log import Log
from certs.authority import ClientAuthority
from certs.errors import IdentityError
from certs.pins import spki_hash
from certs.store import BridgeIdentity, KeyFolder


class Certificates:
    """See the module's text.

    Args:
        keys: the keys folder.
        identity: what the bridge shows to phones.
        authority: what it issues certificates of native nodes with.
        host: the bridge's name on the LAN, for a new certificate.
        trail: where a change of keys is written before it is made.
    """

    def __init__(
        self,
        keys: KeyFolder,
        identity: BridgeIdentity,
        authority: ClientAuthority,
        host: str,
        log: Log,
        trail: Recorder,
    ) -> None:
        self.identity = identity
        self.authority = authority
        self._keys = keys
        self._host = host
        self._log = log
        self._trail = trail
        self._next = keys.next_spki
        self._changing = asyncio.Lock()
        self._listeners: list[Callable[[BridgeIdentity], None]] = []

    def on_change(self, listener: Callable[[BridgeIdentity], None]) -> None:
        """Calls `listener` with each identity that is about to come into force; an OSError of its keeps the old one."""
        self._listeners.append(listener)

    @property
    def next_spki(self) -> str | None:
        """SPKI hash of the key that will follow, hex; None while no change of keys is prepared."""
        return self._next

    @property
    def own_keys(self) -> frozenset[str]:
        """SPKI hashes of every key that is the bridge's: no node may have one of them."""
        authority = spki_hash(self.authority.certificate.public_key())
        return frozenset({self.identity.spki, authority, *([self._next] if self._next is not None else [])})

    async def renew(self) -> BridgeIdentity:
        """Makes a new certificate for the same key: apps that pinned the old one are locked out, native nodes are not.

        Raises:
            IdentityError: it cannot be written; the old one stays in force.
        """
        async with self._changing:
            await self._record("new certificate")
            return self._take(await asyncio.to_thread(self._keys.renew_certificate, self._host, now=datetime.now(UTC)))

    async def prepare_next(self) -> str:
        """Makes the key that will follow, so that nodes can be told of it; returns its SPKI hash.

        Raises:
            IdentityError: it cannot be written.
        """
        async with self._changing:
            await self._record("next key prepared")
            self._next = await asyncio.to_thread(self._keys.prepare_next, self._host, now=datetime.now(UTC))
            return self._next

    async def rotate(self) -> BridgeIdentity:
        """Puts the prepared key into force: whoever does not know it has to be paired anew.

        Raises:
            IdentityError: none is prepared, or it cannot be written; the old one stays in force.
        """
        async with self._changing:
            await self._record("next key in force")
            identity = await asyncio.to_thread(self._keys.rotate, now=datetime.now(UTC), to=self._next)
            self._next = None
            return self._take(identity)

    async def reload(self) -> BridgeIdentity:
        """Reads the files again; what cannot be trusted does not come into force.

        Raises:
            IdentityError: what is there cannot be used; the old one stays in force.
        """
        async with self._changing:
            await self._record("files read again")
            try:
                identity, following = await asyncio.to_thread(self._read)
                self._take(identity)
            except IdentityError as exc:
                self._log.error("identity-refused", file=exc.what, why=exc.why)
                raise
            self._next = following
            return identity

    async def _record(self, what: str) -> None:
        try:
            await self._trail.record("key-change", what=what)
        except AuditError as exc:
            raise IdentityError("the change", f"it has to be written down first, and {exc.why}", exc.mend) from exc

    def _read(self) -> tuple[BridgeIdentity, str | None]:
        return self._keys.load(), self._keys.next_spki

    def _take(self, identity: BridgeIdentity) -> BridgeIdentity:
        try:
            for listener in self._listeners:
                listener(identity)
        except OSError as exc:  # TLS reads the file itself, and somebody has changed it since
            why = f"TLS cannot use it ({exc})"
            raise IdentityError(str(identity.file), why, "Try again: clawdis-bridge certs reload") from exc
        self.identity = identity  # what is said to be in force is what new handshakes show
        self._log.warning("identity-changed", pin=identity.pin, spki=identity.spki)
        return identity
