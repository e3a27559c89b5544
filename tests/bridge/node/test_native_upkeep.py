"""A native node and the real bridge after the pairing: certificates renewed in time and late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from bridge.node.native_identity import NodeIdentity
from bridge.node.native_renewal import renewed
from bridge.node.pairing_errors import Refused
from certs.keys import spki_der
from certs.leaf import LeafPermit, issue_leaf
from tests.bridge.node.real_stage import RealStage, real_stage
from tests.bridge.node.stages import Node, new_key

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
