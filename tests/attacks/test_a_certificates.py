"""Attacks A3 to A7: on the node port, without a certificate and with all those that must not open it."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bridge.control.requests import RevokeBody
from bridge.control.routes import ROUTES
from certs.csr import build_csr
from certs.leaf import LEAF_LIFETIME
from gateway_client.identity import encode_base64url
from tests.attacks.certified import FORBIDDEN, UPGRADED, Visit, authority_of, client_of, issued, showing
from tests.attacks.fortress import Fortress
from tests.attacks.in_clear import logged, now_in
from tests.attacks.strangers import ask
from tests.bridge.lan.wire import UPGRADE, peer
from tests.support.certificates import REASONS, Hostile, hostile_client
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOON_S = 5.0  # seconds for an answer that waits for no body: half of what a request may take
SHORT_LIFE = timedelta(seconds=3)
LOCAL = sorted({(route.method, re.sub(r"\{id\}", "a", route.path)) for route in ROUTES})


def fresh_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


class TestA3NoCertificate:
    """Without a certificate nothing answers but pairing, and nothing reads a body.

    Guards: `guest.node_id is None` in `_answer` (bridge/lan/listener.py): without it the upgrade gets 101; the same
    in `_identity` (bridge/lan/pair_pages.py): 404 instead of 401; the nonce and the proof in `_proven_by_body`, and
    the proof of a poll in `_proven` (bridge/pairing/issuing.py): each hands out a certificate.
    """

    @pytest.mark.parametrize("body", [b"", b"Content-Length: 1000000\r\n", b"Transfer-Encoding: chunked\r\n"])
    async def test_no_websocket(self, castle: Fortress, body: bytes) -> None:
        async with castle.unharmed(), peer(castle.node_port) as client:
            await client.say(UPGRADE % (b"/", body))
            assert (await client.rest(SOON_S)).startswith(FORBIDDEN)

    @pytest.mark.parametrize("body", [b"", b"Content-Length: 1000000\r\n"])
    async def test_no_identity(self, castle: Fortress, body: bytes) -> None:
        async with castle.unharmed(), peer(castle.node_port) as client:
            await client.say(b"GET /pair/v1/identity HTTP/1.1\r\nHost: x\r\n%s\r\n" % body)
            assert (await client.rest(SOON_S)).startswith(b"HTTP/1.1 401 ")

    @pytest.mark.parametrize("proof", [{}, {"nonce": "A" * 43, "proof": "AAAA"}], ids=["none", "made-up"])
    async def test_no_renewal(self, castle: Fortress, proof: dict[str, str]) -> None:
        csr = encode_base64url(build_csr(castle.canary.private_key))
        body = {"csr": csr, "nodeId": castle.canary.node_id, **proof}
        async with castle.unharmed():
            answer = await ask(castle.node_port, "POST", "/pair/v1/renew", body if proof else {"csr": csr})
            assert answer.refusal == (403, "NOT_PAIRED")

    async def test_no_certificate_of_another_request(self, castle: Fortress) -> None:
        stored = castle.store()[castle.canary.node_id]
        async with castle.unharmed():
            answer = await ask(castle.node_port, "GET", f"/pair/v1/enroll/{stored['enrolment']['requestId']}?wait=0")
            assert answer.refusal == (404, "NOT_FOUND")

    async def test_no_local_control(self, castle: Fortress) -> None:
        async with castle.unharmed():
            for port in (castle.node_port, castle.app_port):
                for method, path in LOCAL:
                    answer = await ask(port, method, path, {})
                    assert (answer.status, answer.body) == (404, b""), (method, path)


class TestA4BadCertificates:
    """Eight certificates that TLS must refuse, most of them for the canary's own key.

    Guards: `verify_mode` in `node_server_context` (certs/context.py), set to `CERT_NONE` once the canary is in: all
    eight get an answer. OpenSSL's check of dates (flag 0x200000): the first two get 101. OpenSSL's security level, set
    to 0 by `set_ciphers`: SHA-1 gets 101, RSA-1024 a 403.
    """

    @pytest.mark.parametrize("what", REASONS)
    async def test_it_is_refused(self, castle: Fortress, tmp_path: Path, what: Hostile) -> None:
        canary = client_of(castle.canary)
        key = canary.key if what is not Hostile.SIGNED_BY_A_LEAF else None  # signed by the canary for someone else
        client = hostile_client(what, authority_of(castle), datetime.now(UTC), canary, key)
        async with castle.unharmed():
            since = now_in(castle)
            visit = await asyncio.to_thread(Visit, castle.node_port, showing(client, tmp_path))
            assert visit.answer == b""
            (line,) = await logged(castle, "tls-refused", since)
            assert (line["reason"], line["address"]) == (REASONS[what], "127.0.0.1")

    async def test_the_good_one_opens(self, castle: Fortress, tmp_path: Path) -> None:
        visit = await asyncio.to_thread(Visit, castle.node_port, showing(client_of(castle.canary), tmp_path))
        assert visit.answer.startswith(UPGRADED)


class TestA5KeyNotInTheStore:
    """A certificate of our own authority opens nothing unless the store knows its key.

    Guard: `record is None` in `guest_of` (bridge/lan/guest.py); without it the upgrade gets 101 and a challenge.
    """

    async def test_a_key_that_never_was(self, castle: Fortress, tmp_path: Path) -> None:
        async with castle.unharmed():
            await _refused(castle, tmp_path, fresh_key(), "the store does not know its key")

    async def test_a_key_that_was_deleted_by_hand(self, castle: Fortress, tmp_path: Path) -> None:
        key = fresh_key()
        identity = await castle.paired(key)
        visit = await asyncio.to_thread(Visit, castle.node_port, showing(client_of(identity), tmp_path))
        assert visit.answer.startswith(UPGRADED)
        await castle.bridge.stop()
        _delete(castle.bridge.home / "paired-nodes.json", identity.node_id)
        await castle.bridge.start()
        await castle.bridge.connected()
        async with castle.unharmed():
            await _refused(castle, tmp_path, key, "the store does not know its key")


async def _refused(castle: Fortress, folder: Path, key: ec.EllipticCurvePrivateKey, why: str) -> None:
    since = now_in(castle)
    visit = await asyncio.to_thread(Visit, castle.node_port, showing(issued(castle, key), folder))
    assert visit.answer.startswith(FORBIDDEN)
    (line,) = await logged(castle, "certificate-refused", since)
    assert line["why"] == why


def _delete(file: Path, node_id: str) -> None:
    document: dict[str, Any] = json.loads(file.read_text())
    document["nodes"] = [node for node in document["nodes"] if node["nodeId"] != node_id]
    file.write_bytes(orjson.dumps(document))


class TestA6TwinOfAPairedNode:
    """Another key under a paired node's name, alternative names and serial number: who one is, is the key.

    Guard: `read_leaf` (certs/leaf.py) takes the id from the key, and refuses names that are not its own. Without the
    latter the log gives another reason; with the id from the common name besides, the upgrade gets 101 as the canary.
    """

    async def test_it_is_refused(self, castle: Fortress, tmp_path: Path) -> None:
        canary = client_of(castle.canary)
        twin = hostile_client(Hostile.TWIN, authority_of(castle), datetime.now(UTC), canary)
        assert twin.certificate.subject == canary.certificate.subject
        assert twin.certificate.serial_number == canary.certificate.serial_number
        async with castle.unharmed():
            since = now_in(castle)
            visit = await asyncio.to_thread(Visit, castle.node_port, showing(twin, tmp_path))
            assert visit.answer.startswith(FORBIDDEN)
            (line,) = await logged(castle, "certificate-refused", since)
            assert line["why"] == "the certificate's names are not those of its key"


class TestA7Resumption:
    """A session that began while all was well opens nothing afterwards.

    Guards: `num_tickets = 0` (certs/context.py); without it the client has a ticket, and `session_reused` is True.
    Behind it `tls.session_reused` in `_guest` (bridge/lan/listener.py); without both, the node whose certificate has
    expired gets 101 again.
    """

    async def test_after_a_revocation(self, castle: Fortress, tmp_path: Path) -> None:
        key = fresh_key()
        identity = await castle.paired(key)
        context = showing(client_of(identity), tmp_path)
        first = await _first_visit(castle, context)
        await castle.bridge.ask(lambda: castle.bridge.client.revoke(RevokeBody(ids=[identity.node_id])))
        await eventually(lambda: not castle.store()[identity.node_id]["staleUpstream"], what="removed upstream")
        async with castle.unharmed():
            again = await asyncio.to_thread(Visit, castle.node_port, context, first.session)
            assert not again.reused
            assert again.answer.startswith(FORBIDDEN)

    async def test_after_its_certificate_has_expired(self, castle: Fortress, tmp_path: Path) -> None:
        key = fresh_key()
        await castle.paired(key)
        dying = issued(castle, key, datetime.now(UTC) - LEAF_LIFETIME + SHORT_LIFE)
        context = showing(dying, tmp_path)
        first = await _first_visit(castle, context)
        await eventually(lambda: datetime.now(UTC) > dying.certificate.not_valid_after_utc + timedelta(seconds=1))
        async with castle.unharmed():
            since = now_in(castle)
            again = await asyncio.to_thread(Visit, castle.node_port, context, first.session)
            assert not again.reused
            assert again.answer == b""
            (line,) = await logged(castle, "tls-refused", since)
            assert line["reason"] == REASONS[Hostile.EXPIRED]


async def _first_visit(castle: Fortress, context: Any) -> Visit:
    visit = await asyncio.to_thread(Visit, castle.node_port, context)
    assert visit.answer.startswith(UPGRADED)
    assert visit.session is not None
    assert not visit.session.has_ticket
    return visit
