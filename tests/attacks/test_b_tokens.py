"""B12, B13: a one-time code lets one key in, for what it grants; all other answers are one answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest

from bridge.pairing.native_link import NativeLink
from gateway_client.identity import encode_base64url
from tests.attacks.codes import expire, phone_of, redeemed, setup_code
from tests.attacks.fortress import Fortress
from tests.attacks.strangers import PAIRED, Answer, Stranger

pytestmark = pytest.mark.asyncio(loop_scope="package")


class TestB12:
    """One success per token, for the scope that it was made for; it is dead after that, whatever happens.

    A hundred at the same moment are in `test_b_pairing_soak.py`, a restart is in `test_b_window.py`.
    Guard: `code.bound_to is None` in `may_bind`, bridge/pairing/setup_code.py: without it a second key is paired.
    Guard: `now < code.expires_at` in `may_bind`: the expired one pairs. Guard: `replace(draft,
    permissions=link.permissions)` in bridge/pairing/enrolment.py: the wider wish is stored.
    """

    async def test_a_second_key_and_a_second_time(self, gate: Fortress) -> None:
        link, first = await gate.link("device"), Stranger(gate.node_port)
        async with gate.unharmed(store=False, heard=PAIRED):
            assert (await first.redeem(link)).status == 204
            stored = gate.store()
            for other in (Stranger(gate.node_port), Stranger(gate.node_port, key=first.key)):
                assert (await other.redeem(link)).refusal == (403, "TOKEN_REFUSED")
            assert gate.store() == stored
        assert (await first.poll()).json["status"] == "approved"

    async def test_nobody_gets_more_than_the_link_grants(self, gate: Fortress) -> None:
        node = Stranger(gate.node_port, permissions=("device", "screen", "system", "nodes"))
        async with gate.unharmed(store=False, heard=PAIRED):
            assert (await node.redeem(await gate.link("device"))).status == 204
        assert node.opened["permissions"] == gate.store()[node.node_id]["permissions"] == ["device"]
        assert (await node.poll()).json["permissions"] == ["device"]

    async def test_an_expired_link_pairs_nobody(self, gate: Fortress) -> None:
        late, begun = await gate.link("device"), await gate.link("device")
        one, other = Stranger(gate.node_port), Stranger(gate.node_port, "127.0.0.2")
        async with gate.unharmed():
            expire(gate, late.token_id)
            assert (await one.redeem(late)).refusal == (403, "TOKEN_REFUSED")
            await other.begin(tokenId=begun.token_id)
            expire(gate, begun.token_id)
            assert (await other.reveal(tokenProof=other.proof_of(begun))).refusal == (403, "TOKEN_REFUSED")

    async def test_it_is_dead_although_the_pairing_failed(self, gate: Fortress) -> None:
        link, first = await gate.link("device"), Stranger(gate.node_port)
        gate.bridge.home.chmod(0o777)  # a store in such a folder is not written
        failed = await first.redeem(link)
        gate.bridge.home.chmod(0o700)
        async with gate.unharmed(store=False, heard=PAIRED):
            assert failed.refusal == (503, "UNAVAILABLE")
            assert first.node_id not in gate.store()
            assert (await Stranger(gate.node_port).redeem(link)).refusal == (403, "TOKEN_REFUSED")
            again = Stranger(gate.node_port, key=first.key)
            assert (await again.redeem(link)).status == 204, "its own key may finish"
        assert first.node_id in gate.store()

    async def test_a_proof_is_good_for_its_own_ceremony(self, gate: Fortress) -> None:
        link, owner, thief = await gate.link("device"), Stranger(gate.node_port), Stranger(gate.node_port, "127.0.0.2")
        async with gate.unharmed():
            await owner.begin(tokenId=link.token_id)
            await thief.begin(tokenId=link.token_id)
            stolen = await thief.reveal(tokenProof=owner.proof_of(link))
            assert stolen.refusal == (403, "TOKEN_REFUSED")

    async def test_a_setup_code_lets_one_phone_in_for_its_scope(self, gate: Fortress) -> None:
        _, token = await setup_code(gate, "device")
        first, second = phone_of(gate), phone_of(gate)
        assert await redeemed(first, token) is None
        assert gate.store()[first.node_id]["permissions"] == ["device"]
        stored = gate.store()
        refused = await redeemed(second, token)
        assert refused is not None
        assert refused["details"]["code"] == "AUTH_BOOTSTRAP_TOKEN_INVALID"
        assert gate.store() == stored


class TestB13:
    """Whoever guesses a token learns nothing from the answer: wrong, used, expired and revoked look alike.

    Ten thousand guesses are in `test_b_pairing_soak.py`, the closing after ten of them is in `test_b_window.py`.
    Guard: one `_token_refused` for all in `Enrolment._redeem`, bridge/pairing/enrolment.py: with an answer of its own
    for `code is None` the shapes differ. Guard: one `CodeRefused` in bridge/pairing/admissions.py: likewise.
    """

    async def test_the_answers_to_dead_links_are_one(self, gate: Fortress) -> None:
        good = await gate.link("device")
        links = {
            "unknown": replace(good, token_id="00000000"),
            "wrong": replace(good, token=bytes(32)),
            "used": await self.used(gate),
            "used, wrong": replace(await self.used(gate), token=bytes(32)),
            "expired": await self.expired(gate),
            "revoked": await self.revoked(gate),
        }
        async with gate.unharmed():
            shapes = {name: await self.shape(gate, link) for name, link in links.items()}
            shapes["no proof"] = await self.shape(gate, good, proof=None)
            shapes["a proof of nothing"] = await self.shape(gate, good, proof=encode_base64url(bytes(32)))
            assert len(set(shapes.values())) == 1, shapes
            assert next(iter(shapes.values()))[1][0] == 403

    async def shape(self, gate: Fortress, link: NativeLink, proof: str | None = "") -> tuple[str, tuple[int, bytes]]:
        """Return what a guesser sees: the 201 without its random parts, and the answer to the reveal."""
        node = Stranger(gate.node_port)
        await node.begin(tokenId=link.token_id)
        opened = orjson.dumps({**node.opened, "id": "", "nonce": ""}).decode()
        more: dict[str, Any] = {} if proof is None else {"tokenProof": proof or node.proof_of(link)}
        return opened, (await node.reveal(**more)).shape

    async def used(self, gate: Fortress) -> NativeLink:
        link = await gate.link("device")
        assert (await Stranger(gate.node_port).redeem(link)).status == 204
        return link

    async def expired(self, gate: Fortress) -> NativeLink:
        link = await gate.link("device")
        expire(gate, link.token_id)
        return link

    async def revoked(self, gate: Fortress) -> NativeLink:
        link = await gate.link("device")
        await gate.bridge.ask(lambda: gate.bridge.client.revoke_token(link.token_id))
        return link

    async def test_the_answers_to_dead_setup_codes_are_one(self, gate: Fortress) -> None:
        (_, used), (late, expired), (gone, revoked) = [await setup_code(gate) for _ in range(3)]
        assert await redeemed(phone_of(gate), used) is None
        expire(gate, late)
        await gate.bridge.ask(lambda: gate.bridge.client.revoke_token(gone))
        tokens = {"unknown": "A" * 43, "used": used, "expired": expired, "revoked": revoked}
        errors = {name: await redeemed(phone_of(gate), token) for name, token in tokens.items()}
        assert all(errors.values()), errors
        assert len({orjson.dumps(error) for error in errors.values()}) == 1, errors
        assert errors["unknown"] is not None
        assert errors["unknown"]["details"]["code"] == "AUTH_BOOTSTRAP_TOKEN_INVALID"

    async def test_an_own_revoked_code_is_worth_nothing_to_its_own_phone_either(self, gate: Fortress) -> None:
        code_id, token = await setup_code(gate)
        phone = phone_of(gate)
        await gate.bridge.ask(lambda: gate.bridge.client.revoke_token(code_id))
        assert await redeemed(phone, token) is not None
        assert phone.node_id not in gate.store()

    async def test_a_guess_of_many_leaves_it_unharmed(self, gate: Fortress) -> None:
        link = await gate.link("device")

        async def guess(number: int) -> Answer:
            """Try one token."""
            return await Stranger(gate.node_port, f"127.0.0.{number + 2}").redeem(
                replace(link, token=bytes([number] * 32))
            )

        async with gate.unharmed():
            answers = await asyncio.gather(*map(guess, range(40)))
            assert {answer.refusal for answer in answers} == {(403, "TOKEN_REFUSED")}
        assert (await Stranger(gate.node_port).redeem(link)).status == 204, "and the right one is still good"
