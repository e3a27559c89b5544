"""Where devices ask and a person decides: files requests, approves and denies them, opens the window.

Whatever it promises is on disk first. The rules are those of `desk`; this shell brings time, randomness and the store
to them, and tells whoever listens (prompts, the node that waits for its certificate) what became of a request.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from acl.permissions import Permissions
from bridge import clock
from bridge.errors import AlreadyDecided, UsageError, WrongCode
from bridge.lan.events import Decided, Filed, FilingFailed, NotFiled, Outcome, SessionEvent
from bridge.log import Log
from bridge.pairing import desk
from bridge.pairing.desk import INVITED_S, Desk, Draft, PairingRequest, Why
from bridge.pairing.grant import proposed
from bridge.pairing.records import NodeRecord
from bridge.pairing.registrar import Registrar
from bridge.pairing.store import StoreError

WINDOW = timedelta(seconds=INVITED_S)  # for which a person opens pairing when it is not always open (design §6)
_NOT_IN_FORCE = frozenset({Why.NEW, Why.RETURN})
_SEE_PENDING = "See what waits: clawdis-bridge pending"


class Waiting(Protocol):
    """A socket that waits for an answer of the reception."""

    @property
    def address(self) -> str:
        """The peer's IP address."""

    def post(self, event: SessionEvent) -> None:
        """Gives the socket's session an event."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A person has to decide something new."""

    request: PairingRequest


@dataclass(frozen=True, slots=True)
class Settled:
    """A request is on the desk no more."""

    request: PairingRequest
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class WindowOpened:
    """A person invites devices."""


@dataclass(frozen=True, slots=True)
class PairedByCode:
    """A one-time code let a device in: nobody was asked."""

    record: NodeRecord


DeskChange = Asked | Settled | WindowOpened | PairedByCode


class Reception:
    """See the module's text.

    Args:
        registrar: writes pairings down.
        always_open: whether devices may ask at any time; else only for a while after a person opened the window.
    """

    def __init__(self, registrar: Registrar, log: Log, *, always_open: bool = True) -> None:
        self.store = registrar.store
        self.trail = registrar.trail
        self.desk = Desk(new_request_id)
        self.window_opened: datetime | None = None
        self._registrar = registrar
        self._log = log
        self._always_open = always_open
        self._held: dict[str, Waiting] = {}
        self._deciding: dict[str, asyncio.Task[NodeRecord]] = {}
        self._listeners: list[Callable[[DeskChange], None]] = []
        self.store.on_change(self._on_record)

    def on_change(self, listener: Callable[[DeskChange], None]) -> None:
        """Calls `listener` with whatever happens on the desk, after it has happened."""
        self._listeners.append(listener)

    def _tell(self, change: DeskChange) -> None:
        for listener in self._listeners:
            listener(change)

    # Asking.

    @property
    def is_open(self) -> bool:
        """Whether strangers may ask."""
        return self._always_open or self.is_invited

    @property
    def is_invited(self) -> bool:
        """Whether a person has opened the window a short while ago."""
        return self.desk.is_invited(clock.now().mono)

    def open_window(self) -> datetime:
        """A person invites devices: silenced and revoked keys may ask again. Returns until when strangers may."""
        now = clock.now()
        self.desk.invite(now.mono)
        self.window_opened = now.wall
        self._log.info("pairing-opened")
        self._tell(WindowOpened())
        return now.wall + WINDOW

    def file(self, peer: Waiting, draft: Draft) -> bool:
        """Files a request for a socket, which is then held until it is decided; tells whether the request is new."""
        if not self.is_open and draft.why in _NOT_IN_FORCE:
            peer.post(FilingFailed(NotFiled.CLOSED))
            return False
        filed = self.file_draft(draft, peer.address)
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

    def file_draft(
        self, draft: Draft, address: str, request_id: str | None = None
    ) -> desk.Filed | desk.Busy | desk.Silenced:
        """Files a request for which no socket waits: of a paired node that offers more, or of a native node.

        Args:
            draft: what is asked.
            address: the peer's IP address.
            request_id: the id it has already; None: it gets one.
        """
        now = clock.now()
        gone = self._registrar.revoked_at(draft.node_id)
        if draft.why is Why.WIDER and gone is not None:
            return desk.Silenced(0.0)  # revoked a moment ago: it offers nothing any more
        if draft.why is Why.NEW and gone is not None:
            draft = replace(draft, why=Why.RETURN, revoked_at=gone)  # the person has to know
        filed = self.desk.file(draft, address, now.mono, now.wall, request_id)
        if isinstance(filed, desk.Filed):
            for ended in filed.ended:
                self._settle(ended, Outcome.ELSEWHERE)
            if filed.fresh:
                self._log.info(
                    "pairing-requested",
                    request=filed.request.id,
                    node=draft.node_id,
                    why=draft.why.value,
                    address=address,
                    name=draft.labels.display_name,
                )
            if filed.fresh or self.is_invited:  # a retry while the window is open is somebody that a person waits for
                self._tell(Asked(filed.request))
        return filed

    def forget(self, peer: Waiting) -> None:
        """The socket has ended: its request stays, for the next try."""
        for request_id in [name for name, held in self._held.items() if held is peer]:
            del self._held[request_id]

    def drop_wider(self, node_id: str) -> None:
        """A paired node offers no more than it did: its request for more is off the desk."""
        dropped = self.desk.drop_wider(node_id)
        if dropped is not None:
            self._settle(dropped, Outcome.ELSEWHERE)

    def came_in_by_code(self, record: NodeRecord) -> None:
        """A key is paired by a code: what it asked a person for is off the desk, and a person is told."""
        dropped = self.desk.drop_key(record.node_id)
        if dropped is not None:
            self._settle(dropped, Outcome.ELSEWHERE)
        self._log.info("paired-by-code", node=record.node_id, name=record.labels.display_name)
        self._tell(PairedByCode(record))

    def note_code_revoked(self, code_id: str) -> None:
        """A person has taken a one-time code back."""
        self._log.info("code-revoked", code_id=code_id)

    def expire(self) -> None:
        """Drops the requests whose clients have gone."""
        for request in self.desk.expire(clock.now().mono):
            self._log.info("pairing-expired", request=request.id)
            self._settle(request, Outcome.EXPIRED)

    def _on_record(self, record: NodeRecord) -> None:
        """A tombstone has landed: what its key asked meanwhile does not mention it, and must not be answered."""
        pending = [one for one in self.desk.pending() if one.draft.node_id == record.node_id]
        if record.revoked_at is not None and any(one.draft.revoked_at != record.revoked_at for one in pending):
            dropped = self.desk.drop_key(record.node_id)
            if dropped is not None:
                self._settle(dropped, Outcome.DENIED)

    def _settle(self, request: PairingRequest, outcome: Outcome) -> None:
        held = self._held.pop(request.id, None)
        if held is not None:
            held.post(Decided(outcome))
        self._tell(Settled(request, outcome))

    # Deciding.

    async def approve(
        self,
        request: PairingRequest,
        permissions: Permissions | None,
        name: str | None,
        code: str | None = None,
        *,
        by: str = "cli",
    ) -> NodeRecord:
        """Pairs the key of a request: on disk first, then the socket that waits.

        Once begun it is carried through, whether or not its caller still waits.

        Args:
            request: what was shown.
            permissions: what is granted; None: what it asks for.
            name: another display name; None: the device's own.
            code: the six digits that a native node shows; None for a device that shows none.
            by: who approves: `cli` or `prompt`.

        Raises:
            AlreadyDecided: someone else decided it first, or it has expired.
            UsageError: a code is needed and missing, or there is none to compare with.
            WrongCode: it is not the code that the device shows.
            StoreError: the disk refused; the request is still pending.
            IdentityError: no key could be made for the gateway's side; likewise.
        """
        draft = request.draft
        granted = proposed(draft, self.store.get(draft.node_id)) if permissions is None else permissions
        self._require_pending(request)
        self._require_code(request, code)
        # A task of its own: a caller that goes away must not leave a key paired and its request on the desk.
        pairing = asyncio.get_running_loop().create_task(self._pair(request, granted, name, by), name="approve")
        self._deciding[request.id] = pairing
        return await asyncio.shield(pairing)

    async def _pair(self, request: PairingRequest, granted: Permissions, name: str | None, by: str) -> NodeRecord:
        draft = request.draft
        try:
            record = await self._registrar.pair(
                draft,
                granted,
                name,
                request_id=request.id,
                by=by,
                token_due=draft.native is None and draft.why is not Why.WIDER,
            )
        finally:
            del self._deciding[request.id]
        self.desk.take(request.id)
        self._log.info("paired", node=record.node_id, request=request.id, permissions=sorted(granted))
        self._settle(request, Outcome.APPROVED)
        return record

    def _require_pending(self, request: PairingRequest) -> None:
        if self.desk.get(request.id) is None or request.id in self._deciding:
            raise AlreadyDecided("This request has been decided or has expired.", _SEE_PENDING)

    def _require_code(self, request: PairingRequest, code: str | None) -> None:
        verdict = self.desk.try_code(request.id, code)
        if verdict.right:
            return
        if verdict.asked:
            self._log.warning("pairing-code-wrong", request=request.id, tries_left=verdict.tries_left)
            if not verdict.tries_left:
                self._settle(request, Outcome.DENIED)
            fix = (
                f"Look again; tries left: {verdict.tries_left}" if verdict.tries_left else "Have the device ask again."
            )
            raise WrongCode("That is not the code that the device shows.", fix, tries_left=verdict.tries_left)
        if request.draft.native is None:
            raise UsageError("This device shows no code.", "Leave the code out, and compare the pin.")
        raise UsageError(
            "This device shows six digits, which are needed to approve it.",
            f"Run: clawdis-bridge approve {request.id} --code 123456",
        )

    def deny(self, request: PairingRequest) -> None:
        """Turns a request down and silences its key.

        Raises:
            AlreadyDecided: it is being approved, or it is not pending any more.
        """
        self._require_pending(request)
        self.desk.deny(request.id, clock.now().mono)
        self._log.info("pairing-denied", request=request.id, node=request.draft.node_id)
        self._settle(request, Outcome.DENIED)

    async def revoke(self, node_id: str) -> NodeRecord:
        """Ends the pairing of a node, and whatever it is asking for.

        Raises:
            StoreError: see `Registrar.revoke`.
        """
        ended = self.desk.drop_key(node_id)
        if ended is not None:
            self._settle(ended, Outcome.DENIED)
        return await self._registrar.revoke(node_id)

    async def catch_up(self) -> None:
        """Writes what the disk refused before."""
        try:
            await self._registrar.catch_up()
        except StoreError as exc:
            self._log.error("store-failed", error=str(exc))


def new_request_id() -> str:
    """Returns an id for a pairing request, of the form that clients show (gateway-protocol §3.1)."""
    return secrets.token_hex(4)
