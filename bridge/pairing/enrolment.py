"""Native enrolment: begins ceremonies, opens them, and hands out certificates to whom a person let in (design §6).

The order is fixed: what a person approved is in the store, on disk, before a certificate exists; a link's token is
consumed before anything is written for it; a ceremony is counted before its 201, or, when it began by a good link,
before a person is asked after all.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from acl.permissions import Permissions, read_permissions
from bridge import clock
from bridge.certificates import Certificates
from bridge.lan.events import Outcome
from bridge.log import Log
from bridge.pairing import desk
from bridge.pairing import enrolment_answers as answers
from bridge.pairing.ceremony import Ceremonies, Ceremony, Fault
from bridge.pairing.ceremony_ledger import CeremonyLedger
from bridge.pairing.codes import CodeStore
from bridge.pairing.desk import DENIED_S, Draft, NativeProof, Why
from bridge.pairing.enrolment_answers import BridgeFacts, EnrolmentRefused
from bridge.pairing.enrolment_bodies import EnrolBody, RevealBody
from bridge.pairing.link_begins import LinkBegins
from bridge.pairing.reception import DeskChange, Reception, Settled, WindowOpened
from bridge.pairing.registrar import Registrar
from bridge.pairing.setup_code import CodeState, may_bind, may_finish
from bridge.pairing.store import StoreError
from bridge.pairing.transcript import NONCE_BYTES, token_proof
from bridge.tasks import Tasks
from certs.csr import Csr, CsrRefused, read_csr
from certs.errors import IdentityError
from certs.keys import spki_der
from gateway_client.frames import JsonObject
from gateway_client.identity import encode_base64url

ID_BYTES = 16  # random bytes of a ceremony's id: whoever guesses one still needs the key


class Enrolment:
    """See the module's text.

    Args:
        reception: where requests wait for a person.
        registrar: writes pairings down.
        codes: the tokens of native links.
        ledger: counts ceremonies.
        certificates: the bridge's key, which every ceremony is bound to.
        default: tells what a node asks for that says nothing.
        name: what a person calls the bridge.
    """

    def __init__(
        self,
        reception: Reception,
        registrar: Registrar,
        codes: CodeStore,
        ledger: CeremonyLedger,
        *,
        certificates: Certificates,
        default: Callable[[], Permissions],
        name: str,
        tasks: Tasks,
        log: Log,
    ) -> None:
        self._reception = reception
        self._registrar = registrar
        self._codes = codes
        self._ledger = ledger
        self._certificates = certificates
        self._default = default
        self._name = name
        self._tasks = tasks
        self._log = log
        self._ceremonies = Ceremonies()
        self._link_begins = LinkBegins()
        self._counting = asyncio.Lock()
        self._heeded = reception.window_opened  # the opening since which the ledger counts
        reception.on_change(self._on_desk)

    # Begin.

    async def begin(self, body: EnrolBody, address: str) -> JsonObject:
        """Begins a ceremony; returns the 201.

        Raises:
            EnrolmentRefused: it may not begin.
        """
        csr = self._read(body.csr)
        draft = self._draft(body, csr)
        link = await self._link(body.token_id, csr.node_id)
        if link is not None:
            draft = replace(draft, permissions=link.permissions)
        if link is None or draft.revoked_at is not None:  # a link is an invitation for as long as it is good
            self._require_open()
        self._require_not_denied(draft)
        counted = link is None or draft.revoked_at is not None or not self._link_begins.spend(link.id)
        if counted:
            self._require_room(csr.node_id, address)
        now = clock.now()
        ceremony = Ceremony(
            secrets.token_hex(ID_BYTES),
            csr,
            body.commit,
            secrets.token_bytes(NONCE_BYTES),
            draft,
            address,
            spki_der(self._certificates.identity.key.public_key()),
            now.mono,
            body.token_id,
            counted,
        )
        if counted:
            await self._count(ceremony.id)
        self._ceremonies.begin(ceremony)
        self._log.info("enrolment-begun", request=ceremony.id, address=address, name=draft.labels.display_name)
        return answers.begun(ceremony, BridgeFacts(self._certificates.identity.spki, self._name))

    def _read(self, der: bytes) -> Csr:
        try:
            csr = read_csr(der)
        except CsrRefused as exc:
            raise answers.bad_csr(str(exc)) from None
        if csr.spki in self._certificates.own_keys:
            raise answers.bad_csr("it is for a key of the bridge")
        return csr

    def _draft(self, body: EnrolBody, csr: Csr) -> Draft:
        wanted = read_permissions(body.permissions) if body.permissions is not None else self._default()
        public_key = encode_base64url(spki_der(csr.key))
        return self._as_stored(Draft(csr.node_id, public_key, body.device.labels(), body.surface(), wanted))

    def _as_stored(self, draft: Draft) -> Draft:
        """The draft with what is known of its key at this moment: a person has to read that, not what was before."""
        known = self._registrar.store.get(draft.node_id)
        ended = self._registrar.revoked_at(draft.node_id)
        why = Why.RETURN if ended is not None else Why.NEW if known is None else Why.REPAIR
        if why is Why.REPAIR and known is not None and not known.labels.same_kind(draft.labels):
            why = Why.CHANGED
        return replace(draft, why=why, revoked_at=ended)

    def _require_open(self) -> None:
        if not self._reception.is_open:
            raise answers.closed()

    def _require_room(self, node_id: str, address: str) -> None:
        if not self._reception.desk.has_room(node_id, address, clock.now().mono):
            raise answers.busy(desk.BUSY_RETRY_MS)

    def _require_not_denied(self, draft: Draft) -> None:
        now = clock.now()
        left = self._reception.desk.silence_left(draft.node_id, now.mono)
        opened = self._reception.window_opened
        if draft.revoked_at is not None and not (opened is not None and opened > draft.revoked_at):
            since = (now.wall - draft.revoked_at).total_seconds()
            left = max(left, DENIED_S - since)
        if left > 0:
            raise answers.denied(left)

    async def _link(self, token_id: str | None, node_id: str) -> CodeState | None:
        """What a link grants, if it is good for this key; whether the key holds its token is seen at the reveal."""
        if token_id is None:
            return None
        try:
            found = await asyncio.to_thread(self._codes.native, token_id)
        except StoreError as exc:
            raise self._failed(exc) from exc
        if found is None:
            return None
        never_paired = self._registrar.store.get(node_id) is None
        unfinished = never_paired and may_finish(found, node_id, datetime.now(UTC))
        return found if unfinished or may_bind(found, datetime.now(UTC)) else None

    async def _count(self, ceremony_id: str) -> None:
        try:
            async with self._counting:
                counted = await self._counted(ceremony_id)
        except StoreError as exc:
            raise self._failed(exc) from exc
        if not counted:
            self._log.warning("enrolment-closed", reason="too many ceremonies without an approval")
            raise answers.capped()

    async def _counted(self, ceremony_id: str) -> bool:
        """Counts a ceremony among those since the last opening; when one comes meanwhile, it is counted once more."""
        while True:
            await self._heed_opening()
            now = clock.now()
            counted = await asyncio.to_thread(self._ledger.begin, ceremony_id, now.mono, now.wall)
            if self._reception.window_opened == self._heeded:
                return counted

    async def _heed_opening(self) -> None:
        """Begins counting anew if a person opened enrolment; one that the disk refused is made up for here."""
        opened = self._reception.window_opened
        if opened != self._heeded:
            await asyncio.to_thread(self._ledger.open)
            self._heeded = opened

    def _failed(self, exc: Exception) -> EnrolmentRefused:
        self._log.error("store-failed", error=str(exc))
        return answers.unavailable()

    # Reveal.

    async def reveal(self, ceremony_id: str, body: RevealBody) -> None:
        """Opens a commitment: from now on a person is asked, or the link's token has decided.

        Raises:
            EnrolmentRefused: it opens nothing, or the token is not good.
        """
        window = self._reception.window_opened
        opened = self._ceremonies.reveal(ceremony_id, body.nonce, clock.now().mono)
        if isinstance(opened, Fault):
            known = ceremony_id if opened is not Fault.UNKNOWN else None  # else a stranger's own words
            self._log.info("enrolment-reveal-refused", request=known, why=opened.value)
            raise answers.reveal_refused(opened)
        ceremony, transcript = opened
        # The key may have been paired or revoked since the ceremony began.
        draft = self._as_stored(replace(ceremony.draft, native=NativeProof(transcript)))
        self._require_not_denied(draft)
        if ceremony.token_id is not None:
            if await self._redeem(ceremony, draft, body.token_proof):
                return
            draft = self._as_stored(draft)
            self._require_open()
            self._require_not_denied(draft)
            if not ceremony.counted or self._reception.window_opened != window:  # which forgot its count
                self._require_room(draft.node_id, ceremony.address)
                await self._count(ceremony.id)
        elif body.token_proof is not None:
            raise answers.token_refused()
        match self._reception.file_draft(draft, ceremony.address, ceremony.id):
            case desk.Busy(retry_after_ms=after):
                raise answers.busy(after)
            case desk.Silenced(seconds_left=left):
                raise answers.denied(left)

    async def _redeem(self, ceremony: Ceremony, draft: Draft, proof: bytes | None) -> bool:
        """Pairs by a link's token; returns False when the key was revoked and a person has to be asked."""
        try:
            code = await asyncio.to_thread(self._codes.native, ceremony.token_id or "")
            if code is None or not _proves(code, draft, proof):
                raise self._token_refused(ceremony)
            granted = await asyncio.to_thread(self._consume, code, draft.node_id)
            if granted is None or granted != draft.permissions:
                raise self._token_refused(ceremony)
            if self._registrar.revoked_at(draft.node_id) is not None:
                return False
            record = await self._registrar.pair(draft, granted, None, request_id=ceremony.id)
        except (StoreError, IdentityError) as exc:
            raise self._failed(exc) from exc
        self._reception.came_in_by_code(record)
        self._tasks.spawn("ceremony-approved", self._give_back(ceremony.id))
        return True

    def _token_refused(self, ceremony: Ceremony) -> EnrolmentRefused:
        self._log.warning("link-refused", address=ceremony.address, code=ceremony.token_id)
        return answers.token_refused()

    def _consume(self, code: CodeState, node_id: str) -> Permissions | None:
        now, known = datetime.now(UTC), self._registrar.store.get(node_id)
        made_after = self._registrar.revoked_at(node_id)
        granted = self._codes.bind(code.digest, node_id, now, made_after)
        if granted is None and known is None:
            return self._codes.unfinished(code.digest, node_id, now, made_after)
        return granted

    # What becomes of a request.

    def _on_desk(self, change: DeskChange) -> None:
        match change:
            case Settled(request=request, outcome=Outcome.APPROVED) if request.draft.native is not None:
                self._tasks.spawn("ceremony-approved", self._give_back(request.id))
            case WindowOpened():
                self._ceremonies.forget_counted()
                self._link_begins.clear()
                self._tasks.spawn("ceremonies-open", self._open())
            case _:
                pass

    async def _give_back(self, ceremony_id: str) -> None:
        try:
            async with self._counting:
                await asyncio.to_thread(self._ledger.give_back, ceremony_id)
        except StoreError as exc:
            self._failed(exc)  # it goes on counting, which errs on the safe side

    async def _open(self) -> None:
        try:
            async with self._counting:
                await self._heed_opening()
        except StoreError as exc:
            self._failed(exc)


def _proves(code: CodeState, draft: Draft, proof: bytes | None) -> bool:
    """Whether the node holds the token of the link: the proof is good for this transcript only."""
    if proof is None or draft.native is None:
        return False
    return hmac.compare_digest(token_proof(bytes.fromhex(code.digest), draft.native.transcript), proof)
