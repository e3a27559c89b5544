"""A native node and the real bridge after the pairing: certificates renewed in time and late, the next key known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from bridge.node.native_identity import NodeIdentity
from bridge.node.native_node import NativeNode
from bridge.node.native_renewal import renewed
from bridge.node.pairing_errors import Refused
from certs.keys import spki_der
from certs.leaf import LeafPermit, issue_leaf
from tests.bridge.node.real_stage import RealStage, real_stage
from tests.bridge.node.stages import FACTS, WISHES, Node, new_key

DAY = timedelta(days=1)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[RealStage]:
    async with real_stage(tmp_path / "home") as made:
        yield made


async def paired(stage: RealStage, age: timedelta = timedelta()) -> NodeIdentity:
    """A paired node whose certificate was issued so long ago."""
    identity = (await Node(stage, new_key(), link=await stage.invite()).enrolment.enrol()).identity
    permit = LeafPermit(identity.node_id, spki_der(identity.private_key.public_key()))
    authority = stage.house.certificates.authority
    leaf = issue_leaf(permit, authority.key, authority.certificate, now=datetime.now(UTC) - age)
    return replace(identity, certificate=leaf.public_bytes(Encoding.PEM).decode())


def knows(stage: RealStage, identity: NodeIdentity) -> bool:
    told = stage.house.store.nodes[identity.node_id].next_spki_told
    return told is not None and told == stage.house.certificates.next_spki


async def test_the_answer_to_a_renewal_may_get_lost(stage: RealStage) -> None:
    """Guard out (`due` by the note in the record): the second is told to come back in sixty days."""
    identity = await paired(stage, 61 * DAY)
    await renewed(identity, datetime.now(UTC))  # and nothing of it is kept
    new = await renewed(identity, datetime.now(UTC))
    assert new.leaf.not_valid_after_utc > datetime.now(UTC) + 89 * DAY


async def test_a_young_certificate_is_not_renewed(stage: RealStage) -> None:
    with pytest.raises(Refused) as refused:
        await renewed(await paired(stage, 59 * DAY), datetime.now(UTC))
    assert refused.value.code == "TOO_EARLY"


async def test_an_expired_one_is_renewed_by_a_signature_though_a_newer_one_was_issued(stage: RealStage) -> None:
    identity = await paired(stage, 91 * DAY)
    assert not (await renewed(identity, datetime.now(UTC))).expired(datetime.now(UTC))
    assert not (await renewed(identity, datetime.now(UTC))).expired(datetime.now(UTC))
    with pytest.raises(Refused) as refused:
        await renewed(identity, datetime.now(UTC))
    assert (refused.value.status, refused.value.code) == (429, "RATE_LIMITED")


async def test_the_bridge_counts_on_a_node_that_holds_the_next_key_and_that_node_follows(stage: RealStage) -> None:
    identity = await paired(stage)
    following = await stage.house.certificates.prepare_next()
    async with NativeNode(identity, FACTS, WISHES, {}) as node:
        await node.identity()
        assert node.state.next_spki == following
        assert knows(stage, identity)
        await stage.house.certificates.rotate()
        await node.connect()
        assert node.state.spki == following


async def test_an_answer_that_does_not_arrive_makes_nobody_know(stage: RealStage) -> None:
    """Guard out (written when it is told): `certs rotate` would promise that the node follows."""
    identity = await paired(stage, 61 * DAY)
    await stage.house.certificates.prepare_next()
    lost = await renewed(identity, datetime.now(UTC))
    assert lost.next_spki is not None
    assert not knows(stage, identity)
    await renewed(replace(lost, certificate=identity.certificate), datetime.now(UTC))
    assert knows(stage, identity)
