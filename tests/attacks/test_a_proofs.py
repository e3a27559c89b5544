"""Attacks A11 to A13: on the proof that a device key signs, at the app port and beside a client certificate."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import connect

from tests.attacks.certified import client_of, showing
from tests.attacks.forged import (
    SMALL_ORDER,
    Challenged,
    Json,
    challenged,
    decoded,
    encoded,
    paired_phone,
    plus_order,
    signatures_without_a_key,
    token_of,
)
from tests.attacks.fortress import Fortress
from tests.support.iphone import IPhone

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR_MS = 3_600_000
ADMITTED = frozenset({"connect", "node.list", "node.pair.list"})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def phone(castle: Fortress) -> IPhone:
    """A paired phone: its key and its token are good, so that only the proof can be at fault.

    It was in once, for long enough: its link to the gateway outlives its socket, and has nothing more to settle there.
    """
    phone = await paired_phone(castle)
    async with challenged(castle.app_port) as socket:
        assert (await socket.say(signed(phone, socket.challenge)))["ok"]
        await castle.bridge.settled(phone.node_id, "device.info")
    return phone


def signed(phone: IPhone, challenge: Json, **device: Any) -> Json:
    """Return what the phone sends for a challenge; `device` changes the block after it was signed."""
    params = phone.connect_params("node", token_of(phone), (), challenge)
    params["device"] |= device
    return params


async def nonce_of_another_connection(castle: Fortress) -> str:
    async with challenged(castle.app_port) as former:
        return str(former.challenge["nonce"])


class TestA11StaleProofs:
    """A signature is good for the challenge of its own connection, now and once.

    Guards in `prove_key` (bridge/lan/admission.py): the comparison of the nonce, and the signature over the bridge's
    own one; with the peer's in both places every old proof gets hello-ok. `MAX_SKEW_MS`: without it an hour's too.
    `_signature_holds`: without it the mixed, the moved and the second try do.
    """

    async def test_the_good_one_opens(self, castle: Fortress, phone: IPhone) -> None:
        async with castle.unharmed(heard=ADMITTED), challenged(castle.app_port) as socket:
            assert (await socket.say(signed(phone, socket.challenge)))["ok"]

    async def test_an_old_nonce(self, castle: Fortress, phone: IPhone) -> None:
        async with castle.unharmed(), challenged(castle.app_port) as socket:
            old = {**socket.challenge, "nonce": await nonce_of_another_connection(castle)}
            assert await socket.refusal(signed(phone, old)) == "DEVICE_AUTH_NONCE_MISMATCH"

    async def test_the_nonce_of_a_connection_that_is_still_open(self, castle: Fortress, phone: IPhone) -> None:
        async with castle.unharmed(), challenged(castle.app_port) as other, challenged(castle.app_port) as socket:
            assert await socket.refusal(signed(phone, other.challenge)) == "DEVICE_AUTH_NONCE_MISMATCH"

    async def test_no_nonce(self, castle: Fortress, phone: IPhone) -> None:
        async with castle.unharmed(), challenged(castle.app_port) as socket:
            none = {**socket.challenge, "nonce": ""}
            assert await socket.refusal(signed(phone, none)) == "DEVICE_AUTH_NONCE_REQUIRED"

    async def test_the_nonce_of_the_gateway(self, castle: Fortress, phone: IPhone) -> None:
        async with castle.unharmed(), connect(castle.gateway.url, proxy=None) as gateway:
            theirs = json.loads(await gateway.recv())["payload"]
            async with challenged(castle.app_port) as socket:
                mixed = {**socket.challenge, "nonce": theirs["nonce"]}
                assert await socket.refusal(signed(phone, mixed)) == "DEVICE_AUTH_NONCE_MISMATCH"

    async def test_the_right_nonce_over_a_signature_of_another(self, castle: Fortress, phone: IPhone) -> None:
        async with castle.unharmed(), challenged(castle.app_port) as socket:
            old = {**socket.challenge, "nonce": await nonce_of_another_connection(castle)}
            params = signed(phone, old, nonce=socket.challenge["nonce"])
            assert await socket.refusal(params) == "DEVICE_AUTH_SIGNATURE_INVALID"

    @pytest.mark.parametrize("shift", [-HOUR_MS, HOUR_MS])
    async def test_an_hour_away(self, castle: Fortress, phone: IPhone, shift: int) -> None:
        async with castle.unharmed(), challenged(castle.app_port) as socket:
            moved = {**socket.challenge, "ts": socket.challenge["ts"] + shift}
            assert await socket.refusal(signed(phone, moved)) == "DEVICE_AUTH_SIGNATURE_EXPIRED"

    async def test_a_time_that_was_not_signed(self, castle: Fortress, phone: IPhone) -> None:
        async with castle.unharmed(), challenged(castle.app_port) as socket:
            params = signed(phone, socket.challenge, signedAt=socket.challenge["ts"] + 1)
            assert await socket.refusal(params) == "DEVICE_AUTH_SIGNATURE_INVALID"

    async def test_a_proof_that_was_used(self, castle: Fortress, phone: IPhone) -> None:
        async with castle.unharmed(heard=ADMITTED), challenged(castle.app_port) as socket:
            used = signed(phone, socket.challenge)
            assert (await socket.say(used))["ok"]
            assert not (await socket.say(used, request_id="2"))["ok"], "on the same connection"
            async with challenged(castle.app_port) as other:
                assert await other.refusal(used) == "DEVICE_AUTH_NONCE_MISMATCH"

    async def test_a_second_try_on_one_challenge(self, castle: Fortress, phone: IPhone) -> None:
        async with castle.unharmed(), challenged(castle.app_port) as socket:
            bad = signed(phone, socket.challenge, signature=encoded(bytes(64)))
            assert await socket.refusal(bad) == "DEVICE_AUTH_SIGNATURE_INVALID"
            await socket.wire.send(json.dumps({"type": "req", "id": "2", "method": "connect"}).encode())
            assert await socket.wire.rest() == b""


def block(socket: Challenged, key: bytes, sign: Callable[[bytes], bytes | None]) -> Json | None:
    """Return parameters with this key and what `sign` makes of the text; None when it makes nothing of it.

    The client is one whose request is held for eight seconds when it is filed, not 25.
    """
    node_id, ts, nonce = hashlib.sha256(key).hexdigest(), socket.challenge["ts"], socket.challenge["nonce"]
    text = "|".join(("v2", node_id, "node-host", "node", "node", "", str(ts), "", nonce))
    signature = sign(text.encode())
    if signature is None:
        return None
    device = {"id": node_id, "publicKey": encoded(key), "signature": encoded(signature), "signedAt": ts, "nonce": nonce}
    client = {"id": "node-host", "version": "1", "platform": "linux", "mode": "node", "displayName": "Nobody"}
    return {"minProtocol": 4, "maxProtocol": 4, "client": client, "role": "node", "scopes": [], "device": device}


def altered(key: str) -> dict[str, str]:
    """The same 32 bytes, or nearly, in forms that are not base64url of a key."""
    raw = decoded(key)
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return {
        "standard-alphabet": base64.b64encode(b"\xfb\xff" + raw[2:]).decode(),
        "hex": raw.hex(),
        "newline": key + "\n",
        "space": " " + key,
        "spare-bits": key[:-1] + last[last.index(key[-1]) + 1],
        "31-bytes": encoded(raw[:31]),
        "33-bytes": encoded(raw + b"\x00"),
        "too-much-padding": key + "==",
        "empty": "",
        "no-ascii": "é" * 43,
    }


class TestA12BadKeys:
    """Keys and signatures in any form but the one are refused, before anything is looked up.

    Guards: `_SMALL_ORDER` in `read_public_key` (gateway_client/identity.py): without it signatures that nobody's
    private key made are good, and these keys wait for a person. `decode_base64url` (same file): with
    `urlsafe_b64decode` in its place spare bits and spaces come in. `device_id_of(...) != device.id`
    (bridge/lan/admission.py): without it another key comes in under the paired phone's id. S + L is refused by
    OpenSSL; with S reduced before OpenSSL is asked, the altered signature of the paired phone comes in.
    """

    async def test_some_signatures_need_no_key(self) -> None:
        forged = [key for key in SMALL_ORDER if any(list(signatures_without_a_key(key, b"%d" % n)) for n in range(64))]
        assert len(forged) >= 8

    @pytest.mark.parametrize("key", SMALL_ORDER, ids=lambda key: f"{key[:2].hex()}-{key[-1:].hex()}")
    async def test_a_key_of_small_order(self, castle: Fortress, key: bytes) -> None:
        params: Json | None = None
        async with castle.unharmed():
            for _ in range(200):  # one challenge in eight can be answered, whatever the key
                async with challenged(castle.app_port) as socket:
                    params = block(socket, key, lambda text: next(signatures_without_a_key(key, text), None))
                    if params is not None or not _can_be_forged(key):
                        filler = params or block(socket, key, lambda text: bytes(64)) or {}
                        assert await socket.refusal(filler) == "DEVICE_AUTH_PUBLIC_KEY_INVALID"
                        return
        raise AssertionError("no challenge could be answered")

    @pytest.mark.parametrize("form", altered(encoded(bytes(range(32)))))
    async def test_a_key_in_another_form(self, castle: Fortress, phone: IPhone, form: str) -> None:
        async with castle.unharmed(), challenged(castle.app_port) as socket:
            params = signed(phone, socket.challenge)
            params["device"]["publicKey"] = altered(params["device"]["publicKey"])[form]
            assert await socket.refusal(params) in {"DEVICE_AUTH_PUBLIC_KEY_INVALID", "INVALID_REQUEST"}

    async def test_the_id_of_another_key(self, castle: Fortress, phone: IPhone) -> None:
        stranger = IPhone(castle.bridge.url, castle.bridge.pin)
        own, stranger.node_id = stranger.node_id, phone.node_id  # what it signs and says: the paired phone's id
        async with castle.unharmed(), challenged(castle.app_port) as socket:
            params = stranger.connect_params("node", token_of(phone), (), socket.challenge)
            assert params["device"]["id"] == phone.node_id != own
            assert await socket.refusal(params) == "DEVICE_AUTH_DEVICE_ID_MISMATCH"

    @pytest.mark.parametrize("node_id", ["", "0" * 63, "0" * 64, "g" * 64])
    async def test_an_id_that_is_none(self, castle: Fortress, phone: IPhone, node_id: str) -> None:
        async with castle.unharmed(), challenged(castle.app_port) as socket:
            code = await socket.refusal(signed(phone, socket.challenge, id=node_id))
            assert code == ("DEVICE_AUTH_DEVICE_ID_MISMATCH" if node_id == "0" * 64 else "INVALID_REQUEST")

    async def test_the_id_in_upper_case(self, castle: Fortress, phone: IPhone) -> None:
        async with castle.unharmed(), challenged(castle.app_port) as socket:
            code = await socket.refusal(signed(phone, socket.challenge, id=phone.node_id.upper()))
            assert code == "INVALID_REQUEST"

    async def test_a_signature_with_the_order_added(self, castle: Fortress, phone: IPhone) -> None:
        async with castle.unharmed(), challenged(castle.app_port) as socket:
            params = signed(phone, socket.challenge)
            params["device"]["signature"] = encoded(plus_order(decoded(params["device"]["signature"])))
            assert await socket.refusal(params) == "DEVICE_AUTH_SIGNATURE_INVALID"

    @pytest.mark.parametrize("length", [0, 63, 65])
    async def test_a_signature_of_another_length(self, castle: Fortress, phone: IPhone, length: int) -> None:
        async with castle.unharmed(), challenged(castle.app_port) as socket:
            params = signed(phone, socket.challenge)
            params["device"]["signature"] = encoded((decoded(params["device"]["signature"]) + b"\x00")[:length])
            assert await socket.refusal(params) == "DEVICE_AUTH_SIGNATURE_INVALID"


def _can_be_forged(key: bytes) -> bool:
    """Tell whether OpenSSL takes this encoding at all."""
    return any(next(signatures_without_a_key(key, b"%d" % n), None) for n in range(64))


class TestA13TwoNames:
    """A certificate and a `device` block must name one node.

    Guard: `signed.node_id != certified` in `prove` (bridge/lan/admission.py); without it the block counts for nothing:
    the other native node's gets hello-ok as the canary, the app's is asked to pair for its other platform.
    """

    async def test_the_block_of_an_app(self, castle: Fortress, phone: IPhone, tmp_path: Path) -> None:
        context = showing(client_of(castle.canary), tmp_path)
        async with castle.unharmed(), challenged(castle.node_port, context) as socket:
            assert await socket.refusal(signed(phone, socket.challenge)) == "DEVICE_AUTH_DEVICE_ID_MISMATCH"

    async def test_the_block_of_another_native_node(self, castle: Fortress, tmp_path: Path) -> None:
        key = Ed25519PrivateKey.generate()
        identity = await castle.paired(key)
        async with (
            castle.unharmed(),
            challenged(castle.node_port, showing(client_of(castle.canary), tmp_path)) as socket,
        ):
            assert await socket.refusal(_native(key, socket)) == "DEVICE_AUTH_DEVICE_ID_MISMATCH"
        async with challenged(castle.node_port, showing(client_of(identity), tmp_path)) as socket:
            assert (await socket.say(_native(key, socket)))["ok"], "its own is fine"


def _native(key: Ed25519PrivateKey, socket: Challenged) -> Json:
    own = key.public_key().public_bytes_raw()
    params = block(socket, own, key.sign)
    assert params is not None
    return params
