"""Lets proven keys in: redeems setup codes, issues device tokens, and has the store agree before anyone is told.

The rules are those of `tokens` and `setup_code`; this shell brings time, randomness and files to them.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime

from acl.permissions import Permissions
from bridge.lan.events import AdmissionFailed, Admit, Admitted, CodeRefused, Redeem
from bridge.log import Log
from bridge.pairing import tokens
from bridge.pairing.codes import CodeStore
from bridge.pairing.desk import Draft
from bridge.pairing.reception import Reception, Waiting
from bridge.pairing.records import NodeRecord, Role
from bridge.pairing.registrar import Registrar
from bridge.pairing.setup_code import code_hash
from bridge.pairing.store import StoreError
from certs.errors import IdentityError


class Admissions:
    """See the module's text.

    Args:
        registrar: writes pairings down.
        reception: where a revoked key that brings a code has to ask.
        codes: the setup codes.
    """

    def __init__(self, registrar: Registrar, reception: Reception, codes: CodeStore, log: Log) -> None:
        self.codes = codes
        self._registrar = registrar
        self._reception = reception
        self._store = registrar.store
        self._log = log
        self._redeeming = asyncio.Lock()

    async def admit(self, peer: Waiting, command: Admit) -> None:
        """Writes down the use of a token and the new tokens, then lets the socket in."""
        minted = {role: _mint() for role in command.mint}

        def change(known: NodeRecord | None) -> NodeRecord:
            """Uses the token up and adds the new ones, if key and token are still in force at that moment."""
            if known is None or known.revoked_at is not None:
                raise _GoneError
            record = known
            if command.token is not None:
                try:
                    record = tokens.first_use(record, command.role, command.token)
                except tokens.TokenEndedError:
                    raise _GoneError from None
            for role, token in minted.items():
                record = tokens.issue(record, role, token)
            return record

        async def write() -> NodeRecord:
            """New tokens leave a trace before they are good for anything."""
            if minted:
                await self._registrar.trail.record("token-issued", node=command.node_id, roles=sorted(minted))
            return await self._store.update(command.node_id, change)

        # What has gone meanwhile is judged anew when the client comes again.
        await self._let_in(peer, write(), minted, gone=AdmissionFailed())

    async def redeem(self, peer: Waiting, command: Redeem) -> None:
        """Consumes a setup code for a key, then pairs it and lets the socket in; one code at a time."""
        async with self._redeeming:
            await self._redeem(peer, command)

    async def _redeem(self, peer: Waiting, command: Redeem) -> None:
        draft = command.draft
        try:
            digest = code_hash(command.token)
            if self._is_paired(draft.node_id) and await asyncio.to_thread(
                self.codes.is_spent_by, digest, draft.node_id
            ):
                await self.admit(peer, Admit(draft.node_id, Role.NODE, None, frozenset(Role)))
                return
            permissions = await asyncio.to_thread(self._consume, digest, draft.node_id)
        except StoreError as exc:
            self._failed(peer, exc)
            return
        if permissions is None:
            self._log.info("setup-code-refused", address=peer.address)
            peer.post(CodeRefused())
        elif self._registrar.revoked_at(draft.node_id) is not None:
            # A revoked key: the code only lets it ask, for what the code grants.
            self._reception.file(peer, replace(draft, permissions=permissions))
        else:
            await self._pair_by_code(peer, draft, permissions)

    def _consume(self, digest: str, node_id: str) -> Permissions | None:
        """What a code grants to a key; None: it is good for nothing."""
        now, made_after = datetime.now(UTC), self._registrar.revoked_at(node_id)
        permissions = self.codes.bind(digest, node_id, now, made_after)
        if permissions is None and not self._is_paired(node_id):
            return self.codes.unfinished(digest, node_id, now, made_after)
        return permissions

    def _is_paired(self, node_id: str) -> bool:
        known = self._store.get(node_id)
        return known is not None and known.revoked_at is None

    async def _pair_by_code(self, peer: Waiting, draft: Draft, permissions: Permissions) -> None:
        minted = {role: _mint() for role in Role}
        write = self._registrar.pair(draft, permissions, None, minted=minted.items())
        record = await self._let_in(peer, write, minted, gone=CodeRefused())
        if record is not None:
            self._reception.came_in_by_code(record)

    async def _let_in(
        self,
        peer: Waiting,
        write: Awaitable[NodeRecord],
        minted: dict[Role, tokens.MintedToken],
        *,
        gone: CodeRefused | AdmissionFailed,
    ) -> NodeRecord | None:
        try:
            record = await write
        except (StoreError, IdentityError) as exc:
            self._failed(peer, exc)
            return None
        except _GoneError:
            peer.post(gone)
            return None
        issued = int(datetime.now(UTC).timestamp() * 1000)
        peer.post(Admitted(record, {role: token.text for role, token in minted.items()}, issued))
        return record

    def _failed(self, peer: Waiting, exc: Exception) -> None:
        self._log.error("store-failed", error=str(exc))
        peer.post(AdmissionFailed())

    async def note_told(self, node_id: str, role: Role) -> None:
        """Remembers that a revoked key was told so in this role."""

        def change(known: NodeRecord | None) -> NodeRecord:
            """Adds the role to those that were told."""
            if known is None:
                raise _GoneError
            return known.model_copy(update={"revocation_told": tuple({*known.revocation_told, role})})

        try:
            await self._store.update(node_id, change)
        except (StoreError, _GoneError) as exc:
            self._log.error("store-failed", error=str(exc))


class _GoneError(Exception):
    """The record or token that a change was about is not there, or not in force, any more."""


def _mint() -> tokens.MintedToken:
    return tokens.mint(secrets.token_bytes(tokens.TOKEN_BYTES), datetime.now(UTC))
