"""The routes of `/pair/v1` over TLS: what a stranger may ask, in which form, and how much of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.pairing.enrolment_bodies import MAX_BODY_BYTES
from bridge.pairing.transcript import Transcript, commitment, fetch_digest, short_code
from certs.csr import build_csr
from certs.keys import sign, spki_der
from gateway_client.identity import decode_base64url, encode_base64url
from tests.bridge.house import House, house
from tests.bridge.lan.wire import UPGRADE, ask
from tests.bridge.pairing.native import NativePhone

DEVICE = {"displayName": "Anna's iPhone", "platform": "ios 26.1", "instanceId": "i1"}


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[House]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    async with house(home) as made:
        yield made


class Answer:
    """An HTTP answer, taken apart."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(b":") for line in lines[1:])}

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])


async def send(bridge: House, method: str, path: str, body: object = None, **headers: str) -> Answer:
    """Ask the node port, without a certificate."""
    data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    lines = {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    raw = await ask(bridge.nodes.port, f"{method} {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode() + data)
    return Answer(raw)


class Ceremony:
    """One native node's requests, by hand."""

    def __init__(self, bridge: House, number: int = 0) -> None:
        self.bridge = bridge
        self.phone = NativePhone(number)
        self.opened: dict[str, Any] = {}

    def body(self, **changes: object) -> dict[str, object]:
        """Return the body of `enroll`."""
        commit = encode_base64url(commitment(self.phone.csr.der, self.phone.nonce))
        body = {"v": 1, "csr": encode_base64url(self.phone.csr.der), "commit": commit, "device": DEVICE}
        return {**body, "permissions": ["voice", "screen"], "commands": ["screen.show"], **changes}

    async def begin(self, **changes: object) -> Answer:
        """Begin; remember the 201."""
        answer = await send(self.bridge, "POST", "/pair/v1/enroll", self.body(**changes))
        if answer.status == 201:
            self.opened = answer.json
        return answer

    async def reveal(self, nonce: bytes | None = None, **more: object) -> Answer:
        """Open the commitment."""
        body = {"nonce": encode_base64url(nonce or self.phone.nonce), **more}
        return await send(self.bridge, "POST", f"/pair/v1/enroll/{self.opened['id']}/reveal", body)

    @property
    def transcript(self) -> bytes:
        """The node's own digest."""
        return Transcript(
            spki_der(self.bridge.identity.key.public_key()),
            spki_der(self.phone.key.public_key()),
            self.phone.csr.der,
            self.opened["device"]["displayName"],
            self.opened["permissions"],
            self.phone.nonce,
            decode_base64url(self.opened["nonce"], 32),
            self.opened["id"],
        ).digest()

    async def poll(self, wait: int = 0, proof: str | None = None) -> Answer:
        """Ask how it stands."""
        signed = encode_base64url(sign(self.phone.key, fetch_digest(self.transcript)))
        path = f"/pair/v1/enroll/{self.opened['id']}?wait={wait}"
        return await send(self.bridge, "GET", path, **{"X-Bridge-Proof": signed if proof is None else proof})

    async def approved(self) -> None:
        """Go as far as the approval, with the code that the node shows."""
        assert (await self.begin()).status == 201
        assert (await self.reveal()).status == 204
        (request,) = self.bridge.reception.desk.pending()
        await self.bridge.reception.approve(request, None, None, short_code(self.transcript))


class TestEnroll:
    async def test_the_201_says_what_was_understood(self, bridge: House) -> None:
        ceremony = Ceremony(bridge)
        answer = await ceremony.begin(device={**DEVICE, "displayName": "A\u202enna"})
        assert answer.status == 201
        assert answer.json["bridge"] == {"spki": bridge.identity.spki, "name": "Test Bridge"}
        assert answer.json["device"] == {"displayName": "Anna", "platform": "ios 26.1", "version": "0"}
        assert answer.json["permissions"] == ["screen", "voice"]
        assert answer.json["expiresInMs"] == 300_000
        assert len(decode_base64url(answer.json["nonce"], 32)) == 32
        assert answer.headers[b"cache-control"] == b"no-store"
        assert answer.headers[b"connection"] == b"close"
        assert answer.headers.get(b"server", b"") == b""

    async def test_no_prompt_appears_before_the_reveal(self, bridge: House) -> None:
        ceremony = Ceremony(bridge)
        await ceremony.begin()
        assert bridge.reception.desk.pending() == []
        assert (await ceremony.reveal()).status == 204
        (request,) = bridge.reception.desk.pending()
        assert request.id == ceremony.opened["id"]
        assert request.draft.labels.display_name == DEVICE["displayName"]

    async def test_a_key_of_the_bridge_is_refused(self, bridge: House) -> None:
        for key in (bridge.identity.key, bridge.certificates.authority.key):
            answer = await Ceremony(bridge).begin(csr=encode_base64url(build_csr(key)))
            assert (answer.status, answer.code) == (400, "BAD_CSR")

    async def test_while_pairing_is_closed_nothing_begins(self, tmp_path: Path) -> None:
        (tmp_path / "home").mkdir(mode=0o700)
        async with house(tmp_path / "home", always_open=False) as bridge:
            answer = await Ceremony(bridge).begin()
            assert (answer.status, answer.code) == (403, "PAIRING_CLOSED")
            bridge.reception.open_window()
            assert (await Ceremony(bridge).begin()).status == 201

    async def test_after_ten_without_an_approval_it_closes_until_a_person_opens(self, bridge: House) -> None:
        for number in range(10):
            assert (await Ceremony(bridge, number).begin()).status == 201
        answer = await Ceremony(bridge, 10).begin()
        assert (answer.status, answer.code) == (429, "TOO_MANY_CEREMONIES")
        await bridge.operations.codes.open_window()
        assert (await Ceremony(bridge, 11).begin()).status == 201

    async def test_an_approved_one_does_not_count(self, bridge: House) -> None:
        for number in range(12):
            await Ceremony(bridge, number).approved()

    async def test_a_denied_key_asks_nobody(self, bridge: House) -> None:
        ceremony = Ceremony(bridge)
        await ceremony.begin()
        await ceremony.reveal()
        bridge.reception.deny(bridge.reception.desk.pending()[0])
        assert (await ceremony.poll()).json == {"status": "denied"}
        answer = await ceremony.begin()
        assert (answer.status, answer.code) == (403, "DENIED")
        assert answer.json["error"]["retryAfterMs"] > 800_000
        await bridge.operations.codes.open_window()
        assert (await ceremony.begin()).status == 201

    async def test_a_revoked_key_waits_for_a_person_and_its_prompt_says_so(self, bridge: House) -> None:
        ceremony = Ceremony(bridge)
        await ceremony.approved()
        await bridge.reception.revoke(ceremony.phone.node_id)
        assert (await ceremony.begin()).code == "DENIED"
        await bridge.operations.codes.open_window()
        await ceremony.begin()
        await ceremony.reveal()
        (row,) = await bridge.operations.pending()
        assert row.previously_revoked
        assert bridge.store.nodes[ceremony.phone.node_id].revoked_at is not None


class TestPoll:
    async def test_the_certificate_comes_with_the_approval_and_again(self, bridge: House) -> None:
        ceremony = Ceremony(bridge)
        await ceremony.approved()
        first, again = await ceremony.poll(), await ceremony.poll()
        assert first.json["status"] == again.json["status"] == "approved"
        assert first.json["nodeId"] == ceremony.phone.node_id
        assert first.json["permissions"] == ["screen", "voice"]
        assert first.json["certificate"].startswith("-----BEGIN CERTIFICATE-----")
        assert bridge.store.nodes[ceremony.phone.node_id].certificate is not None

    @pytest.mark.parametrize("proof", ["", "AAAA", "x" * 200, "=", encode_base64url(b"\x30\x06" + b"\x02\x01\x01" * 2)])
    async def test_without_the_proof_it_is_as_if_there_were_nothing(self, bridge: House, proof: str) -> None:
        ceremony = Ceremony(bridge)
        await ceremony.begin()
        await ceremony.reveal()
        answer, unknown = await ceremony.poll(25, proof), await send(bridge, "GET", "/pair/v1/enroll/nope?wait=25")
        assert (answer.status, answer.body) == (unknown.status, unknown.body) == (404, answer.body)

    async def test_the_proof_of_another_ceremony_is_none(self, bridge: House) -> None:
        mine, other = Ceremony(bridge), Ceremony(bridge, 1)
        await mine.approved()
        await other.approved()
        other.opened = mine.opened
        assert (await other.poll()).status == 404

    async def test_before_the_reveal_there_is_nothing(self, bridge: House) -> None:
        ceremony = Ceremony(bridge)
        await ceremony.begin()
        assert (await ceremony.poll()).status == 404

    async def test_a_revoked_node_fetches_nothing(self, bridge: House) -> None:
        ceremony = Ceremony(bridge)
        await ceremony.approved()
        await bridge.reception.revoke(ceremony.phone.node_id)
        assert (await ceremony.poll()).status == 404

    @pytest.mark.parametrize("wait", ["-1", "x", "1e3", "", "9999"])
    async def test_a_wait_that_is_none_is_refused(self, bridge: House, wait: str) -> None:
        assert (await send(bridge, "GET", f"/pair/v1/enroll/nope?wait={wait}")).status == 400


class TestForm:
    @pytest.mark.parametrize(
        "path",
        [
            "/pair/v1/",
            "/pair/v1/enroll/",
            "/pair/v1/enroll/a/b",
            "/pair/v1/enroll/../status",
            "/pair/v1/%65nroll",
            "/pair/v1/enroll/a%2fb/reveal",
            "/pair/v1/ENROLL",
            "/pair/v2/enroll",
            "/v1/status",
            "/v1/nodes",
        ],
    )
    async def test_any_other_path_is_not_there(self, bridge: House, path: str) -> None:
        for method in ("GET", "POST"):
            assert (await send(bridge, method, path, {})).status == 404

    @pytest.mark.parametrize(("method", "path"), [("GET", "/pair/v1/enroll"), ("DELETE", "/pair/v1/enroll/a")])
    async def test_neither_is_another_method(self, bridge: House, method: str, path: str) -> None:
        assert (await send(bridge, method, path)).status == 404

    async def test_a_long_body_is_refused_by_its_size(self, bridge: House) -> None:
        answer = await send(bridge, "POST", "/pair/v1/enroll", b" " * (MAX_BODY_BYTES + 1))
        assert (answer.status, answer.code) == (413, "TOO_LARGE")

    async def test_so_is_one_that_does_not_say_how_long_it_is(self, bridge: House) -> None:
        chunk = b"%x\r\n" % (MAX_BODY_BYTES + 1) + b" " * (MAX_BODY_BYTES + 1) + b"\r\n0\r\n\r\n"
        head = b"POST /pair/v1/enroll HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        answer = Answer(await ask(bridge.nodes.port, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk))
        assert (answer.status, answer.code) == (413, "TOO_LARGE")

    async def test_a_connection_has_one_request(self, bridge: House) -> None:
        """The door counts connections. Guard out, `force_close` in `_bare`: as many requests as it likes for one."""
        body = orjson.dumps({"nodeId": "ab" * 32})
        head = b"POST /pair/v1/renew/challenge HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        raw = await ask(bridge.nodes.port, (head + b"Content-Length: %d\r\n\r\n" % len(body) + body) * 5)
        assert raw.count(b"HTTP/1.1 200") == 1

    @pytest.mark.parametrize("content", ["text/plain", "application/x-www-form-urlencoded", ""])
    async def test_a_body_of_another_type_is_refused(self, bridge: House, content: str) -> None:
        body = Ceremony(bridge).body()
        answer = await send(bridge, "POST", "/pair/v1/enroll", body, **{"Content-Type": content})
        assert (answer.status, answer.code) == (400, "BAD_REQUEST")

    async def test_a_browser_is_refused(self, bridge: House) -> None:
        answer = await send(bridge, "POST", "/pair/v1/enroll", Ceremony(bridge).body(), Origin="https://evil.example")
        assert (answer.status, answer.body) == (403, b"")

    async def test_the_app_port_has_none_of_it(self, bridge: House) -> None:
        raw = await ask(bridge.apps.port, b"POST /pair/v1/enroll HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert (Answer(raw).status, Answer(raw).body) == (404, b"")

    async def test_without_a_certificate_there_is_no_websocket_and_no_identity(self, bridge: House) -> None:
        raw = await ask(bridge.nodes.port, UPGRADE % (b"/", b""))
        assert (Answer(raw).status, Answer(raw).code) == (403, "NOT_PAIRED")
        assert (await send(bridge, "GET", "/pair/v1/identity")).code == "UNAUTHORIZED"


class TestRenewal:
    async def test_the_challenge_is_the_same_for_a_key_that_nobody_knows(self, bridge: House) -> None:
        ceremony = Ceremony(bridge)
        await ceremony.approved()
        for node_id in (ceremony.phone.node_id, "ab" * 32):
            answer = await send(bridge, "POST", "/pair/v1/renew/challenge", {"nodeId": node_id})
            assert answer.status == 200
            assert answer.json.keys() == {"nonce"}

    async def test_without_a_certificate_or_a_proof_nothing_is_issued(self, bridge: House) -> None:
        ceremony = Ceremony(bridge)
        await ceremony.approved()
        csr = encode_base64url(ceremony.phone.csr.der)
        challenge = await send(bridge, "POST", "/pair/v1/renew/challenge", {"nodeId": ceremony.phone.node_id})
        for more in ({}, {"nodeId": ceremony.phone.node_id, "nonce": challenge.json["nonce"], "proof": "AAAA"}):
            answer = await send(bridge, "POST", "/pair/v1/renew", {"csr": csr, **more})
            assert (answer.status, answer.code) == (403, "NOT_PAIRED")

    @pytest.mark.parametrize("name", ["", "ab", "AB" * 32, "g" * 64, 1])
    async def test_the_name_of_a_next_key_is_a_hash(self, bridge: House, name: object) -> None:
        csr = encode_base64url(NativePhone().csr.der)
        answer = await send(bridge, "POST", "/pair/v1/renew", {"csr": csr, "knowsNext": name})
        assert (answer.status, answer.code) == (400, "BAD_REQUEST")
