"""Hands certificates to native nodes: after an approval, and again before and after the old one runs out (design §6).

A certificate is made only for a record that is in the store, on disk: `LeafPermit` is built here and nowhere else.
An answer can get lost, so whoever proves its key may ask again; how often one is made is bounded, not whether.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding

from bridge import clock
from bridge.certificates import Certificates
from bridge.lan.budget import Budget
from bridge.lan.events import Outcome
from bridge.lan.guest import Guest
from bridge.log import Log
from bridge.pairing import enrolment_answers as answers
from bridge.pairing.enrolment_answers import EnrolmentRefused
from bridge.pairing.enrolment_bodies import RenewBody
from bridge.pairing.reception import DeskChange, Reception, Settled
from bridge.pairing.records import CertificateNote, NodeRecord, Security
from bridge.pairing.renewal_challenges import RenewalChallenges
from bridge.pairing.store import NodeStore, StoreError
from bridge.pairing.transcript import fetch_digest, renewal_digest
from certs.csr import CsrRefused, read_csr
from certs.keys import KeyRefused, NodeKey, read_spki, spki_der, verify_signature
from certs.leaf import LeafPermit, issue_leaf
from gateway_client.frames import Json, JsonObject
from gateway_client.identity import BadKeyError, decode_base64url, encode_base64url

MAX_WAIT_S = 25.0  # seconds of a long poll: below what home routers and phones give an idle connection
FETCHABLE = timedelta(hours=24)  # for which the answer to an approved request stays
MAX_ENDED = 64  # requests remembered that ended without an approval, 400 bytes each; the oldest go first
MAX_FETCHED = 256  # requests whose outcome was fetched, with a certificate of 1.2 KiB each; the oldest go first
RENEWALS_PER_MINUTE = 2  # of one key: one by its certificate, one by its signature when that answer was lost
WORDS_PER_MINUTE = 4  # changes of what a node says it holds, each a write of the store; one per prepared key is honest
MIN_WAIT_S = 1.0  # seconds that a node is told to wait at the least
MAX_PROOF_CHARS = 128  # of base64url: an ECDSA signature on P-256 has at most 72 bytes


@dataclass(frozen=True, slots=True)
class _Standing:
    """How a request stands, and whose it is."""

    status: str
    key: NodeKey
    digest: bytes
    record: NodeRecord | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """How a request stands, as its node is told.

    Attributes:
        document: the answer.
        again: whether the outcome has been fetched before, as far as this run knows.
    """

    document: JsonObject
    again: bool = False


class Issuing:
    """See the module's text.

    Args:
        reception: the requests that wait, and the store.
        certificates: what is issued with.
    """

    def __init__(self, reception: Reception, certificates: Certificates, log: Log) -> None:
        self._reception = reception
        self._store: NodeStore = reception.store
        self._certificates = certificates
        self._log = log
        self._ended: dict[str, _Standing] = {}
        self._polls: dict[str, asyncio.Event] = {}
        self._challenges = RenewalChallenges()
        self._fetched: dict[str, str] = {}  # from a request to its certificate, PEM; empty: it ended without one
        self._fetching = asyncio.Lock()
        self._of_requests = Budget(1)  # certificates; one that is still remembered is not made anew
        self._of_keys = Budget(RENEWALS_PER_MINUTE)
        self._of_words = Budget(WORDS_PER_MINUTE)
        reception.on_change(self._on_desk)

    # How a request stands.

    async def poll(self, request_id: str, proof: str, wait_s: float) -> Fetched:
        """Returns how a request stands, with the certificate once it is approved: the same one however often it asks.

        Args:
            request_id: which.
            proof: the signature that shows whose it is, base64url.
            wait_s: seconds to wait for a decision; at most `MAX_WAIT_S`.

        Raises:
            EnrolmentRefused: there is no such request of that key, or it needs another certificate too soon.
        """
        standing = self._proven(request_id, proof)
        self._reception.desk.refresh(request_id, clock.now().mono)
        if standing.status == "pending" and wait_s > 0:
            await self._decided(request_id, min(wait_s, MAX_WAIT_S))
            standing = self._proven(request_id, proof)
        if standing.status == "pending":
            return Fetched({"status": "pending"})
        if standing.record is None:
            again = request_id in self._fetched
            self._note_fetched(request_id, "")
            return Fetched({"status": standing.status}, again)
        async with self._fetching:  # two polls at a time are one certificate
            return await self._certificate_of(request_id, standing.record, standing.key)

    async def _certificate_of(self, request_id: str, record: NodeRecord, key: NodeKey) -> Fetched:
        issued = self._fetched.get(request_id)
        again = bool(issued)
        if issued:
            document = self._answer(self._in_force(record.node_id), issued)
        else:
            with _paced(self._of_requests, request_id):
                record, issued = await self._issue(record, key, {})
            document = self._answer(record, issued)
        self._note_fetched(request_id, issued)
        return Fetched({"status": "approved", **document}, again)

    def _note_fetched(self, request_id: str, certificate: str) -> None:
        self._fetched.pop(request_id, None)
        while len(self._fetched) >= MAX_FETCHED:
            del self._fetched[next(iter(self._fetched))]
        self._fetched[request_id] = certificate

    def _proven(self, request_id: str, proof: str) -> _Standing:
        standing = self._standing(request_id)
        if standing is None or not _holds(standing, proof):
            raise answers.not_found()
        return standing

    def _standing(self, request_id: str) -> _Standing | None:
        request = self._reception.desk.get(request_id)
        if request is not None and request.draft.native is not None:
            return _standing_of("pending", request.draft.public_key, fetch_digest(request.draft.native.transcript))
        for record in self._store.nodes.values():
            enrolment = record.enrolment
            if enrolment is None or enrolment.request_id != request_id or record.revoked_at is not None:
                continue
            if datetime.now(UTC) - enrolment.approved_at < FETCHABLE:
                return _standing_of("approved", record.public_key, bytes.fromhex(enrolment.fetch_digest), record)
        return self._ended.get(request_id)

    async def _decided(self, request_id: str, wait_s: float) -> None:
        mine = asyncio.Event()
        former = self._polls.get(request_id)
        if former is not None:
            former.set()  # one poll per request: the newer one waits
        self._polls[request_id] = mine
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await mine.wait()
        finally:
            if self._polls.get(request_id) is mine:
                del self._polls[request_id]

    def _on_desk(self, change: DeskChange) -> None:
        if not isinstance(change, Settled) or change.request.draft.native is None:
            return
        draft = change.request.draft
        if change.outcome is not Outcome.APPROVED and draft.native is not None:
            status = "denied" if change.outcome is Outcome.DENIED else "expired"
            ended = _standing_of(status, draft.public_key, fetch_digest(draft.native.transcript))
            while len(self._ended) >= MAX_ENDED:
                del self._ended[next(iter(self._ended))]
            if ended is not None:
                self._ended[change.request.id] = ended
        waiting = self._polls.get(change.request.id)
        if waiting is not None:
            waiting.set()

    # Certificates.

    async def _issue(self, record: NodeRecord, key: NodeKey, notes: dict[str, object]) -> tuple[NodeRecord, str]:
        """Issues a certificate and writes down that it exists, with `notes`; returns the record and the PEM."""
        permit = LeafPermit(record.node_id, spki_der(key))
        authority = self._certificates.authority
        leaf = await asyncio.to_thread(issue_leaf, permit, authority.key, authority.certificate, now=datetime.now(UTC))
        note = CertificateNote(serial=f"{leaf.serial_number:x}", not_after=leaf.not_valid_after_utc)
        try:
            trail, until = self._reception.trail, str(note.not_after)
            await trail.record("certificate-given", node=record.node_id, serial=note.serial, until=until)
        except StoreError as exc:
            self._log.error("store-failed", error=str(exc))
            raise answers.unavailable() from exc
        stored = await self._noted(record.node_id, {"certificate": note, **notes})
        self._log.info("certificate-issued", node=record.node_id, serial=note.serial, until=until)
        return stored, leaf.public_bytes(Encoding.PEM).decode("ascii")

    async def _noted(self, node_id: str, notes: dict[str, object]) -> NodeRecord:
        def change(known: NodeRecord | None) -> NodeRecord:
            """From what is stored at that moment: a certificate goes only to whom is still paired."""
            return _require_in_force(known).model_copy(update=notes)

        try:
            return await self._store.update(node_id, change)
        except StoreError as exc:
            self._log.error("store-failed", error=str(exc))
            raise answers.unavailable() from exc

    def _in_force(self, node_id: str) -> NodeRecord:
        return _require_in_force(self._store.get(node_id))

    def _answer(self, record: NodeRecord, certificate: str) -> JsonObject:
        permissions = list[Json](sorted(record.permissions))
        told: JsonObject = {"nodeId": record.node_id, "certificate": certificate, "permissions": permissions}
        return {**told, **self._following()}

    def _following(self) -> JsonObject:
        following = self._certificates.next_spki
        return {} if following is None else {"nextSpki": following}

    def _knowing(self, knows: str | None) -> dict[str, object]:
        """What is written down of a node that says which next key it holds: that it was told is no sign of it."""
        return {"next_spki_told": knows if knows == self._certificates.next_spki else None}

    def challenge(self, node_id: str, address: str) -> JsonObject:
        """Returns what a node without a valid certificate has to sign; the same for a key that nobody knows."""
        nonce = self._challenges.draw(node_id, address, clock.now().mono)
        return {"nonce": encode_base64url(nonce)}

    async def renew(self, body: RenewBody, guest: Guest) -> JsonObject:
        """Issues a new certificate for a paired key.

        The certificate that TLS showed tells whether it is time, because that is the one that the node has: the note in
        the record may be of one that never arrived. A node that shows none has none that it could use.

        Args:
            body: the request.
            guest: who asks; one without a node: the body must prove it.

        Raises:
            EnrolmentRefused: the key is not proven, not paired, renews too often, or its certificate is still young.
        """
        try:
            csr = read_csr(body.csr)
        except CsrRefused as exc:
            raise answers.bad_csr(str(exc)) from None
        node_id = guest.node_id if guest.node_id is not None else self._proven_by_body(body, csr.key, guest.address)
        record = self._in_force(node_id)
        if csr.node_id != node_id:
            raise answers.not_paired()
        left = (guest.renew_from - datetime.now(UTC)).total_seconds() if guest.renew_from is not None else 0.0
        if left > 0:
            raise answers.too_early(int(left * 1000))
        with _paced(self._of_keys, node_id):
            stored, certificate = await self._issue(record, csr.key, self._knowing(body.knows_next))
        return self._answer(stored, certificate)

    def _proven_by_body(self, body: RenewBody, key: NodeKey, address: str) -> str:
        """The node that signed our challenge with the key of its request; one answer for whatever is wrong."""
        if body.node_id is None or body.nonce is None or body.proof is None:
            raise answers.not_paired()
        if not self._challenges.take(body.nonce, body.node_id, address, clock.now().mono):
            raise answers.not_paired()
        bridge = spki_der(self._certificates.identity.key.public_key())
        if not _signed(key, body.proof, renewal_digest(body.nonce, bridge, body.csr)):
            raise answers.not_paired()
        return body.node_id

    async def identity(self, node_id: str, knows: str | None) -> JsonObject:
        """Tells a native node the bridge's key and, while one is prepared, the key that will follow.

        Args:
            node_id: the node.
            knows: the next key that it holds, as it says (SPKI hash, hex); None: it names none.

        Raises:
            EnrolmentRefused: the node is not paired, changes its word too often, or it could not be written down.
        """
        notes = self._knowing(knows)
        if self._in_force(node_id).next_spki_told != notes["next_spki_told"]:
            with _paced(self._of_words, node_id):
                await self._noted(node_id, notes)
        return {"spki": self._certificates.identity.spki, **self._following()}


@contextmanager
def _paced(budget: Budget, key: str) -> Iterator[None]:
    """Takes an attempt for the block, and gives it back when nothing came of it.

    Raises:
        EnrolmentRefused: there is none left within this minute.
    """
    now = clock.now().mono
    attempt = budget.spend(key, now)
    if attempt is None:
        raise answers.served_often(int(max(MIN_WAIT_S, budget.wait(key, now)) * 1000))
    try:
        yield
    except EnrolmentRefused:
        attempt.give_back()
        raise


def _require_in_force(record: NodeRecord | None) -> NodeRecord:
    """Returns the record of a native node that is paired.

    Raises:
        EnrolmentRefused: it is none.
    """
    if record is None or record.revoked_at is not None or record.security is not Security.MTLS:
        raise answers.not_paired()
    return record


def _standing_of(status: str, public_key: str, digest: bytes, record: NodeRecord | None = None) -> _Standing | None:
    size = len(public_key) * 3 // 4
    try:
        return _Standing(status, read_spki(decode_base64url(public_key, size)), digest, record)
    except (KeyRefused, BadKeyError):
        return None  # an OpenClaw client's key: it fetches nothing


def _holds(standing: _Standing, proof: str) -> bool:
    return _signed(standing.key, proof, standing.digest)


def _signed(key: NodeKey, proof: str, data: bytes) -> bool:
    if not 0 < len(proof) <= MAX_PROOF_CHARS:
        return False
    try:
        return verify_signature(key, decode_base64url(proof, len(proof) * 3 // 4), data)
    except BadKeyError:
        return False
