"""The node's side of a native pairing (design §6): one ceremony, from the first request to the certificate.

What makes it safe on this side: the bridge's key is the one that this node's own TLS handshake showed, required on
every connection of the ceremony and equal to what the bridge claims; the node's nonce is committed to before the
bridge's is seen; it ends after its own time, runs alone and never starts again by itself; and nothing is believed but a
certificate for the node's own key.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.node.native_identity import NodeIdentity
from bridge.node.pairing_answers import Opened, Standing, next_of, own_id, read_answer, read_certificate, read_nonce
from bridge.node.pairing_errors import (
    AlreadyUnderWay,
    BadAnswer,
    BridgeMismatch,
    BridgeUnreachable,
    Denied,
    Expired,
    Refused,
)
from bridge.node.pairing_http import REQUEST_S, PairingHttp
from bridge.pairing.hosts import normal_host
from bridge.pairing.native_link import NativeLink
from bridge.pairing.transcript import (
    NONCE_BYTES,
    Transcript,
    commitment,
    fetch_digest,
    short_code,
    token_key,
    token_proof,
)
from certs.context import node_client_context
from certs.csr import build_csr
from certs.keys import NodePrivateKey, node_id_of, sign, spki_der
from certs.pins import same_pin
from certs.spki_pin import SpkiPin
from gateway_client.frames import JsonObject
from gateway_client.identity import encode_base64url

CEREMONY_S = 120.0  # seconds from the first request to the certificate, whatever the bridge would allow
POLL_S = 25  # seconds that the bridge holds a question back while nothing is decided
POLL_PAUSE_S = 1.0  # seconds at least between two questions, also to a bridge that answers at once

_SERVER_FAULT = 500  # HTTP statuses from here on say that the bridge is in trouble, not that it refuses

_UNDER_WAY: set[str] = set()  # node ids of the ceremonies of this process; each is there while `enrol` runs


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What a node says about itself: labels, which prove nothing."""

    display_name: str
    platform: str
    instance_id: str
    device_family: str | None = None
    model_identifier: str | None = None
    version: str | None = None

    def as_json(self) -> JsonObject:
        """Returns the object of the wire, with the members that are set."""
        members: JsonObject = {
            "displayName": self.display_name,
            "platform": self.platform,
            "instanceId": self.instance_id,
            "deviceFamily": self.device_family,
            "modelIdentifier": self.model_identifier,
            "version": self.version,
        }
        return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a node can do, and what it asks to be allowed.

    Attributes:
        caps: its capabilities.
        commands: the commands it can run.
        permissions: the permissions it asks for.
    """

    caps: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A ceremony that ended well.

    Attributes:
        node_id: the node's id.
        certificate: PEM, for the node's own key.
        spki: SHA-256 hex of the bridge's key: the pin.
        next_spki: the same of the key that the bridge will have next; None: none is announced.
        permissions: what was granted.
        identity: what the node has to keep, ready to connect.
    """

    node_id: str
    certificate: str
    spki: str
    next_spki: str | None
    permissions: tuple[str, ...]
    identity: NodeIdentity


class NativeEnrolment:
    """Pairs one node with the bridge at an address.

    Args:
        host: the bridge's name or address, IPv6 without brackets.
        port: its node port.
        private_key: the node's key.
        device: what the node says about itself.
        wishes: what it can do and asks for.
        show_code: called once with the six digits, e.g. `012345`, when the person at the Mac is asked for them; with
            a link they are needed only if the Mac asks all the same.
        link: an invitation: its key is then required, and its token proved.
        spki: a key to require without a link; None: the first that is seen.
        limit_s: seconds after which the node gives up.
        now: the wall clock, aware UTC.
        draw: source of random bytes.

    Raises:
        ValueError: `host` is no name or address, or `spki` no key hash.
    """

    def __init__(
        self,
        host: str,
        port: int,
        private_key: NodePrivateKey,
        device: DeviceFacts,
        wishes: Wishes,
        show_code: Callable[[str], None],
        *,
        link: NativeLink | None = None,
        spki: str | None = None,
        limit_s: float = CEREMONY_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        draw: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._where = (normal_host(host), port)
        self._key = private_key
        self._public = private_key.public_key()
        self._device = device
        self._wishes = wishes
        self._show_code = show_code
        self._link = link
        self._expected = link.spki if link is not None else spki
        self._limit_s = limit_s
        self._now = now
        self._draw = draw
        self.node_id = node_id_of(self._public)
        """The id that the node will have."""
        SpkiPin(self._expected)  # a hash that is none is the caller's fault, and shown before anything is sent

    async def enrol(self) -> Enrolled:
        """Runs the ceremony once; to try again is a person's decision.

        Cancelling it ends the ceremony on this side; the bridge's request expires by itself.

        Raises:
            EnrolmentError: it did not end in a pairing; see `bridge.node.pairing_errors`.
        """
        with _alone(self.node_id):
            pin = SpkiPin(self._expected)
            try:
                async with (
                    PairingHttp(*self._where, node_client_context(pin)) as bridge,
                    asyncio.timeout(self._limit_s),
                ):
                    return await self._ceremony(bridge, pin)
            except TimeoutError:
                raise Expired(f"it was not approved within {self._limit_s:g} s") from None

    async def _ceremony(self, bridge: PairingHttp, pin: SpkiPin) -> Enrolled:
        csr, nonce = build_csr(self._key), self._draw(NONCE_BYTES)
        body = self._request(csr, nonce)
        opened = read_answer(Opened, await bridge.ask("POST", "enroll", body, expect=201))
        transcript = self._transcript(csr, nonce, opened, pin).digest()
        reveal: JsonObject = {"nonce": encode_base64url(nonce)}
        if self._link is not None:
            reveal["tokenProof"] = encode_base64url(token_proof(token_key(self._link.token), transcript))
        await bridge.ask("POST", f"enroll/{opened.id}/reveal", reveal, expect=204)
        self._show_code(short_code(transcript))
        return self._finish(opened, await self._decided(bridge, opened.id, transcript))

    def _request(self, csr: bytes, nonce: bytes) -> JsonObject:
        """The body of `enroll`."""
        body: JsonObject = {
            "v": 1,
            "csr": encode_base64url(csr),
            "commit": encode_base64url(commitment(csr, nonce)),
            "device": self._device.as_json(),
            "caps": list(self._wishes.caps),
            "commands": list(self._wishes.commands),
            "permissions": list(self._wishes.permissions),
        }
        return body if self._link is None else {**body, "tokenId": self._link.token_id}

    def _transcript(self, csr: bytes, nonce: bytes, opened: Opened, pin: SpkiPin) -> Transcript:
        """The ceremony as this side saw it, once the bridge claims the key that it showed."""
        seen, seen_der = pin.seen, pin.seen_der
        if seen is None or seen_der is None or not same_pin(opened.bridge.spki, seen):
            raise BridgeMismatch(seen, opened.bridge.spki, "names in its answer")
        ours = spki_der(self._public)
        theirs = read_nonce(opened.nonce)
        if seen_der == ours or theirs == nonce:
            raise BadAnswer("our own key or nonce, sent back")
        return Transcript(
            spki_bridge=seen_der,
            spki_node=ours,
            csr_der=csr,
            display_name=opened.device.display_name,
            permissions=tuple(opened.permissions),
            nonce_node=nonce,
            nonce_bridge=theirs,
            request_id=opened.id,
        )

    async def _decided(self, bridge: PairingHttp, request_id: str, transcript: bytes) -> Standing:
        """Asks how the request stands until that is decided; returns the approval.

        A lost connection or a bridge in trouble ends nothing: the next connection must show the same key, and the code
        stays the same.
        """
        proof = encode_base64url(sign(self._key, fetch_digest(transcript)))
        loop = asyncio.get_running_loop()
        while True:
            not_before = loop.time() + POLL_PAUSE_S
            try:
                standing = await self._standing(bridge, request_id, proof)
            except BridgeUnreachable:
                standing = None
            except Refused as refused:
                if refused.status < _SERVER_FAULT:
                    raise
                standing = None
            match standing.status if standing is not None else "pending":
                case "denied":
                    raise Denied
                case "expired":
                    raise Expired("the bridge gave it up")
                case "approved" if standing is not None:
                    return standing
            await asyncio.sleep(max(0.0, not_before - loop.time()))

    async def _standing(self, bridge: PairingHttp, request_id: str, proof: str) -> Standing:
        answer = await bridge.ask(
            "GET",
            f"enroll/{request_id}",
            headers={"X-Bridge-Proof": proof},
            query={"wait": str(POLL_S)},
            wait_s=POLL_S + REQUEST_S,
        )
        return read_answer(Standing, answer)

    def _finish(self, opened: Opened, approval: Standing) -> Enrolled:
        """What was won, once the certificate is for our own key."""
        if approval.certificate is None or approval.node_id is None:
            raise BadAnswer("an approval without certificate or node id")
        own_id(approval.node_id, self.node_id)
        certificate = read_certificate(approval.certificate, self._public, self._now())
        granted = approval.permissions if approval.permissions is not None else opened.permissions
        spki, next_spki = opened.bridge.spki, next_of(approval.next_spki, opened.bridge.spki)
        host, port = self._where
        identity = NodeIdentity(self._key, certificate, spki, next_spki, host, port)
        return Enrolled(self.node_id, certificate, spki, next_spki, tuple(granted), identity)


@contextmanager
def _alone(node_id: str) -> Iterator[None]:
    """Lets one ceremony of a key run at a time."""
    if node_id in _UNDER_WAY:
        raise AlreadyUnderWay
    _UNDER_WAY.add(node_id)
    try:
        yield
    finally:
        _UNDER_WAY.discard(node_id)
