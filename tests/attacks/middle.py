"""A man in the middle: shows a node his own key in TLS, and passes on what he likes to the bridge."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from bridge.pairing.transcript import commitment
from certs.csr import build_csr
from gateway_client.identity import encode_base64url
from tests.attacks.strangers import Answer, ask
from tests.doubles.pairing_bridge import PairingBridge

Doc = dict[str, Any]
NONCE = b"M" * 32  # the one that he commits himself to


class Middle:
    """He sits at `port`. What he changes on the way up and down can be set.

    Attributes:
        up: changes the body of `enroll`.
        down: changes the 201.
        nonce: what he reveals instead of the node's nonce; None: he passes it on.
        seen: the paths that the node asked for.
    """

    def __init__(self, bridge_port: int, folder: Path) -> None:
        self._bridge_port = bridge_port
        self._tls = PairingBridge(folder)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.spki = self._tls.spki
        self.port = 0
        self.up: Callable[[Doc], object] = lambda body: None
        self.down: Callable[[Doc], object] = lambda opened: None
        self.nonce: bytes | None = None
        self.seen: list[str] = []

    def claim(self, opened: Doc, **changes: object) -> None:
        """Say in the 201 that his key is the bridge's, and what else he likes."""
        opened["bridge"]["spki"] = self.spki
        opened.update(changes)

    def swap_key(self, body: Doc) -> None:
        """Ask for a certificate of his own key, with a commitment of his own."""
        csr = build_csr(self.key)
        body |= {"csr": encode_base64url(csr), "commit": encode_base64url(commitment(csr, NONCE))}

    async def handle(self, request: web.Request) -> web.Response:
        """Pass one request on."""
        data = await request.read()
        body: Doc = json.loads(data) if data else {}
        self.seen.append(request.path)
        if request.path.endswith("/enroll"):
            self.up(body)
        elif request.path.endswith("/reveal") and self.nonce is not None:
            body["nonce"] = encode_base64url(self.nonce)
        proof = {name: value for name, value in request.headers.items() if name == "X-Bridge-Proof"}
        answer = await ask(self._bridge_port, request.method, request.path_qs, body if data else None, **proof)
        return web.Response(status=answer.status, body=self._bent(answer), content_type="application/json")

    def _bent(self, answer: Answer) -> bytes:
        if answer.status != 201:
            return answer.body
        opened = answer.json
        self.down(opened)
        return json.dumps(opened).encode()

    @property
    def context(self) -> ssl.SSLContext:
        """TLS with his key."""
        return self._tls.context


@asynccontextmanager
async def middle(bridge_port: int, folder: Path) -> AsyncIterator[Middle]:
    """Put him before a bridge for a block."""
    man = Middle(bridge_port, folder)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", man.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=man.context)
    await site.start()
    man.port = runner.addresses[0][1]
    try:
        yield man
    finally:
        await runner.cleanup()
