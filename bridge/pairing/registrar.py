"""Writes pairings down and ends them: the one place where records come into force and become tombstones."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

from acl.permissions import Permissions
from bridge.audit.errors import AuditError
from bridge.audit.recorder import Recorder
from bridge.log import Log
from bridge.pairing import tokens
from bridge.pairing.desk import Draft
from bridge.pairing.grant import paired_record, revoked_at, tombstone
from bridge.pairing.records import NodeRecord, Role, UpstreamIdentity
from bridge.pairing.store import NodeStore, StoreError
from bridge.pairing.tombstones import TombstoneStore, reconcile
from certs.store import KeyFolder
from gateway_client.identity import DeviceIdentity

UPSTREAM_KEY_BYTES = 8  # random bytes in the name of an upstream key


class Registrar:
    """See the module's text.

    Args:
        store: the paired nodes.
        tombstones: the revoked ones, beside the store.
        keys: the keys that stand for nodes at the gateway.
        trail: where a pairing is written before it comes into force.
    """

    def __init__(
        self, store: NodeStore, tombstones: TombstoneStore, keys: KeyFolder, log: Log, trail: Recorder
    ) -> None:
        self.store = store
        self.trail = trail
        self._tombstones = tombstones
        self._keys = keys
        self._log = log
        self._unburied = False
        self._making = asyncio.Lock()  # the keys folder refuses whoever comes while another key is being made
        self._forgotten = {node_id: at for node_id, at in tombstones.all().items() if store.get(node_id) is None}

    def revoked_at(self, node_id: str) -> datetime | None:
        """When a key was revoked that is not in force; also one that only the database remembers, not the store.

        The store may be a copy from before the key was ever paired.
        """
        known = self.store.get(node_id)
        return known.revoked_at if known is not None else self._forgotten.get(node_id)

    async def pair(
        self,
        draft: Draft,
        permissions: Permissions,
        name: str | None,
        *,
        request_id: str = "",
        by: str = "code",
        token_due: bool = False,
        minted: Iterable[tuple[Role, tokens.MintedToken]] = (),
    ) -> NodeRecord:
        """Writes down that a key is paired.

        Args:
            draft: what was asked for, frozen.
            permissions: what is granted.
            name: another display name; None: the device's own.
            request_id: under which a native node fetches its certificate.
            by: who lets it in: `cli`, `prompt` or `code`.
            token_due: whether the next connect of the key is given a node token.
            minted: tokens that the record shall know.

        Raises:
            StoreError: the disk refused, or the key was revoked meanwhile; nothing has changed. Also an `AuditError`:
                what leaves no trace does not come into force.
            IdentityError: no key could be made for the gateway's side; likewise.
        """
        seen = self.store.get(draft.node_id)
        upstream = await self._upstream_identity(seen, draft)
        now = datetime.now(UTC)

        def change(known: NodeRecord | None) -> NodeRecord:
            """From what is stored at that moment."""
            ended = revoked_at(known) if known is not None else self._forgotten.get(draft.node_id)
            if ended != draft.revoked_at:  # nobody lets a key in by a question that did not say so
                raise StoreError("the node was revoked a moment ago")
            record = paired_record(draft, permissions, name, known, upstream, now, request_id)
            for role, token in minted:
                record = tokens.issue(record, role, token)
            return record.model_copy(update={"token_due": token_due or record.token_due})

        await self._record(draft, permissions, name, request_id=request_id, by=by)
        try:
            record = await self.store.update(draft.node_id, change)
        except StoreError as exc:
            with suppress(AuditError):  # the trail then says more than happened, never less
                await self.trail.record("approval-undone", node=draft.node_id, request=request_id, why=str(exc))
            raise
        if (seen is not None and seen.revoked_at is not None) or self._forgotten.pop(draft.node_id, None) is not None:
            await self._lift_tombstone(draft.node_id)
        return record

    async def _record(
        self, draft: Draft, permissions: Permissions, name: str | None, *, request_id: str, by: str
    ) -> None:
        await self.trail.record(
            "approved",
            node=draft.node_id,
            name=name or draft.labels.display_name,
            request=request_id or None,
            by=by,
            permissions=sorted(permissions),
            commands=draft.declared.commands,
            why=draft.why.value,
        )

    async def _lift_tombstone(self, node_id: str) -> None:
        try:
            await asyncio.to_thread(self._tombstones.lift, node_id)
            now = revoked_at(self.store.get(node_id))
            if now is not None:  # revoked again at that very moment
                await asyncio.to_thread(self._tombstones.bury, node_id, now)
        except StoreError as exc:  # the record is newer than the tombstone, so it stays in force
            self._log.error("store-failed", error=str(exc))

    async def _upstream_identity(self, known: NodeRecord | None, draft: Draft) -> UpstreamIdentity:
        # The gateway pins platform and family of an identity for good (gateway-protocol §11.3).
        if known is not None and known.revoked_at is None and known.labels.same_kind(draft.labels):
            return known.upstream
        name = secrets.token_hex(UPSTREAM_KEY_BYTES)
        async with self._making:
            key = await asyncio.to_thread(self._keys.create_ed25519, name)
        return UpstreamIdentity(key_name=name, gateway_node_id=DeviceIdentity(key).device_id)

    async def revoke(self, node_id: str) -> NodeRecord:
        """Makes a tombstone of a paired node; its tokens and its certificate end with it.

        Raises:
            StoreError: there is no such node; or the disk refused: the node is out all the same, but a restart before
                `catch_up` has succeeded would bring it back.
        """
        now = datetime.now(UTC)

        def change(known: NodeRecord | None) -> NodeRecord:
            """From what is stored at that moment; in force whatever the disk says, so it leaves its trace here."""
            if known is None:
                raise StoreError("there is no such node")
            self._log.info("revoked", node=node_id)
            return tombstone(known, now)

        if self.store.get(node_id) is None:
            raise StoreError("there is no such node")
        try:
            await asyncio.to_thread(self._tombstones.bury, node_id, now)
        except StoreError as exc:  # one of the two places is enough, and both are tried again
            self._unburied = True
            self._log.error("store-failed", error=str(exc))
        return await self.store.update(node_id, change, takes_away=True)

    async def catch_up(self) -> None:
        """Writes what the disk refused before; does nothing when there is nothing.

        Raises:
            StoreError: it still refuses.
        """
        await self.store.save_again()
        if not self._unburied:
            return
        self._unburied = False  # first: a revocation that the database refuses meanwhile sets it again
        try:
            await reconcile(self.store, self._tombstones)
        except StoreError:
            self._unburied = True
            raise
