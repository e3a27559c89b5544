"""A bridge for native nodes in one file: the routes and the WebSocket of design §6, written from the page.

It shares no code with the product, so that both cannot be wrong in the same way. What it answers can be twisted.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.doubles.node_socket import NodeSocket
from tests.doubles.pairing_crypto import DAYS_90, b64, certificate, lp, sha, signed_by, spki_of, unb64

Doc = dict[str, Any]
Twist = Callable[[Doc], object]


@dataclass
class Ceremony:
    """One request for a pairing."""

    id: str
    csr: bytes
    key: Any
    commit: bytes
    nonce: bytes
    name: str
    permissions: list[str]
    token_id: str | None
    status: str = "pending"
    transcript: bytes = b""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def node_id(self) -> str:
        raw = isinstance(self.key, Ed25519PublicKey)
        return hashlib.sha256(self.key.public_bytes_raw() if raw else spki_of(self.key)).hexdigest()

    @property
    def code(self) -> str:
        number = int.from_bytes(sha("clawdis-bridge/1/sas", self.transcript)[:8], "big") % 1_000_000
        return f"{number:06d}"


class PairingBridge:
    """The double. `approve`, `deny` and `expire` are what the person at the Mac does."""

    def __init__(self, folder: Path, *, hold_s: float = 0.5) -> None:
        self._folder = folder
        self._hold_s = hold_s
        self.host = "127.0.0.1"
        self.port = 0
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.next_key: ec.EllipticCurvePrivateKey | None = None
        self._authority_key = ec.generate_private_key(ec.SECP256R1())
        self._authority = certificate("client CA", self._authority_key.public_key(), self._authority_key, None)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.num_tickets = 0
        self.context.load_verify_locations(cadata=self._authority.public_bytes(Encoding.PEM).decode())
        self.context.verify_mode = ssl.CERT_OPTIONAL
        self.ceremonies: dict[str, Ceremony] = {}
        self.tokens: dict[str, bytes] = {}
        self.nodes: dict[str, str] = {}
        """From SPKI hash to node id, of all that are paired."""
        self.seen: list[tuple[str, str, Doc]] = []
        """Method, path and body of every request."""
        self.headers: list[dict[str, str]] = []
        """The headers of every request."""
        self.cookie = ""
        """Set with every answer."""
        self.twists: dict[str, Twist] = {}
        """From an answer's name (opened, standing, renewed, challenge, identity) to what changes it."""
        self.answers: dict[str, Callable[[], web.StreamResponse]] = {}
        """From a path's beginning to an answer given instead of all others."""
        self.cuts: dict[str, int] = {}
        """From a path's beginning to how many more requests for it lose their connection."""
        self.lifetime = (timedelta(days=-1), DAYS_90)
        """When certificates begin and end, counted from now."""
        self.proofs: dict[str, bytes] = {}
        self.sockets: list[NodeSocket] = []
        self.use_key(self.key)

    @property
    def spki(self) -> str:
        return hashlib.sha256(spki_of(self.key.public_key())).hexdigest()

    @property
    def next_spki(self) -> str | None:
        return hashlib.sha256(spki_of(self.next_key.public_key())).hexdigest() if self.next_key else None

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _ in self.seen]

    def use_key(self, key: ec.EllipticCurvePrivateKey) -> None:
        """Show another key from the next handshake on."""
        self.key = key
        pem = certificate("bridge.local", key.public_key(), key, None).public_bytes(Encoding.PEM)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file = self._folder / f"bridge-{secrets.token_hex(4)}.pem"
        file.write_bytes(secret + pem)
        self.context.load_cert_chain(file)

    # -- the person at the Mac

    @property
    def pending(self) -> Ceremony:
        (ceremony,) = (each for each in self.ceremonies.values() if each.status == "pending" and each.transcript)
        return ceremony

    async def approve(self, code: str) -> None:
        """Approve the one request that waits, if the code is its own."""
        ceremony = self.pending
        if code != ceremony.code:
            raise AssertionError(f"the node showed {code}, the bridge computed {ceremony.code}")
        self.grant(ceremony)

    async def deny(self) -> None:
        self._settle(self.pending, "denied")

    async def expire(self) -> None:
        self._settle(self.pending, "expired")

    def grant(self, ceremony: Ceremony) -> None:
        """Pair a node without asking for its code."""
        self.nodes[hashlib.sha256(spki_of(ceremony.key)).hexdigest()] = ceremony.node_id
        self._settle(ceremony, "approved")

    def _settle(self, ceremony: Ceremony, status: str) -> None:
        ceremony.status = status
        ceremony.changed.set()

    # -- the routes

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        body: Doc = json.loads(await request.read() or b"{}")
        self.seen.append((request.method, request.path_qs, body))
        self.headers.append(dict(request.headers))
        for path, left in self.cuts.items():
            if left and request.path.startswith(path) and request.transport is not None:
                self.cuts[path] = left - 1
                request.transport.abort()
        for path, answer in self.answers.items():
            if request.path.startswith(path):
                return answer()
        parts = request.path.removeprefix("/pair/v1/").split("/")
        match request.method, parts:
            case "GET", [""] | ["", ""]:
                return await self._socket(request)
            case "POST", ["enroll"]:
                return self._enroll(body)
            case "POST", ["enroll", request_id, "reveal"]:
                return self._reveal(self.ceremonies[request_id], body)
            case "GET", ["enroll", request_id]:
                return await self._standing(request, request_id)
            case "POST", ["renew"]:
                return self._renew(request, body)
            case "POST", ["renew", "challenge"]:
                nonce = secrets.token_bytes(32)
                self.proofs[b64(nonce)] = nonce
                return self._json("challenge", {"nonce": b64(nonce)})
            case "GET", ["identity"] if self._peer(request) is not None:
                return self._json("identity", self._keys())
        return refused(404, "NOT_FOUND", "no such thing")

    def _keys(self) -> Doc:
        next_spki = self.next_spki
        return {"spki": self.spki} | ({"nextSpki": next_spki} if next_spki else {})

    def _enroll(self, body: Doc) -> web.Response:
        csr = unb64(body["csr"])
        key = x509.load_der_x509_csr(csr).public_key()
        made = Ceremony(
            f"r.{len(self.ceremonies)}:{secrets.token_hex(4)}",
            csr,
            key,
            unb64(body["commit"]),
            secrets.token_bytes(32),
            body["device"]["displayName"].strip()[:64],
            sorted(body["permissions"]),
            body.get("tokenId"),
        )
        self.ceremonies[made.id] = made
        opened = {
            "id": made.id,
            "nonce": b64(made.nonce),
            "expiresInMs": 300_000,
            "bridge": {"spki": self.spki, "name": "Double"},
            "device": {**body["device"], "displayName": made.name},
            "permissions": made.permissions,
        }
        return self._json("opened", opened, status=201)

    def _reveal(self, made: Ceremony, body: Doc) -> web.Response:
        nonce = unb64(body["nonce"])
        if made.transcript or sha("clawdis-bridge/1/commit", lp(made.csr, nonce)) != made.commit:
            return refused(409, "CONFLICT", "wrong reveal")
        bridge, node = spki_of(self.key.public_key()), spki_of(made.key)
        made.transcript = sha(
            "clawdis-bridge/1/transcript",
            lp(b"bridge", bridge, b"node", node, hashlib.sha256(made.csr).digest(), made.name.encode())
            + lp(",".join(made.permissions).encode(), nonce, made.nonce, made.id.encode()),
        )
        if made.token_id is not None:
            key = sha("clawdis-bridge/1/token-key", self.tokens.pop(made.token_id, b""))
            proof = hmac.new(key, b"clawdis-bridge/1/token" + made.transcript, "sha256").digest()
            if not hmac.compare_digest(proof, unb64(body["tokenProof"])):
                return refused(403, "FORBIDDEN", "unknown code")
            self.grant(made)
        return web.Response(status=204)

    async def _standing(self, request: web.Request, request_id: str) -> web.Response:
        made = self.ceremonies.get(request_id)
        proof = unb64(request.headers.get("X-Bridge-Proof", ""))
        if made is None or not signed_by(made.key, proof, sha("clawdis-bridge/1/fetch", made.transcript)):
            return refused(404, "NOT_FOUND", "no such request")
        try:
            async with asyncio.timeout(min(self._hold_s, float(request.query["wait"]))):
                await made.changed.wait()
        except TimeoutError:
            return self._json("standing", {"status": "pending"})
        answer: Doc = {"status": made.status}
        if made.status == "approved":
            answer |= {"nodeId": made.node_id, "certificate": self.issue(made.key), "permissions": made.permissions}
            answer |= {"nextSpki": self.next_spki} if self.next_spki else {}
        return self._json("standing", answer)

    def _renew(self, request: web.Request, body: Doc) -> web.Response:
        csr = unb64(body["csr"])
        key = x509.load_der_x509_csr(csr).public_key()
        spki = hashlib.sha256(spki_of(key)).hexdigest()
        if "proof" in body:
            nonce = self.proofs.pop(body["nonce"], b"")
            data = sha("clawdis-bridge/1/renew", lp(nonce, spki_of(self.key.public_key()), csr))
            allowed = signed_by(key, unb64(body["proof"]), data) and self.nodes.get(spki) == body["nodeId"]
        else:
            allowed = self._peer(request) == spki and spki in self.nodes
        if not allowed:
            return refused(403, "FORBIDDEN", "not paired")
        answer = {"nodeId": self.nodes[spki], "certificate": self.issue(key)}
        return self._json("renewed", answer | ({"nextSpki": self.next_spki} if self.next_spki else {}))

    def _peer(self, request: web.Request) -> str | None:
        """The SPKI hash of the client's certificate."""
        tls: ssl.SSLObject = request.transport.get_extra_info("ssl_object")  # type: ignore[union-attr]  # it is open
        der = tls.getpeercert(binary_form=True)
        return hashlib.sha256(spki_of(x509.load_der_x509_certificate(der).public_key())).hexdigest() if der else None

    def issue(self, key: Any, lifetime: tuple[timedelta, timedelta] | None = None) -> str:
        """Issue a client certificate; PEM."""
        issuer = (self._authority, self._authority_key)
        return (
            certificate("node", key, self._authority_key, issuer, lifetime or self.lifetime)
            .public_bytes(Encoding.PEM)
            .decode()
        )

    def _json(self, name: str, answer: Doc, status: int = 200) -> web.Response:
        twist = self.twists.get(name)
        if twist is not None:
            twist(answer)
        return web.json_response(answer, status=status, headers={"Set-Cookie": self.cookie} if self.cookie else None)

    # -- the WebSocket

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        spki = self._peer(request)
        if spki not in self.nodes:
            return refused(404, "NOT_FOUND", "")
        made = NodeSocket(web.WebSocketResponse())
        await made.socket.prepare(request)
        self.sockets.append(made)
        await made.serve()
        return made.socket


def refused(status: int, code: str, message: str, **more: Any) -> web.Response:
    """An error of the pairing routes."""
    return web.json_response({"error": {"code": code, "message": message, **more}}, status=status)


@asynccontextmanager
async def pairing_bridge(folder: Path, *, hold_s: float = 0.5) -> AsyncIterator[PairingBridge]:
    """Serve a double on a loopback port until the block ends."""
    made = PairingBridge(folder, hold_s=hold_s)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, made.host, 0, ssl_context=made.context)
    await site.start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        for each in made.sockets:
            await each.socket.close()
        await runner.cleanup()
