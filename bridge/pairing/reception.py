"""Where requests, codes and tokens meet the store: files requests, redeems codes, admits, approves, revokes.

Whatever it promises is on disk first. The rules are those of `desk`, `tokens` and `setup_code`; this shell brings time,
randomness and files to them.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Iterable
from datetime import UTC, datetime
from typing import Protocol

from acl.permissions import Permissions
from bridge import clock
from bridge.errors import AlreadyDecided
from bridge.lan.events import (
    AdmissionFailed,
    Admit,
    Admitted,
    CodeRefused,
    Decided,
    Filed,
    FilingFailed,
    NotFiled,
    Outcome,
    Redeem,
    SessionEvent,
)
from bridge.log import Log
from bridge.pairing import desk, tokens
from bridge.pairing.codes import CodeStore
from bridge.pairing.desk import Desk, Draft, PairingRequest, Why
from bridge.pairing.grant import paired_record, revoked_at
from bridge.pairing.records import NodeRecord, Role, UpstreamIdentity
from bridge.pairing.store import NodeStore, StoreError
from certs.errors import IdentityError
from certs.store import KeyFolder
from gateway_client.identity import DeviceIdentity

_SEE_PENDING = "See what waits: clawdis-bridge pending"
UPSTREAM_KEY_BYTES = 8  # random bytes in the name of an upstream key


class Waiting(Protocol):
    """A socket that waits for an answer of the reception."""

    @property
    def address(self) -> str:
        """The peer's IP address."""

    def post(self, event: SessionEvent) -> None:
        """Gives the socket's session an event."""


class Reception:
    """See the module's text.

    Args:
        store: the paired nodes.
        codes: the setup codes.
        keys: the upstream keys.
    """

    def __init__(self, store: NodeStore, codes: CodeStore, keys: KeyFolder, log: Log) -> None:
        self.store = store
        self.codes = codes
        self.desk = Desk(new_request_id)
        self.window_opened: datetime | None = None
        self._keys = keys
        self._log = log
        self._held: dict[str, Waiting] = {}
        self._deciding: set[str] = set()
        self._redeeming = asyncio.Lock()

    # Requests.

    def file(self, peer: Waiting, draft: Draft) -> bool:
        """Files a request for a socket, which is then held until it is decided; tells whether the request is new."""
        filed = self._file(draft, peer.address)
        match filed:
            case desk.Filed(request=request):
                former = self._held.get(request.id)
                self._held[request.id] = peer
                if former is not None and former is not peer:
                    former.post(Decided(Outcome.ELSEWHERE))
                peer.post(Filed(request.id))
            case desk.Busy(retry_after_ms=after):
                peer.post(FilingFailed(NotFiled.BUSY, after))
            case desk.Silenced():
                peer.post(FilingFailed(NotFiled.SILENCED))
        return isinstance(filed, desk.Filed) and filed.fresh

    def file_wider(self, draft: Draft, address: str) -> None:
        """Files the request of a paired node that offers more than was approved; nobody waits for it."""
        self._file(draft, address)

    def _file(self, draft: Draft, address: str) -> desk.Filed | desk.Busy | desk.Silenced:
        now = clock.now()
        filed = self.desk.file(draft, address, now.mono, now.wall)
        if isinstance(filed, desk.Filed):
            for ended in filed.ended:
                self._release(ended.id, Outcome.ELSEWHERE)
            if filed.fresh:
                self._log.info(
                    "pairing-requested",
                    request=filed.request.id,
                    why=draft.why.value,
                    address=address,
                    name=draft.labels.display_name,
                )
        return filed

    def forget(self, peer: Waiting) -> None:
        """The socket has ended: its request stays, for the next try."""
        for request_id in [name for name, held in self._held.items() if held is peer]:
            del self._held[request_id]

    def _release(self, request_id: str, outcome: Outcome) -> None:
        held = self._held.pop(request_id, None)
        if held is not None:
            held.post(Decided(outcome))

    async def approve(self, request: PairingRequest, permissions: Permissions | None, name: str | None) -> NodeRecord:
        """Pairs the key of a request: on disk first, then the socket that waits.

        Raises:
            AlreadyDecided: someone else decided it first, or it has expired.
            StoreError: the disk refused; the request is still pending.
            IdentityError: no key could be made for the gateway's side; likewise.
        """
        draft = request.draft
        granted = self._granted(draft) if permissions is None else permissions
        if self.desk.get(request.id) is None or request.id in self._deciding:
            raise AlreadyDecided("This request has been decided or has expired.", _SEE_PENDING)
        self._deciding.add(request.id)
        try:
            record = await self._pair(draft, granted, name, token_due=draft.why is not Why.WIDER)
        finally:
            self._deciding.discard(request.id)
        self.desk.take(request.id)
        self._log.info("paired", node=record.node_id[:8], request=request.id, permissions=sorted(granted))
        self._release(request.id, Outcome.APPROVED)
        return record

    def _granted(self, draft: Draft) -> Permissions:
        # What a person narrowed while the request of a paired node waited stays narrowed.
        known = self.store.get(draft.node_id)
        return known.granted if draft.why is Why.WIDER and known is not None else draft.permissions

    def deny(self, request: PairingRequest) -> None:
        """Turns a request down and silences its key.

        Raises:
            AlreadyDecided: it is being approved, or it is not pending any more.
        """
        if self.desk.get(request.id) is None or request.id in self._deciding:
            raise AlreadyDecided("This request has been decided or has expired.", _SEE_PENDING)
        self.desk.deny(request.id, clock.now().mono)
        self._log.info("pairing-denied", request=request.id)
        self._release(request.id, Outcome.DENIED)

    def expire(self) -> None:
        """Drops the requests whose clients have gone."""
        for request in self.desk.expire(clock.now().mono):
            self._log.info("pairing-expired", request=request.id)
            self._release(request.id, Outcome.ELSEWHERE)

    def open_window(self) -> None:
        """A person invites devices: silenced and revoked keys may ask again."""
        self.desk.forgive()
        self.window_opened = datetime.now(UTC)

    async def _pair(
        self,
        draft: Draft,
        permissions: Permissions,
        name: str | None,
        *,
        token_due: bool,
        minted: Iterable[tuple[Role, tokens.MintedToken]] = (),
    ) -> NodeRecord:
        seen = self.store.get(draft.node_id)
        upstream = await self._upstream_identity(seen, draft)
        now = datetime.now(UTC)

        def change(known: NodeRecord | None) -> NodeRecord:
            if revoked_at(known) != revoked_at(seen):
                raise StoreError("the node was revoked a moment ago")
            record = paired_record(draft, permissions, name, known, upstream, now)
            for role, token in minted:
                record = tokens.issue(record, role, token)
            return record.model_copy(update={"token_due": token_due or record.token_due})

        return await self.store.update(draft.node_id, change)

    async def _upstream_identity(self, known: NodeRecord | None, draft: Draft) -> UpstreamIdentity:
        # The gateway pins platform and family of an identity for good (gateway-protocol §11.3).
        if known is not None and known.revoked_at is None and known.labels.same_kind(draft.labels):
            return known.upstream
        name = secrets.token_hex(UPSTREAM_KEY_BYTES)
        key = await asyncio.to_thread(self._keys.create_ed25519, name)
        return UpstreamIdentity(key_name=name, gateway_node_id=DeviceIdentity(key).device_id)

    # Getting in.

    async def admit(self, peer: Waiting, command: Admit) -> None:
        """Writes down the use of a token and the new tokens, then lets the socket in."""
        minted = {role: _mint() for role in command.mint}

        def change(known: NodeRecord | None) -> NodeRecord:
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

        # What has gone meanwhile is judged anew when the client comes again.
        await self._let_in(peer, self.store.update(command.node_id, change), minted, gone=AdmissionFailed())

    async def redeem(self, peer: Waiting, command: Redeem) -> None:
        """Consumes a setup code for a key, then pairs it and lets the socket in; one code at a time."""
        async with self._redeeming:
            await self._redeem(peer, command)

    async def _redeem(self, peer: Waiting, command: Redeem) -> None:
        draft = command.draft
        try:
            if self._is_paired(draft.node_id) and await asyncio.to_thread(
                self.codes.is_spent_by, command.token, draft.node_id
            ):
                await self.admit(peer, Admit(draft.node_id, Role.NODE, None, frozenset(Role)))
                return
            permissions = await asyncio.to_thread(self._consume, command.token, draft.node_id)
        except StoreError as exc:
            self._failed(peer, exc)
            return
        if permissions is None:
            self._log.info("setup-code-refused", address=peer.address)
            peer.post(CodeRefused())
        elif self.store.get(draft.node_id) is not None and not self._is_paired(draft.node_id):
            self.file(peer, draft)  # a revoked key: the code only lets it ask
        else:
            await self._pair_by_code(peer, draft, permissions)

    def _consume(self, token: str, node_id: str) -> Permissions | None:
        now = datetime.now(UTC)
        permissions = self.codes.bind(token, node_id, now)
        if permissions is None and self.store.get(node_id) is None:
            return self.codes.unfinished(token, node_id, now)
        return permissions

    def _is_paired(self, node_id: str) -> bool:
        known = self.store.get(node_id)
        return known is not None and known.revoked_at is None

    async def _pair_by_code(self, peer: Waiting, draft: Draft, permissions: Permissions) -> None:
        minted = {role: _mint() for role in Role}
        write = self._pair(draft, permissions, None, token_due=False, minted=minted.items())
        if not await self._let_in(peer, write, minted, gone=CodeRefused()):
            return
        self._log.info("paired-by-code", node=draft.node_id[:8], name=draft.labels.display_name)
        ended = self.desk.drop_key(draft.node_id)
        if ended is not None:
            self._release(ended.id, Outcome.ELSEWHERE)

    async def _let_in(
        self,
        peer: Waiting,
        write: Awaitable[NodeRecord],
        minted: dict[Role, tokens.MintedToken],
        *,
        gone: CodeRefused | AdmissionFailed,
    ) -> bool:
        try:
            record = await write
        except (StoreError, IdentityError) as exc:
            self._failed(peer, exc)
            return False
        except _GoneError:
            peer.post(gone)
            return False
        issued = int(datetime.now(UTC).timestamp() * 1000)
        peer.post(Admitted(record, {role: token.text for role, token in minted.items()}, issued))
        return True

    def _failed(self, peer: Waiting, exc: Exception) -> None:
        self._log.error("store-failed", error=str(exc))
        peer.post(AdmissionFailed())

    async def note_told(self, node_id: str, role: Role) -> None:
        """Remembers that a revoked key was told so in this role."""

        def change(known: NodeRecord | None) -> NodeRecord:
            if known is None:
                raise _GoneError
            return known.model_copy(update={"revocation_told": tuple({*known.revocation_told, role})})

        try:
            await self.store.update(node_id, change)
        except (StoreError, _GoneError) as exc:
            self._log.error("store-failed", error=str(exc))

    async def revoke(self, node_id: str) -> NodeRecord:
        """Makes a tombstone of a paired node; its tokens end with it.

        Raises:
            StoreError: the disk refused.
        """

        def change(known: NodeRecord | None) -> NodeRecord:
            if known is None:
                raise StoreError("there is no such node")
            ended = {
                "revoked_at": datetime.now(UTC),
                "stale_upstream": (*known.stale_upstream, known.upstream),
                "node_tokens": (),
                "operator_tokens": (),
                "token_due": False,
                "revocation_told": (),
                "wants": (),
            }
            return known if known.revoked_at is not None else known.model_copy(update=ended)

        record = await self.store.update(node_id, change)
        ended = self.desk.drop_key(node_id)
        if ended is not None:
            self._release(ended.id, Outcome.DENIED)
        self._log.info("revoked", node=node_id[:8])
        return record


class _GoneError(Exception):
    """The record or token that a change was about is not there, or not in force, any more."""


def _mint() -> tokens.MintedToken:
    return tokens.mint(secrets.token_bytes(tokens.TOKEN_BYTES), datetime.now(UTC))


def new_request_id() -> str:
    """Returns an id for a pairing request, of the form that clients show (gateway-protocol §3.1)."""
    return secrets.token_hex(4)
