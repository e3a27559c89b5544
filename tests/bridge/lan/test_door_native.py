"""The door and `/pair/v1`: who begins ceremonies too often waits, and who proves its key costs nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography import x509

from bridge.pairing.transcript import Transcript, commitment, fetch_digest, short_code
from certs.keys import sign, spki_der
from gateway_client.identity import decode_base64url, encode_base64url
from tests.bridge.house import House, house
from tests.bridge.lan.doors import Recording
from tests.bridge.lan.wire import ask, client_context, peer
from tests.bridge.pairing.native import NativePhone
from tests.support.certificates import Client
from tests.support.waiting import eventually

NODE = NativePhone()


async def call(bridge: House, method: str, page: str, body: Any = None, headers: str = "") -> tuple[int, Any]:
    """One request of a node; returns status and document, and waits until the door has seen it go."""
    data = b"" if body is None else orjson.dumps(body)
    head = f"{method} /pair/v1/{page} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}"
    answer = await ask(bridge.nodes.port, f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
    await eventually(lambda: bridge.door.count == 0)
    start, _, rest = answer.partition(b"\r\n\r\n")
    return int(start.split()[1]), orjson.loads(rest) if rest else None


async def begin(bridge: House) -> tuple[int, Any]:
    """Begins a ceremony."""
    device = {"displayName": "iPad", "platform": "iPadOS 26.1", "instanceId": "i-1"}
    csr, commit = encode_base64url(NODE.csr.der), encode_base64url(commitment(NODE.csr.der, NODE.nonce))
    body = {
        "v": 1,
        "csr": csr,
        "commit": commit,
        "device": device,
        "caps": [],
        "commands": [],
        "permissions": ["voice"],
    }
    return await call(bridge, "POST", "enroll", body)


async def proof_of(bridge: House) -> tuple[str, str]:
    """Begins and reveals a ceremony; returns its id and the header that proves its key."""
    status, begun = await begin(bridge)
    assert status == 201, begun
    nonce = {"nonce": encode_base64url(NODE.nonce)}
    assert (await call(bridge, "POST", f"enroll/{begun['id']}/reveal", nonce))[0] == 204
    transcript = Transcript(
        spki_der(bridge.identity.key.public_key()),
        spki_der(NODE.key.public_key()),
        NODE.csr.der,
        begun["device"]["displayName"],
        tuple(begun["permissions"]),
        NODE.nonce,
        decode_base64url(begun["nonce"], 32),
        begun["id"],
    )
    proof = encode_base64url(sign(NODE.key, fetch_digest(transcript.digest())))
    return begun["id"], f"X-Bridge-Proof: {proof}\r\n"


async def test_the_fourth_ceremony_of_an_address_within_a_minute_is_refused(tmp_path: Path) -> None:
    """Red without the budget of pairings: the fourth is begun, too."""
    async with house(tmp_path / "home", door=Recording()) as bridge:
        assert [(await begin(bridge))[0] for _ in range(3)] == [201] * 3
        status, answer = await begin(bridge)
    assert (status, answer["error"]["code"]) == (429, "RATE_LIMITED")
    assert 0 < answer["error"]["retryAfterMs"] <= 60_000


async def test_a_node_that_waits_with_its_proof_is_never_turned_away(tmp_path: Path) -> None:
    """Red when polls are not given back: out after one."""
    async with house(tmp_path / "home", door=(door := Recording(handshakes=3))) as bridge:
        name, header = await proof_of(bridge)
        for _ in range(20):
            status, document = await call(bridge, "GET", f"enroll/{name}?wait=0", headers=header)
            assert (status, document["status"]) == (200, "pending")
    assert door.turned_away == []


@pytest.mark.parametrize("is_approved", [True, False])
async def test_an_outcome_is_fetched_once_for_nothing(tmp_path: Path, is_approved: bool) -> None:
    """Red when every poll with a proof is given back: it may be fetched for ever."""
    async with house(tmp_path / "home", door=(door := Recording(handshakes=6))) as bridge:
        name, header = await proof_of(bridge)  # two attempts
        request = bridge.reception.desk.get(name)
        assert request is not None
        assert request.draft.native is not None
        if is_approved:
            await bridge.reception.approve(request, None, None, short_code(request.draft.native.transcript))
        else:
            bridge.reception.deny(request)
        for _ in range(5):
            status, document = await call(bridge, "GET", f"enroll/{name}?wait=0", headers=header)
            assert (status, document["status"]) == (200, "approved" if is_approved else "denied")
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(5), peer(bridge.nodes.port):
                pass
    assert len(door.turned_away) == 1


async def test_who_shows_its_certificate_costs_nothing(tmp_path: Path) -> None:
    """Red when such answers are not given back: out after four. Refusals count, such as of a `knows` that is none."""
    async with house(tmp_path / "home", door=(door := Recording(handshakes=6))) as bridge:
        name, header = await proof_of(bridge)  # two attempts
        request = bridge.reception.desk.get(name)
        assert request is not None
        assert request.draft.native is not None
        await bridge.reception.approve(request, None, None, short_code(request.draft.native.transcript))
        _, document = await call(bridge, "GET", f"enroll/{name}?wait=0", headers=header)
        leaf = x509.load_pem_x509_certificate(document["certificate"].encode())
        context = Client(NODE.key, (leaf,)).equip(client_context("http/1.1"), tmp_path)

        async def identity(query: bytes) -> bytes:
            async with peer(bridge.nodes.port, context) as node:
                await node.say(b"GET /pair/v1/identity%s HTTP/1.1\r\nHost: x\r\n\r\n" % query)
                answer = await node.rest()
            await eventually(lambda: bridge.door.count == 0)
            return answer[:12]

        assert {await identity(b"") for _ in range(10)} == {b"HTTP/1.1 200"}
        assert [await identity(b"?knows=" + name) for name in (b"", b"ab", b"AB" * 32)] == [b"HTTP/1.1 400"] * 3
    assert door.turned_away == []


@pytest.mark.parametrize("page", ["enroll/{}?wait=25", "enroll/unknown?wait=25", "identity", "nothing"])
async def test_a_question_without_proof_counts(tmp_path: Path, page: str) -> None:
    async with house(tmp_path / "home", door=Recording(handshakes=5)) as bridge:
        name, _ = await proof_of(bridge)
        for _ in range(3):
            status, _ = await call(bridge, "GET", page.format(name))
            assert status in (401, 404)
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(5), peer(bridge.nodes.port):
                pass


async def test_challenges_count_whoever_asks(tmp_path: Path) -> None:
    async with house(tmp_path / "home", door=Recording(handshakes=3)) as bridge:
        for _ in range(3):
            assert (await call(bridge, "POST", "renew/challenge", {"nodeId": NODE.node_id}))[0] == 200
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(5), peer(bridge.nodes.port):
                pass
