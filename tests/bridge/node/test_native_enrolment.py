"""The node's side of a native pairing, against the double: what succeeds, and every way in which it must stop.

The tests of the first class take any stage; `STAGES` names those that they run against.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from bridge.node.native_enrolment import DeviceFacts, NativeEnrolment, Wishes
from bridge.node.pairing_errors import (
    AlreadyUnderWay,
    BadAnswer,
    BridgeMismatch,
    BridgeUnreachable,
    Denied,
    Expired,
)
from certs.keys import node_id_of, spki_der
from tests.bridge.node.real_stage import real_stage
from tests.bridge.node.stages import (
    FACTS,
    KINDS,
    WISHES,
    DoubleStage,
    Node,
    Stage,
    approved,
    double_stage,
    end_of,
    enrolling,
    new_key,
    refusal,
)
from tests.doubles.pairing_bridge import PairingBridge, pairing_bridge, refused
from tests.doubles.pairing_crypto import b64
from tests.support.waiting import eventually

STAGES: dict[str, Callable[[Path], AbstractAsyncContextManager[Stage]]] = {"double": double_stage, "real": real_stage}


@pytest.fixture(params=sorted(STAGES))
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    async with STAGES[request.param](tmp_path) as made:
        yield made


class TestSucceeds:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_with_the_code_that_the_person_types(self, stage: Stage, kind: str) -> None:
        node = Node(stage, new_key(kind))
        enrolled = await approved(node, stage)
        certificate = x509.load_pem_x509_certificate(enrolled.certificate.encode())
        assert certificate.public_key() == node.key.public_key()
        assert enrolled.node_id == node.enrolment.node_id == node_id_of(node.key.public_key())
        assert enrolled.spki == stage.spki
        assert set(enrolled.permissions) == set(WISHES.permissions)
        assert enrolled.identity.certificate == enrolled.certificate
        assert (enrolled.identity.host, enrolled.identity.port) == (stage.host, stage.port)
        assert len(node.codes) == 1

    async def test_with_a_link_and_no_code(self, stage: Stage) -> None:
        link = await stage.invite()
        enrolled = await Node(stage, link=link).enrolment.enrol()
        assert enrolled.spki == link.spki == stage.spki

    async def test_with_the_key_that_was_given(self, stage: Stage) -> None:
        enrolled = await approved(Node(stage, spki=stage.spki), stage)
        assert enrolled.spki == stage.spki

    async def test_a_denial_is_one(self, stage: Stage) -> None:
        assert isinstance(await end_of(Node(stage), stage.deny), Denied)

    async def test_the_same_key_may_pair_again(self, stage: Stage) -> None:
        node = Node(stage)
        first = await approved(node, stage)
        node.codes.clear()
        assert (await approved(node, stage)).node_id == first.node_id


class TestSends:
    async def test_the_request_is_the_one_of_the_protocol(self, double: PairingBridge) -> None:
        node = Node(double, draw=lambda length: bytes(range(length)))
        await approved(node, DoubleStage(double))
        (_, path, body), (_, reveal_path, reveal), (method, standing_path, _) = double.seen[:3]
        csr = base64.urlsafe_b64decode(body["csr"] + "=" * (-len(body["csr"]) % 4))
        commit = hashlib.sha256(
            b"clawdis-bridge/1/commit" + len(csr).to_bytes(4, "big") + csr + b"\0\0\0\x20" + bytes(range(32))
        ).digest()
        ceremony = next(iter(double.ceremonies.values()))
        assert path == "/pair/v1/enroll"
        assert body == {
            "v": 1,
            "csr": body["csr"],
            "commit": b64(commit),
            "device": {
                "displayName": "Anna\u2019s iPad",
                "platform": "iPadOS 26.1",
                "instanceId": "i-1",
                "deviceFamily": "iPad",
                "version": "1.0",
            },
            "caps": ["screen", "device"],
            "commands": ["screen.show", "device.info"],
            "permissions": ["voice", "screen", "device"],
        }
        assert (reveal_path, reveal) == (f"/pair/v1/enroll/{ceremony.id}/reveal", {"nonce": b64(bytes(range(32)))})
        assert (method, standing_path) == ("GET", f"/pair/v1/enroll/{ceremony.id}?wait=25")

    async def test_the_token_of_a_link_never_travels(self, double: PairingBridge) -> None:
        link = await DoubleStage(double).invite()
        await Node(double, link=link).enrolment.enrol()
        (_, _, body), (_, _, reveal), *_ = double.seen
        assert body["tokenId"] == "t-1"
        assert len(reveal["tokenProof"]) == 43
        assert b64(link.token) not in repr(double.seen)

    async def test_every_ceremony_has_a_nonce_of_its_own(self, double: PairingBridge) -> None:
        key = new_key()
        for _ in range(2):
            await approved(Node(double, key), DoubleStage(double))
        nonces = [body["nonce"] for _, path, body in double.seen if path.endswith("/reveal")]
        assert len(set(nonces)) == 2

    async def test_it_asks_again_while_nothing_is_decided(self, tmp_path: Path) -> None:
        async with pairing_bridge(tmp_path, hold_s=0.01) as double:
            node = Node(double)
            async with enrolling(node) as task:
                code = await node.code()
                await eventually(lambda: sum("?wait" in path for path in double.paths) >= 2, what="a second question")
                await double.approve(code)
                await task


class TestTheBridgesKey:
    """Guard out, `_transcript` without its comparison: `test_it_must_claim_the_key_it_showed` ends in a code."""

    async def test_it_must_claim_the_key_it_showed(self, double: PairingBridge) -> None:
        double.twists["opened"] = lambda answer: answer["bridge"].update(spki="ab" * 32)
        node = Node(double)
        error = await refusal(node)
        assert isinstance(error, BridgeMismatch)
        assert (error.expected, error.seen) == (double.spki, "ab" * 32)
        assert double.paths == ["/pair/v1/enroll"]
        assert node.codes == []

    @pytest.mark.parametrize("how", ["link", "spki"])
    async def test_nothing_is_sent_to_another_key_than_the_one_that_is_known(
        self, double: PairingBridge, how: str
    ) -> None:
        link = await DoubleStage(double).invite()
        double.use_key(ec.generate_private_key(ec.SECP256R1()))
        node = Node(double, **({"link": link} if how == "link" else {"spki": link.spki}))
        error = await refusal(node)
        assert isinstance(error, BridgeMismatch)
        assert (error.expected, error.seen) == (link.spki, double.spki)
        assert double.seen == []

    async def test_it_must_stay_the_same_on_every_connection(self, double: PairingBridge) -> None:
        """A man in the middle who takes over after the reveal: the next connection shows his key."""
        first = double.spki

        def cut() -> web.StreamResponse:
            double.use_key(ec.generate_private_key(ec.SECP256R1()))
            answer = refused(503, "UNAVAILABLE", "busy")
            answer.force_close()
            return answer

        double.answers["/pair/v1/enroll/r"] = lambda: cut() if "?wait" in double.paths[-1] else web.Response(status=204)
        error = await refusal(Node(double))
        assert isinstance(error, BridgeMismatch)
        assert (error.expected, error.seen) == (first, double.spki)

    async def test_it_is_not_our_own(self, double: PairingBridge) -> None:
        node = Node(double, double.key)
        assert isinstance(await refusal(node), BadAnswer)
        assert node.codes == []

    def test_a_pin_that_is_none_is_the_callers_fault(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="pin"):
            NativeEnrolment("127.0.0.1", 1, new_key(), FACTS, WISHES, print, spki="no pin")

    def test_a_host_that_is_none_is_the_callers_fault(self) -> None:
        with pytest.raises(ValueError, match="host"):
            NativeEnrolment("a/b", 1, new_key(), FACTS, WISHES, print)


class TestTime:
    async def test_it_ends_after_its_own_time_whatever_the_bridge_says(self, double: PairingBridge) -> None:
        double.twists["opened"] = lambda answer: answer.update(expiresInMs=10**12)
        node = Node(double, limit_s=0.3)
        assert isinstance(await refusal(node), Expired)
        assert len(node.codes) == 1

    async def test_a_bridge_that_answers_at_once_is_asked_once_a_second(self, tmp_path: Path) -> None:
        """Guard out, `POLL_PAUSE_S` in `_decided`: dozens of questions."""
        async with pairing_bridge(tmp_path, hold_s=0.0) as double:
            assert isinstance(await refusal(Node(double, limit_s=0.7)), Expired)
            assert sum("?wait" in path for path in double.paths) == 1

    async def test_a_bridge_that_never_answers_does_not_hold_it(self, double: PairingBridge) -> None:
        async with silent() as port:
            assert isinstance(await refusal(Node(double, limit_s=0.3, port=port)), Expired)

    async def test_nobody_there_is_said(self, double: PairingBridge) -> None:
        async with silent() as port:
            pass
        assert isinstance(await refusal(Node(double, port=port)), BridgeUnreachable)

    async def test_a_lost_connection_while_it_waits_ends_nothing(self, double: PairingBridge) -> None:
        node = Node(double)
        async with enrolling(node) as task:
            code = await node.code()
            double.cuts["/pair/v1/enroll/r"] = 2
            await eventually(lambda: not double.cuts["/pair/v1/enroll/r"], what="two lost questions")
            await double.approve(code)
            assert (await task).node_id == node.enrolment.node_id
        assert node.codes == [code]
        assert double.paths.count("/pair/v1/enroll") == 1


@asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """Accept connections on a loopback port and never say a word."""
    held: list[asyncio.StreamWriter] = []

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in held:
            writer.transport.abort()


class TestAlone:
    async def test_a_key_pairs_once_at_a_time(self, double: PairingBridge) -> None:
        node = Node(double)
        async with enrolling(node) as task:
            code = await node.code()
            for second in (node, Node(double, node.key)):
                assert isinstance(await refusal(second), AlreadyUnderWay)
            assert double.paths.count("/pair/v1/enroll") == 1
            await double.approve(code)
            await task

    async def test_another_key_may(self, double: PairingBridge) -> None:
        nodes = [Node(double), Node(double, new_key("ed25519"))]

        async def approve_both() -> None:
            for node in nodes:
                await node.code()
            for ceremony in double.ceremonies.values():
                double.grant(ceremony)

        *enrolled, _ = await asyncio.gather(*(node.enrolment.enrol() for node in nodes), approve_both())
        assert [each.node_id for each in enrolled if each] == [node.enrolment.node_id for node in nodes]

    async def test_a_cancelled_one_leaves_room(self, double: PairingBridge) -> None:
        node = Node(double)
        async with enrolling(node) as task:
            await node.code()
            task.cancel()
        node.codes.clear()
        double.ceremonies.clear()
        await approved(node, DoubleStage(double))


class TestSecrets:
    async def test_no_repr_shows_a_key(self, double: PairingBridge) -> None:
        enrolled = await approved(Node(double), DoubleStage(double))
        assert "private" not in repr(enrolled).lower()
        assert "BEGIN" not in repr(enrolled.identity)

    def test_labels_that_are_not_set_are_left_out(self) -> None:
        assert DeviceFacts("a", "b", "c").as_json() == {"displayName": "a", "platform": "b", "instanceId": "c"}
        assert Wishes() == Wishes((), (), ())

    def test_the_key_of_a_node_is_its_spki(self) -> None:
        assert len(spki_der(new_key().public_key())) == 91
