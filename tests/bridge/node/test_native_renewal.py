"""Renewal with the certificate, and after it has expired; only the pinned or the announced key is a bridge of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bridge.node.native_identity import NodeIdentity
from bridge.node.native_renewal import bridge_keys, moved, prove, renewed
from bridge.node.pairing_errors import BadAnswer, BridgeMismatch, BridgeUnreachable, Refused
from tests.bridge.node.stages import KINDS, new_key, paired
from tests.doubles.pairing_bridge import Doc, PairingBridge
from tests.doubles.pairing_crypto import b64

DAY = timedelta(days=1)


def now() -> datetime:
    return datetime.now(UTC)


async def expired(double: PairingBridge, kind: str = "p256") -> NodeIdentity:
    """A paired node whose certificate ended an hour ago."""
    kept = await paired(double, kind)
    ended = double.issue(kept.private_key.public_key(), (-2 * DAY, -DAY / 24))
    double.seen.clear()
    return replace(kept, certificate=ended)


class TestWithTheCertificate:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_new_one_comes_for_the_same_key(self, double: PairingBridge, kind: str) -> None:
        kept = await paired(double, kind)
        double.seen.clear()
        new = await renewed(kept, now())
        assert new.leaf.serial_number != kept.leaf.serial_number
        assert replace(new, certificate=kept.certificate) == kept
        assert double.paths == ["/pair/v1/renew"]
        assert set(double.seen[0][2]) == {"csr"}

    async def test_a_revoked_node_is_refused(self, double: PairingBridge) -> None:
        kept = await paired(double)
        double.nodes.clear()
        with pytest.raises(Refused):
            await renewed(kept, now())

    async def test_the_other_way_is_tried_when_tls_fails(self, double: PairingBridge) -> None:
        """The bridge's clock is ahead of ours: it refuses a certificate that is good here."""
        kept = await expired(double)
        new = await renewed(kept, now() - DAY / 12)
        assert double.paths == ["/pair/v1/renew/challenge", "/pair/v1/renew"]
        assert not new.expired(now())


class TestAfterItHasExpired:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_signature_proves_the_node(self, double: PairingBridge, kind: str) -> None:
        kept = await expired(double, kind)
        new = await renewed(kept, now())
        assert not new.expired(now())
        assert double.paths == ["/pair/v1/renew/challenge", "/pair/v1/renew"]
        assert double.seen[0][2] == {"nodeId": kept.node_id}
        assert set(double.seen[1][2]) == {"csr", "nodeId", "nonce", "proof"}

    async def test_nothing_is_sent_to_another_bridge(self, double: PairingBridge) -> None:
        kept = await expired(double)
        double.use_key(ec.generate_private_key(ec.SECP256R1()))
        with pytest.raises(BridgeMismatch):
            await renewed(kept, now())
        assert double.seen == []

    @pytest.mark.parametrize("nonce", ["", "A" * 43, b64(bytes(31)), 1, None])
    async def test_a_challenge_that_is_none_is_not_signed(self, double: PairingBridge, nonce: Any) -> None:
        kept = await expired(double)
        double.twists["challenge"] = lambda answer: answer.update(nonce=nonce)
        with pytest.raises(BadAnswer):
            await renewed(kept, now())
        assert double.paths == ["/pair/v1/renew/challenge"]


class TestAnswers:
    async def twisted(self, double: PairingBridge, twist: Callable[[Doc], object]) -> NodeIdentity:
        kept = await paired(double)
        double.twists["renewed"] = twist
        return await renewed(kept, now())

    async def test_a_certificate_for_another_key_is_refused(self, double: PairingBridge) -> None:
        """Guard out, `read_certificate` without its comparison: `NodeIdentity` refuses it with a ValueError."""
        other = double.issue(new_key().public_key())
        with pytest.raises(BadAnswer, match="another key"):
            await self.twisted(double, lambda answer: answer.update(certificate=other))

    async def test_one_that_is_not_valid_now_is_refused(self, double: PairingBridge) -> None:
        kept = await paired(double)
        double.lifetime = (-2 * DAY, -DAY)
        with pytest.raises(BadAnswer, match="clock"):
            await renewed(kept, now())

    async def test_the_id_of_somebody_else_is_refused(self, double: PairingBridge) -> None:
        with pytest.raises(BadAnswer, match="somebody else"):
            await self.twisted(double, lambda answer: answer.update(nodeId="ab" * 32))

    async def test_the_next_key_is_taken(self, double: PairingBridge) -> None:
        new = await self.twisted(double, lambda answer: answer.update(nextSpki="ab" * 32))
        assert new.next_spki == "ab" * 32

    async def test_the_next_key_that_it_holds_is_named_in_both_ways(self, double: PairingBridge) -> None:
        ended = replace(await expired(double), next_spki="ab" * 32)
        fresh = await renewed(ended, now())
        await renewed(replace(fresh, next_spki="cd" * 32), now())
        named = [body["knowsNext"] for _, path, body in double.seen if path == "/pair/v1/renew"]
        assert named == ["ab" * 32, "cd" * 32]


class TestTheBridgesKeys:
    async def test_the_next_one_is_learnt_and_forgotten(self, double: PairingBridge) -> None:
        kept = await paired(double)
        double.next_key = ec.generate_private_key(ec.SECP256R1())
        told = await bridge_keys(kept)
        assert told == replace(kept, next_spki=double.next_spki)
        double.next_key = None
        assert await bridge_keys(told) == kept

    async def test_the_one_that_it_holds_is_named(self, double: PairingBridge) -> None:
        kept = await paired(double)
        double.seen.clear()
        await bridge_keys(kept)
        await bridge_keys(replace(kept, next_spki="ab" * 32))
        assert double.paths == ["/pair/v1/identity", f"/pair/v1/identity?knows={'ab' * 32}"]

    async def test_a_bridge_must_name_the_key_that_it_showed(self, double: PairingBridge) -> None:
        kept = await paired(double)
        double.twists["identity"] = lambda answer: answer.update(spki="ab" * 32, nextSpki="cd" * 32)
        with pytest.raises(BridgeMismatch, match="names in its answer"):
            await bridge_keys(kept)

    async def test_it_is_not_told_without_a_certificate_that_holds(self, double: PairingBridge) -> None:
        with pytest.raises(BridgeUnreachable):
            await bridge_keys(await expired(double))

    async def test_only_the_announced_key_moves_the_pin(self, double: PairingBridge) -> None:
        kept = replace(await paired(double), next_spki="ab" * 32)
        assert moved(kept, "ab" * 32) == replace(kept, spki="ab" * 32, next_spki=None)
        assert moved(kept, "cd" * 32) is None
        assert moved(kept, None) is None
        assert moved(replace(kept, next_spki=None), "ab" * 32) is None


class TestProve:
    async def test_the_right_key_is_enough(self, double: PairingBridge) -> None:
        await prove(await paired(double))

    async def test_another_key_is_not(self, double: PairingBridge) -> None:
        kept = await paired(double)
        double.use_key(ec.generate_private_key(ec.SECP256R1()))
        with pytest.raises(BridgeMismatch):
            await prove(kept)

    async def test_nobody_there_is_said(self, double: PairingBridge) -> None:
        kept = await paired(double)
        with pytest.raises(BridgeUnreachable):
            await prove(replace(kept, port=9))
