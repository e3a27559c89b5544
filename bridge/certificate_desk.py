"""What a person at this machine can ask about the bridge's certificates: `control.operations.CertificateOperations`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from bridge.certificates import Certificates
from bridge.control import documents
from bridge.errors import RefusedError
from bridge.pairing.records import NodeRecord, Security
from bridge.pairing.store import NodeStore
from certs.errors import IdentityError
from certs.pins import spki_hash
from certs.store import KeyFolder


class CertificateDesk:
    """See the module's text.

    Args:
        certificates: what is in force.
        keys: the keys folder.
        store: the paired nodes.
        host: the bridge's name on the LAN.
        end_all: ends every socket, so that its peer comes again.
    """

    def __init__(
        self,
        certificates: Certificates,
        keys: KeyFolder,
        store: NodeStore,
        *,
        host: str,
        end_all: Callable[[str], None],
    ) -> None:
        self._certificates = certificates
        self._place = keys.passphrase_place  # chosen once, with the first key
        self._store = store
        self._host = host
        self._end_all = end_all
        self._changes: set[asyncio.Task[object]] = set()

    async def show(self) -> documents.Certificates:
        """What is in force, and what native nodes hold."""
        current, authority = self._certificates.identity, self._certificates.authority.certificate
        paired = [record for record in self._store.nodes.values() if record.revoked_at is None]
        native = [record for record in paired if record.security is Security.MTLS]
        return documents.Certificates(
            pin=current.pin,
            spki=current.spki,
            host=self._host,
            not_before=current.certificate.not_valid_before_utc,
            not_after=current.certificate.not_valid_after_utc,
            authority=documents.AuthorityReport(
                spki=spki_hash(authority.public_key()), not_after=authority.not_valid_after_utc
            ),
            next_spki=self._certificates.next_spki,
            passphrase_place=self._place,
            nodes=[self._row(record) for record in native],
            apps=len(paired) - len(native),
        )

    def _row(self, record: NodeRecord) -> documents.NodeCertificateRow:
        note, following = record.certificate, self._certificates.next_spki
        return documents.NodeCertificateRow(
            node_id=record.node_id,
            display_name=record.labels.display_name,
            serial=note.serial if note is not None else None,
            not_after=note.not_after if note is not None else None,
            knows_next=following is not None and record.next_spki_told == following,
        )

    async def renew(self) -> documents.Certificates:
        """Makes a new certificate for the same key."""
        return await self._changed(self._certificates.renew())

    async def rotate(self, commit: bool) -> documents.Certificates:
        """Prepares the next key, or puts the prepared one into force."""
        return await self._changed(self._commit() if commit else self._certificates.prepare_next())

    async def _commit(self) -> None:
        await self._certificates.rotate()
        self._end_all("the bridge's key has changed")  # who knows it comes back, and to nobody else's harm

    async def reload(self) -> documents.Certificates:
        """Reads the files again."""
        return await self._changed(self._certificates.reload())

    async def _changed(self, change: Coroutine[None, None, object]) -> documents.Certificates:
        # A task of its own: a caller that goes away must not leave one identity on disk and another one in force.
        task = asyncio.get_running_loop().create_task(change, name="change-certificates")
        self._changes.add(task)
        task.add_done_callback(self._over)
        try:
            await asyncio.shield(task)
        except IdentityError as exc:
            raise RefusedError(f"The old certificate stays in force: {exc.what}: {exc.why}.", exc.mend) from exc
        return await self.show()

    def _over(self, task: asyncio.Task[object]) -> None:
        self._changes.discard(task)
        if not task.cancelled():
            task.exception()  # told to whoever still waits
