"""What happens to a key between the two halves of its ceremony counts at the second (the rest: test_pair_pages)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from acl.permissions import Permissions
from bridge.pairing.ceremony_ledger import CeremonyLedger
from bridge.pairing.desk import Why
from bridge.pairing.native_link import read_link
from gateway_client.identity import encode_base64url
from tests.attacks.strangers import Stranger
from tests.bridge.house import House, house


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[House]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    async with house(home) as made:
        yield made


async def paired(bridge: House) -> Stranger:
    node = await Stranger(bridge.nodes.port).asked()
    (request,) = bridge.reception.desk.pending()
    await bridge.reception.approve(request, None, None, node.code)
    return node


async def test_a_key_revoked_meanwhile_is_refused_until_a_person_invites_it(bridge: House) -> None:
    node = await paired(bridge)
    again = Stranger(bridge.nodes.port, key=node.key)
    await again.begin()
    record = await bridge.reception.revoke(node.node_id)
    assert (await again.reveal()).refusal == (403, "DENIED")
    await again.begin()
    bridge.reception.open_window()
    await again.asked()
    (request,) = bridge.reception.desk.pending()
    assert (request.draft.why, request.draft.revoked_at) == (Why.RETURN, record.revoked_at)


async def test_a_key_denied_meanwhile_is_refused(bridge: House) -> None:
    node = await Stranger(bridge.nodes.port).asked()
    again = Stranger(bridge.nodes.port, key=node.key)
    await again.begin()
    bridge.reception.deny(bridge.reception.desk.pending()[0])
    assert (await again.reveal()).refusal == (403, "DENIED")


async def test_a_key_paired_meanwhile_is_no_new_one(bridge: House) -> None:
    early = Stranger(bridge.nodes.port)
    node = await Stranger(bridge.nodes.port, "127.0.0.2", early.key).asked()
    (request,) = bridge.reception.desk.pending()
    early.address = "127.0.0.3"
    await early.begin()
    await bridge.reception.approve(request, None, None, node.code)
    assert (await early.reveal()).status == 204
    (request,) = bridge.reception.desk.pending()
    assert request.draft.why is Why.REPAIR


async def test_a_paired_key_of_another_kind_of_device_is_a_changed_one(bridge: House) -> None:
    node = await paired(bridge)
    again = Stranger(bridge.nodes.port, key=node.key)
    await again.begin(device={"displayName": "Stranger", "platform": "android 15"})
    assert (await again.reveal()).status == 204
    assert [request.draft.why for request in bridge.reception.desk.pending()] == [Why.CHANGED]


async def test_a_proof_without_a_link_asks_nobody(bridge: House) -> None:
    """Red when it is overlooked: a person is asked, though the node expects none."""
    node = Stranger(bridge.nodes.port)
    await node.begin()
    assert (await node.reveal(tokenProof=encode_base64url(bytes(32)))).refusal == (403, "TOKEN_REFUSED")
    assert bridge.reception.desk.pending() == []


async def test_ceremonies_that_begin_at_once_are_all_counted(bridge: House) -> None:
    """Red without the lock: of two that count at a time one is forgotten."""
    crowd = [Stranger(bridge.nodes.port, f"127.0.1.{number + 1}") for number in range(30)]
    answers = sorted([answer.status for answer in await asyncio.gather(*(one.begin() for one in crowd))])
    assert answers == [201] * 10 + [429] * 20


async def test_an_opening_while_a_ceremony_is_counted_does_not_forget_it(bridge: House) -> None:
    """Red when it is counted once: ten more may begin after it."""
    ledger, begin, loop = bridge.ledger, bridge.ledger.begin, asyncio.get_running_loop()
    openings = [bridge.reception.open_window]

    async def open_once() -> None:
        while openings:
            openings.pop()()

    def slow(ceremony_id: str, now: float, wall: datetime) -> bool:
        counted = begin(ceremony_id, now, wall)
        asyncio.run_coroutine_threadsafe(open_once(), loop).result(10)
        return counted

    ledger.begin = slow  # type: ignore[method-assign]  # an opening between the count and the 201
    answers = [(await Stranger(bridge.nodes.port, f"127.0.1.{n + 1}").begin()).status for n in range(11)]
    assert answers == [201] * 10 + [429]


async def test_an_opening_that_the_disk_refused_is_made_up_for(bridge: House) -> None:
    """Red when it is tried once: closed, though a person opened."""
    for number in range(10):
        await Stranger(bridge.nodes.port, f"127.0.1.{number + 1}").begin()
    path = bridge.home / "bridge.sqlite3"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TABLE ceremonies")
    bridge.reception.open_window()
    assert (await Stranger(bridge.nodes.port).begin()).refusal == (503, "UNAVAILABLE")
    CeremonyLedger(path, 10, 0.0, datetime.now(UTC))  # mends the file
    assert (await Stranger(bridge.nodes.port).begin()).status == 201


@pytest.mark.parametrize("invited", [False, True])
async def test_a_revocation_at_the_moment_of_a_link_wins(bridge: House, invited: bool) -> None:
    node = await paired(bridge)
    codes, reception, loop = bridge.codes, bridge.reception, asyncio.get_running_loop()
    bind = codes.bind

    async def revoke() -> None:
        await reception.revoke(node.node_id)
        if invited:
            reception.open_window()

    def slow(digest: str, node_id: str, now: datetime, made_after: datetime | None = None) -> Permissions | None:
        bound = bind(digest, node_id, now, made_after)
        asyncio.run_coroutine_threadsafe(revoke(), loop).result(10)
        return bound

    codes.bind = slow  # type: ignore[method-assign]  # a revocation between the code and the pairing
    minted = await bridge.operations.codes.mint_native_link(["device"], None, 300, "127.0.0.1")
    answer = await Stranger(bridge.nodes.port, key=node.key).redeem(read_link(minted.link, datetime.now(UTC)))
    record = bridge.store.nodes[node.node_id]
    assert record.revoked_at is not None
    assert record.granted == {"device"}
    if invited:
        assert answer.status == 204
        assert [one.draft.revoked_at for one in reception.desk.pending()] == [record.revoked_at]
    else:
        assert answer.refusal == (403, "DENIED")
        assert reception.desk.pending() == []
