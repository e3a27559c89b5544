"""Device blocks by hand: any key, any signature, and `connect` on a socket whose challenge is known."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.attacks.fortress import Fortress
from tests.bridge.lan.wire import CLOSE, Peer, peer
from tests.support.iphone import IPhone

Json = dict[str, Any]
ANSWER_S = 5.0  # seconds; a request that waits for a person is held for longer
ORDER = 2**252 + 27742317777372353535851937790883648493  # of the base point (RFC 8032 section 5.1)

TORSION = tuple(
    bytes.fromhex(text)
    for text in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    )
)
"""The eight points whose order divides 8, as RFC 8032 encodes them."""
SMALL_ORDER = (
    *TORSION,
    *(
        bytes.fromhex(text)  # the same points in encodings that no encoder writes
        for text in (
            "0100000000000000000000000000000000000000000000000000000000000080",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        )
    ),
)


@dataclass
class Challenged:
    """An open socket and what it was challenged with.

    Attributes:
        challenge: `nonce` and `ts`.
        closed: code and reason, once the server has closed it.
    """

    wire: Peer
    challenge: Json
    closed: tuple[int, str] | None = None

    async def say(self, params: Json, *, request_id: str = "1") -> Json:
        """Send `connect`; return its answer.

        Raises:
            TimeoutError: it was not answered: it waits for a person, say.
        """
        frame = {"type": "req", "id": request_id, "method": "connect", "params": params}
        await self.wire.send(json.dumps(frame).encode())
        while True:
            got = await self.wire.frame(ANSWER_S)
            if got.opcode == CLOSE:
                self.closed = got.close
                return {"ok": False, "error": {}}
            answer: Json = json.loads(got.payload)
            if answer.get("id") == request_id:
                return answer

    async def refusal(self, params: Json) -> str:
        """Send `connect`, which must be refused and closed; return the code in the details, or the error's own."""
        answer = await self.say(params)
        assert not answer["ok"], "it was let in"
        assert (await self.wire.frame(ANSWER_S)).close[0] == 1008
        error = answer["error"]
        return str(error.get("details", {}).get("code") or error["code"])


@asynccontextmanager
async def challenged(port: int, context: Any = None) -> AsyncIterator[Challenged]:
    """Open a WebSocket and read its challenge, for a block."""
    async with peer(port, context) as wire:
        await wire.upgrade()
        frame = json.loads((await wire.frame()).payload)
        assert frame["event"] == "connect.challenge"
        yield Challenged(wire, frame["payload"])


async def paired_phone(castle: Fortress) -> IPhone:
    """Return a phone that a setup code has let in, and that has gone again."""
    phone = IPhone(castle.bridge.url, castle.bridge.pin, commands=["device.info"])
    made = await castle.bridge.ask(lambda: castle.bridge.client.mint_setup_code(None, "phone", 300, None))
    code = made.setup_code
    document = json.loads(base64.urlsafe_b64decode(code + "=" * (-len(code) % 4)))
    castle.secrets.append(document["bootstrapToken"])
    async with phone.socket("node", {"bootstrapToken": document["bootstrapToken"]}):
        await castle.bridge.node_in(phone.node_id, "connected", "background")
    async with phone.socket("node"):  # its token's first use changes the store, and no later one
        await castle.bridge.node_in(phone.node_id, "connected", "background")
    await castle.bridge.node_in(phone.node_id, "offline")
    castle.secrets.extend(phone.tokens.values())
    return phone


def token_of(phone: IPhone) -> Json:
    """Return `connect.auth` of a paired phone."""
    return {"token": phone.tokens["node"]}


def fits(key: bytes, signature: bytes, text: bytes) -> bool:
    """Tell whether OpenSSL takes this signature."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def signatures_without_a_key(key: bytes, text: bytes) -> Iterator[bytes]:
    """Yield signatures that a key of small order makes true without anybody knowing a private key: S is 0."""
    for point in TORSION:
        if fits(key, point + bytes(32), text):
            yield point + bytes(32)


def plus_order(signature: bytes) -> bytes:
    """Return the same signature with the order of the group added to S: a lazy verifier takes it (malleability)."""
    return signature[:32] + (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")


def encoded(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """Read base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
