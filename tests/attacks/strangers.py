"""Native nodes that pair by hand, from any loopback address; each request is a connection of its own."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from bridge.control.documents import PendingRequest
from bridge.errors import BridgeError
from bridge.node.native_enrolment import DeviceFacts, NativeEnrolment, Wishes
from bridge.pairing.native_link import NativeLink
from bridge.pairing.transcript import Transcript, commitment, fetch_digest, short_code, token_key, token_proof
from certs.csr import build_csr
from certs.keys import NodePrivateKey, node_id_of, sign, spki_der
from gateway_client.identity import decode_base64url, encode_base64url
from tests.attacks.fortress import Fortress
from tests.bridge.lan.wire import HOST, client_context

REQUEST_S = 30.0
PAIRED = frozenset({"connect", "node.list", "node.pair.list", "node.pair.remove", "device.pair.remove"})
"""What the bridge says to the gateway when somebody is paired or revoked."""
_CONTEXT = client_context("http/1.1")


class Answer:
    """An HTTP answer, taken apart.

    Attributes:
        certificate: what the server showed in TLS, DER.
    """

    def __init__(self, raw: bytes, certificate: bytes = b"") -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        self.status = int(lines[0].split()[1]) if lines[0] else 0
        self.headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(b":") for line in lines[1:])}
        self.certificate = certificate

    @property
    def json(self) -> Any:
        """The body."""
        return orjson.loads(self.body)

    @property
    def shape(self) -> tuple[int, bytes]:
        """What must not tell one refusal from another."""
        return self.status, self.body

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and name of the error."""
        return self.status, str(self.json["error"]["code"])


async def ask(port: int, method: str, path: str, body: object = None, address: str = HOST, **headers: str) -> Answer:
    """Asks the node port without a certificate; status 0: it hung up without a word."""
    data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    lines = {"Host": "x", "Content-Type": "application/json", "Content-Length": str(len(data)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    try:
        async with asyncio.timeout(REQUEST_S):
            reader, writer = await asyncio.open_connection(
                HOST, port, ssl=_CONTEXT, server_hostname="x", local_addr=(address, 0)
            )
    except (OSError, EOFError):
        return Answer(b"")
    try:
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        raw = b""
        with suppress(OSError):
            writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + data)
            async with asyncio.timeout(REQUEST_S):
                raw = await reader.read()
        return Answer(raw, certificate or b"")
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


@dataclass
class Stranger:
    """One native node; what it sends can be bent."""

    port: int
    address: str = HOST
    key: NodePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    name: str = "Stranger"
    permissions: tuple[str, ...] = ("device",)
    nonce: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    opened: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.csr = build_csr(self.key)
        self.bridge_spki = b""

    @property
    def node_id(self) -> str:
        """The id it will have."""
        return node_id_of(self.key.public_key())

    @property
    def id(self) -> str:
        """The id of its ceremony."""
        return str(self.opened["id"])

    def body(self, **changes: object) -> dict[str, object]:
        """The body of `enroll`; a change to None takes a member out."""
        body: dict[str, object] = {
            "v": 1,
            "csr": encode_base64url(self.csr),
            "commit": encode_base64url(commitment(self.csr, self.nonce)),
            "device": {"displayName": self.name, "platform": "linux", "instanceId": "i1"},
            "permissions": list(self.permissions),
            **changes,
        }
        return {name: value for name, value in body.items() if value is not None}

    async def begin(self, **changes: object) -> Answer:
        """Begins a ceremony, and remembers the 201."""
        answer = await ask(self.port, "POST", "/pair/v1/enroll", self.body(**changes), self.address)
        if answer.status == 201:
            self.opened = answer.json
            self.bridge_spki = spki_der(_p256(x509.load_der_x509_certificate(answer.certificate).public_key()))
        return answer

    async def reveal(self, nonce: bytes | None = None, **more: object) -> Answer:
        """Opens the commitment."""
        body = {"nonce": encode_base64url(self.nonce if nonce is None else nonce), **more}
        return await ask(self.port, "POST", f"/pair/v1/enroll/{self.id}/reveal", body, self.address)

    async def asked(self) -> Stranger:
        """Goes as far as the question to the person."""
        began = await self.begin()
        assert began.status == 201, began.body
        revealed = await self.reveal()
        assert revealed.status == 204, revealed.body
        return self

    async def redeem(self, link: NativeLink) -> Answer:
        """Uses a link as its owner would; returns the answer to the reveal, or to what did not get so far."""
        began = await self.begin(tokenId=link.token_id)
        if began.status != 201:
            return began
        return await self.reveal(tokenProof=self.proof_of(link))

    def proof_of(self, link: NativeLink) -> str:
        """The proof that it holds the token of a link."""
        return encode_base64url(token_proof(token_key(link.token), self.transcript))

    @property
    def transcript(self) -> bytes:
        """The node's own digest."""
        return Transcript(
            self.bridge_spki,
            spki_der(self.key.public_key()),
            self.csr,
            self.opened["device"]["displayName"],
            self.opened["permissions"],
            self.nonce,
            decode_base64url(self.opened["nonce"], 32),
            self.id,
        ).digest()

    @property
    def code(self) -> str:
        """The six digits that it shows."""
        return short_code(self.transcript)

    @property
    def wrong_code(self) -> str:
        """Six digits that it does not show."""
        return f"{(int(self.code) + 1) % 1_000_000:06d}"

    @property
    def proof(self) -> str:
        """The signature that shows whose the request is."""
        return encode_base64url(sign(self.key, fetch_digest(self.transcript)))

    async def poll(self, wait: int = 0, proof: str | None = None) -> Answer:
        """Asks how its request stands."""
        signed = self.proof if proof is None else proof
        path = f"/pair/v1/enroll/{self.id}?wait={wait}"
        return await ask(self.port, "GET", path, None, self.address, **{"X-Bridge-Proof": signed})


def _p256(key: object) -> ec.EllipticCurvePublicKey:
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def victim(port: int, **more: Any) -> tuple[NativeEnrolment, list[str]]:
    """The product's own client, about to pair at a port, and where its codes go."""
    codes: list[str] = []
    key = ec.generate_private_key(ec.SECP256R1())
    facts, wishes = DeviceFacts("Victim", "linux", "victim"), Wishes((), (), ("device",))
    return NativeEnrolment(HOST, port, key, facts, wishes, codes.append, **more), codes


def addresses(count: int) -> list[str]:
    """So many loopback addresses, none of them the canary's."""
    return [f"127.0.{1 + number // 250}.{1 + number % 250}" for number in range(count)]


async def pending(castle: Fortress) -> list[PendingRequest]:
    """What lies on the desk, without the moment at which it ends: that is counted anew at each look."""
    found = await castle.bridge.ask(castle.bridge.client.pending)
    return [one.model_copy(update={"expires_at": one.created_at}) for one in found]


async def approve(castle: Fortress, request_id: str, code: str | None) -> None:
    """A person approves.

    Raises:
        BridgeError: the bridge refuses it.
    """
    await castle.bridge.ask(lambda: castle.bridge.client.approve(request_id, None, None, code))


async def open_anew(castle: Fortress) -> None:
    """A person clears the desk and invites devices: no attack finds what another left."""
    for request in await pending(castle):
        with suppress(BridgeError):
            await castle.bridge.ask(partial(castle.bridge.client.deny, request.id))
    await castle.bridge.ask(castle.bridge.client.open_window)
