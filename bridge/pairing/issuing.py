"""Hands certificates to native nodes: after an approval, and again before and after the old one runs out (design §6).

A certificate is made only for a record that is in the store, on disk: `LeafPermit` is built here and nowhere else.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding

from bridge import clock
from bridge.certificates import Certificates
from bridge.lan.events import Outcome
from bridge.log import Log
from bridge.pairing import enrolment_answers as answers
from bridge.pairing.enrolment_bodies import RenewBody
from bridge.pairing.reception import DeskChange, Reception, Settled
from bridge.pairing.records import CertificateNote, NodeRecord, Security
from bridge.pairing.renewal_challenges import RenewalChallenges
from bridge.pairing.store import NodeStore, StoreError
from bridge.pairing.transcript import fetch_digest, renewal_digest
from certs.csr import CsrRefused, read_csr
from certs.keys import KeyRefused, NodeKey, read_spki, spki_der, verify_signature
from certs.leaf import LEAF_LIFETIME, RENEW_AFTER, LeafPermit, issue_leaf
from gateway_client.frames import Json, JsonObject
from gateway_client.identity import BadKeyError, decode_base64url, encode_base64url

MAX_WAIT_S = 25.0  # seconds of a long poll: below what home routers and phones give an idle connection
FETCHABLE = timedelta(hours=24)  # for which the answer to an approved request stays
MAX_ENDED = 64  # requests remembered that ended without an approval, 400 bytes each; the oldest go first
MAX_PROOF_CHARS = 128  # of base64url: an ECDSA signature on P-256 has at most 72 bytes


@dataclass(frozen=True, slots=True)
class _Standing:
    """How a request stands, and whose it is."""

    status: str
    key: NodeKey
    digest: bytes
    record: NodeRecord | None = None


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
        reception.on_change(self._on_desk)

    # How a request stands.

    async def poll(self, request_id: str, proof: str, wait_s: float) -> JsonObject:
        """Returns how a request stands, with the certificate once it is approved.

        Args:
            request_id: which.
            proof: the signature that shows whose it is, base64url.
            wait_s: seconds to wait for a decision; at most `MAX_WAIT_S`.

        Raises:
            EnrolmentRefused: there is no such request of that key.
        """
        standing = self._proven(request_id, proof)
        self._reception.desk.refresh(request_id, clock.now().mono)
        if standing.status == "pending" and wait_s > 0:
            await self._decided(request_id, min(wait_s, MAX_WAIT_S))
            standing = self._proven(request_id, proof)
        if standing.record is None:
            return {"status": standing.status}
        certificate = await self._issue(standing.record, standing.key)
        return {"status": "approved", "nodeId": standing.record.node_id, **certificate}

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

    async def _issue(self, record: NodeRecord, key: NodeKey) -> JsonObject:
        permit = LeafPermit(record.node_id, spki_der(key))
        authority = self._certificates.authority
        leaf = await asyncio.to_thread(issue_leaf, permit, authority.key, authority.certificate, now=datetime.now(UTC))
        note = CertificateNote(serial=f"{leaf.serial_number:x}", not_after=leaf.not_valid_after_utc)
        told = {"certificate": note, "next_spki_told": self._certificates.next_spki}

        def change(known: NodeRecord | None) -> NodeRecord:
            """From what is stored at that moment: a certificate goes only to whom is still paired."""
            if known is None or known.revoked_at is not None or known.security is not Security.MTLS:
                raise answers.not_paired()
            return known.model_copy(update=told)

        try:
            stored = await self._store.update(record.node_id, change)
        except StoreError as exc:
            self._log.error("store-failed", error=str(exc))
            raise answers.unavailable() from exc
        self._log.info("certificate-issued", node=record.node_id[:8], serial=note.serial, until=str(note.not_after))
        out: JsonObject = {
            "certificate": leaf.public_bytes(Encoding.PEM).decode("ascii"),
            "permissions": list[Json](sorted(stored.permissions)),
        }
        following = self._certificates.next_spki
        return out if following is None else {**out, "nextSpki": following}

    def challenge(self, node_id: str, address: str) -> JsonObject:
        """Returns what a node without a valid certificate has to sign; the same for a key that nobody knows."""
        nonce = self._challenges.draw(node_id, address, clock.now().mono)
        return {"nonce": encode_base64url(nonce)}

    async def renew(self, body: RenewBody, certified: str | None, address: str) -> JsonObject:
        """Issues a new certificate for a paired key.

        Args:
            body: the request.
            certified: the node that TLS proved; None: the body must prove it.
            address: the peer's IP address.

        Raises:
            EnrolmentRefused: the key is not proven, not paired, or its certificate is still young.
        """
        try:
            csr = read_csr(body.csr)
        except CsrRefused as exc:
            raise answers.bad_csr(str(exc)) from None
        node_id = certified if certified is not None else self._proven_by_body(body, csr.key, address)
        record = self._store.get(node_id)
        active = record is not None and record.revoked_at is None and record.security is Security.MTLS
        if record is None or not active or csr.node_id != node_id:
            raise answers.not_paired()
        note = record.certificate
        due = note.not_after - LEAF_LIFETIME + RENEW_AFTER if note is not None else datetime.now(UTC)
        left = (due - datetime.now(UTC)).total_seconds()
        if left > 0:
            raise answers.too_early(int(left * 1000))
        return {"nodeId": node_id, **await self._issue(record, csr.key)}

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

    async def identity(self, node_id: str) -> JsonObject:
        """Tells a native node the bridge's key and, while one is prepared, the key that will follow.

        Raises:
            EnrolmentRefused: the node is not paired, or that it was told could not be written down.
        """
        spki, following = self._certificates.identity.spki, self._certificates.next_spki

        def change(known: NodeRecord | None) -> NodeRecord:
            """From what is stored at that moment."""
            if known is None or known.revoked_at is not None:
                raise answers.not_paired()
            return known.model_copy(update={"next_spki_told": following})

        try:
            await self._store.update(node_id, change)
        except StoreError as exc:
            self._log.error("store-failed", error=str(exc))
            raise answers.unavailable() from exc
        return {"spki": spki} if following is None else {"spki": spki, "nextSpki": following}


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
