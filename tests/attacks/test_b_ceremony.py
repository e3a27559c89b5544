"""B2, B3, B5: whoever stands between a node and the bridge, or bends a ceremony, wins nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec

from bridge.errors import WrongCode
from bridge.node.native_enrolment import NativeEnrolment
from bridge.node.pairing_errors import BadAnswer, BridgeMismatch, EnrolmentError
from bridge.pairing.ceremony import REVEAL_S, Ceremonies, Fault
from bridge.pairing.transcript import commitment
from certs.csr import build_csr
from certs.keys import spki_der
from certs.store import KeyFolder
from gateway_client.identity import encode_base64url
from tests.attacks.fortress import Fortress
from tests.attacks.middle import NONCE, Middle, middle
from tests.attacks.strangers import Stranger, approve, ask, open_anew, pending, victim
from tests.bridge.pairing.native import NONCE_BRIDGE, NativePhone
from tests.doubles.pairing_bridge import PairingBridge, pairing_bridge
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest_asyncio.fixture(loop_scope="package")
async def man(gate: Fortress, tmp_path: Path) -> AsyncIterator[Middle]:
    async with middle(gate.node_port, tmp_path) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="package")
async def double(tmp_path: Path) -> AsyncIterator[PairingBridge]:
    async with pairing_bridge(tmp_path) as made:
        yield made


def relays(man: Middle) -> None:
    """Hand everything on as it is, but for his key in TLS."""


def claims(man: Middle) -> None:
    """Say that his key is the bridge's."""
    man.down = man.claim


def swaps_the_key(man: Middle) -> None:
    """Have his own key paired under the node's name, with a nonce that he chose before he saw the bridge's."""
    man.up, man.down, man.nonce = man.swap_key, man.claim, NONCE


def swaps_the_nonce(man: Middle) -> None:
    """Give the node another nonce than the bridge's."""
    man.down = lambda opened: man.claim(opened, nonce=encode_base64url(NONCE))


def widens(man: Middle) -> None:
    """Ask for more than the node does, and hide it from the node."""
    man.up = lambda body: body.update(permissions=["device", "screen"])
    man.down = lambda opened: man.claim(opened, permissions=["device"])


class TestB2:
    """A node that pairs through somebody else's TLS is not accepted: its code is not the one of any request.

    Ten thousand of them are in `test_b_pairing_soak.py`; these are the real ones.
    Guard: `spki_bridge` in the transcript (both ends; bridge/pairing/transcript.py): without it the code of `claims`
    is right and it is accepted. Guard: `same_pin` in bridge/node/native_enrolment.py: without it the node of `relays`
    reveals, and its request lies before the person. Guard: `_require_code` in bridge/pairing/reception.py: without it
    all but `relays` are accepted.
    """

    @pytest.mark.parametrize("does", [relays, claims, swaps_the_key, swaps_the_nonce, widens])
    async def test_his_request_is_not_accepted_with_the_nodes_code(
        self, gate: Fortress, man: Middle, does: Callable[[Middle], None]
    ) -> None:
        does(man)
        node, codes = victim(man.port)
        async with gate.unharmed():
            async with asyncio.TaskGroup() as group:
                ended = group.create_task(self.outcome(node))
                await eventually(lambda: codes or ended.done(), what="a code or an end")
                for request in await pending(gate):
                    assert codes, "the node stopped, and yet a person is asked"
                    with pytest.raises(WrongCode):
                        await approve(gate, request.id, codes[0])
                await open_anew(gate)
            assert isinstance(ended.result(), EnrolmentError)
        if does is relays:
            assert isinstance(ended.result(), BridgeMismatch)
            assert man.seen == ["/pair/v1/enroll"], "and nothing was revealed to him"

    async def outcome(self, node: NativeEnrolment) -> object:
        try:
            return await node.enrol()
        except EnrolmentError as exc:
            return exc

    async def test_with_a_known_key_nothing_is_sent_to_him(self, gate: Fortress, man: Middle) -> None:
        claims(man)
        node, codes = victim(man.port, spki=gate.spki)
        with pytest.raises(BridgeMismatch):
            await node.enrol()
        assert (man.seen, codes) == ([], [])


class TestB3:
    """A key or nonce chosen after the other side's nonce was seen opens nothing.

    Guard: `compare_digest(commitment(...))` in `Ceremonies._opens`, bridge/pairing/ceremony.py; without it the ground
    nonce is taken (204) and the wanted code is right. Guard: the same module's `pop` of a wrong reveal (`get` instead):
    the honest reveal after it is taken. Guard: `same_pin` in bridge/node/native_enrolment.py: the node reveals.
    """

    async def test_a_nonce_ground_for_a_wanted_code_opens_nothing(self, gate: Fortress) -> None:
        man = Stranger(gate.node_port)
        async with gate.unharmed():
            await man.begin()
            honest, wanted = man.nonce, {f"{number:06d}" for number in range(0, 1_000_000, 250)}
            man.nonce = next(n for n in (i.to_bytes(32) for i in range(1, 100_000)) if self.code(man, n) in wanted)
            assert (await man.reveal()).refusal == (403, "BAD_REVEAL")
            assert (await man.reveal(honest)).status == 404, "the ceremony is dead"
            assert await pending(gate) == []

    @staticmethod
    def code(man: Stranger, nonce: bytes) -> str:
        man.nonce = nonce
        return man.code

    async def test_there_is_no_nonce_of_the_bridge_without_a_commitment(self, gate: Fortress) -> None:
        async with gate.unharmed():
            for commit in (None, "", "AAAA", 7, encode_base64url(bytes(33))):
                answer = await Stranger(gate.node_port).begin(commit=commit)
                assert answer.refusal == (400, "BAD_REQUEST")
                assert b"nonce" not in answer.body

    async def test_another_key_cannot_take_the_ceremony_over(self, gate: Fortress) -> None:
        node, man = Stranger(gate.node_port), Stranger(gate.node_port, "127.0.0.2")
        async with gate.unharmed():
            await node.begin()
            man.opened, man.bridge_spki = node.opened, node.bridge_spki
            assert (await man.reveal(node.nonce, csr=encode_base64url(man.csr))).status == 400
            assert (await man.reveal()).refusal == (403, "BAD_REVEAL")
            assert await pending(gate) == []

    @pytest.mark.parametrize("spki", ["00" * 32, "own"])
    async def test_the_node_reveals_nothing_to_a_bridge_that_claims_another_key(
        self, double: PairingBridge, spki: str
    ) -> None:
        node, codes = victim(double.port)
        claimed = node.node_id if spki == "own" else spki
        double.twists["opened"] = lambda opened: opened["bridge"].update(spki=claimed)
        with pytest.raises(BridgeMismatch):
            await node.enrol()
        assert (double.paths, codes) == (["/pair/v1/enroll"], [])

    async def test_the_node_reveals_nothing_to_another_key_later(self, double: PairingBridge) -> None:
        node, codes = victim(double.port)
        double.headers.clear()
        double.twists["opened"] = lambda opened: double.use_key(ec.generate_private_key(ec.SECP256R1()))
        double.cuts["/pair/v1/enroll/"] = 1  # its connection is lost, so the reveal needs another handshake
        with pytest.raises(EnrolmentError):
            await node.enrol()
        assert codes == []
        assert [body for _, path, body in double.seen if path.endswith("/reveal")][1:] == []

    async def test_the_node_takes_no_mirror_for_a_bridge(self, double: PairingBridge) -> None:
        node, codes = victim(double.port, draw=lambda length: bytes(range(length)))
        double.twists["opened"] = lambda opened: opened.update(nonce=encode_base64url(bytes(range(32))))
        with pytest.raises(BadAnswer):
            await node.enrol()
        assert (double.paths, codes) == (["/pair/v1/enroll"], [])


class TestB5:
    """A ceremony that is not run in its order, once, with its own values, is refused and dead.

    Guards, all in bridge/pairing/: `_note_revealed` (ceremony.py): the second reveal gets 404 instead of 409;
    `any(nonce)` and `nonce != ceremony.nonce` (ceremony.py): the zero and the mirrored nonce open it; `REVEAL_S` in
    `reveal` (ceremony.py): the late reveal opens it; `own_keys` (enrolment.py): the bridge's own keys get a 201.
    """

    async def test_a_second_reveal_is_refused_and_changes_nothing(self, gate: Fortress) -> None:
        node = await Stranger(gate.node_port).asked()
        before = await pending(gate)
        async with gate.unharmed():
            for nonce in (node.nonce, bytes(32), NONCE):
                assert (await node.reveal(nonce)).refusal == (409, "REVEALED")
            assert [one.id for one in await pending(gate)] == [one.id for one in before]

    async def test_a_reveal_of_nothing_or_of_another_ceremony_is_refused(self, gate: Fortress) -> None:
        one, other = Stranger(gate.node_port), Stranger(gate.node_port, "127.0.0.2")
        async with gate.unharmed():
            one.opened = {"id": "0" * 32}
            assert (await one.reveal()).status == 404, "before there was a nonce"
            await one.begin()
            await other.begin()
            assert (await one.reveal(other.nonce)).refusal == (403, "BAD_REVEAL")
            one.opened, other.opened = other.opened, one.opened
            assert (await other.reveal()).status == 404, "his is dead by now"
            assert (await one.reveal()).refusal == (403, "BAD_REVEAL")
            assert await pending(gate) == []

    @pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
    async def test_a_nonce_of_another_length_is_no_reveal(self, gate: Fortress, length: int) -> None:
        node = Stranger(gate.node_port)
        await node.begin()
        assert (await node.reveal(b"x" * length)).refusal == (400, "BAD_REQUEST")
        assert await pending(gate) == []

    async def test_a_nonce_that_nobody_draws_is_refused(self, gate: Fortress) -> None:
        async with gate.unharmed():
            node = Stranger(gate.node_port, nonce=bytes(32))
            await node.begin()
            assert (await node.reveal()).refusal == (403, "BAD_REVEAL")
            mirror = Stranger(gate.node_port)
            first = (await mirror.begin()).json["nonce"]
            await mirror.begin(commit=first)  # what the bridge said is no commitment either
            assert (await mirror.reveal()).refusal == (403, "BAD_REVEAL")
            assert await pending(gate) == []

    async def test_neither_is_the_bridges_own_nor_one_too_late(self) -> None:
        mirror, late = NativePhone(nonce=NONCE_BRIDGE), NativePhone()
        for phone, at, fault in ((mirror, 1.0, Fault.WRONG), (late, REVEAL_S, Fault.UNKNOWN)):
            ceremonies = Ceremonies()
            ceremonies.begin(phone.ceremony())
            assert ceremonies.reveal("c1", phone.nonce, at) is fault
            assert ceremonies.reveal("c1", phone.nonce, 1.0) is Fault.UNKNOWN, "dead"

    async def test_a_key_of_the_bridge_is_no_nodes_key(self, gate: Fortress) -> None:
        keys = KeyFolder(gate.bridge.home / "keys")
        async with gate.unharmed():
            for key in (keys.load().key, keys.load_client_authority().key):
                assert (await Stranger(gate.node_port, key=key).begin()).refusal == (400, "BAD_CSR")

    async def test_the_bridges_key_under_another_signature_is_none_either(self, gate: Fortress) -> None:
        mine, theirs = (spki_der(key.public_key()) for key in (NativePhone().key, self.bridge_key(gate)))
        csr = build_csr(NativePhone().key).replace(mine, theirs)
        async with gate.unharmed():
            commit = encode_base64url(commitment(csr, NONCE))
            answer = await Stranger(gate.node_port).begin(csr=encode_base64url(csr), commit=commit)
            assert answer.refusal == (400, "BAD_CSR")

    @staticmethod
    def bridge_key(gate: Fortress) -> ec.EllipticCurvePrivateKey:
        return KeyFolder(gate.bridge.home / "keys").load().key

    async def test_without_the_reveal_there_is_nothing_to_fetch(self, gate: Fortress) -> None:
        node = Stranger(gate.node_port)
        await node.begin()
        assert (await node.poll()).shape == (await ask(gate.node_port, "GET", "/pair/v1/enroll/nope")).shape
