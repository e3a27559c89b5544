"""Links at a bridge that strangers keep busy: whoever holds one comes in, and nobody gets more tries at codes by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from acl.permissions import Permission, Permissions
from bridge.pairing.desk import MAX_PENDING, Desk
from bridge.pairing.link_begins import MAX_BEGINS
from bridge.pairing.native_link import NativeLink, read_link
from tests.attacks.strangers import Stranger
from tests.bridge.house import House, house
from tests.bridge.pairing.samples import NOON, draft

CAP = 10


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[House]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    async with house(home) as made:
        yield made


async def link_of(bridge: House) -> NativeLink:
    """A person makes a link, which opens the window too."""
    minted = await bridge.operations.codes.mint_native_link(["device"], None, 300, "127.0.0.1")
    return read_link(minted.link, datetime.now(UTC))


def crowd(desk: Desk, now: float) -> None:
    """Strangers fill the desk after the window was opened, so that nobody makes room."""
    for number in range(MAX_PENDING):
        desk.file(draft(number), f"10.0.0.{number + 1}", now, NOON)


async def use_up(bridge: House) -> None:
    """Strangers begin as many ceremonies as there may be."""
    answers = [(await Stranger(bridge.nodes.port, f"127.0.1.{number + 1}").begin()).status for number in range(CAP + 1)]
    assert answers == [201] * CAP + [429]


async def test_a_full_desk_and_a_reached_cap_keep_no_link_out(bridge: House) -> None:
    """Red when its ceremony is counted, or needs a place on the desk."""
    link = await link_of(bridge)
    await use_up(bridge)
    crowd(bridge.reception.desk, 0.0)
    holder = Stranger(bridge.nodes.port)
    assert (await holder.redeem(link)).status == 204
    assert bridge.store.nodes[holder.node_id].revoked_at is None
    assert len(bridge.reception.desk.pending()) == MAX_PENDING
    assert (await Stranger(bridge.nodes.port, "127.0.0.9").begin()).status == 429, "without one it is as before"


async def test_a_pairing_by_a_link_that_was_cut_can_be_finished_there_too(bridge: House) -> None:
    link = await link_of(bridge)
    holder = Stranger(bridge.nodes.port)
    code = bridge.codes.native(link.token_id)
    assert code is not None
    assert bridge.codes.bind(code.digest, holder.node_id, datetime.now(UTC)) is not None
    await use_up(bridge)
    assert (await holder.redeem(link)).status == 204


async def test_a_link_begins_ten_times_and_then_as_any_other(bridge: House) -> None:
    """Red without the bound: whoever read a link's id, but not its token, may try for ever."""
    link, other = await link_of(bridge), await link_of(bridge)
    guesses = [replace(link, token=bytes([number] * 32)) for number in range(MAX_BEGINS + CAP + 3)]
    answers = [(await Stranger(bridge.nodes.port).redeem(guess)).refusal for guess in guesses]
    assert answers == [(403, "TOKEN_REFUSED")] * (MAX_BEGINS + CAP) + [(429, "TOO_MANY_CEREMONIES")] * 3
    assert (await Stranger(bridge.nodes.port, "127.0.0.2").redeem(other)).status == 204, (
        "another link is as good as ever"
    )
    bridge.reception.open_window()
    await use_up(bridge)
    assert (await Stranger(bridge.nodes.port).redeem(link)).status == 204, "an opening gives it ten more"


async def test_a_counted_one_that_was_good_gives_its_place_back(bridge: House) -> None:
    """Red without `_give_back` in `_redeem`: nine may begin."""
    link = await link_of(bridge)
    for number in range(MAX_BEGINS):
        await Stranger(bridge.nodes.port).redeem(replace(link, token=bytes([number] * 32)))
    assert (await Stranger(bridge.nodes.port).redeem(link)).status == 204
    await use_up(bridge)


async def test_whoever_came_in_by_a_link_has_no_more_tries_by_it(bridge: House) -> None:
    """Red when `_link` does not look whether the key was ever paired."""
    link = await link_of(bridge)
    holder = Stranger(bridge.nodes.port)
    assert (await holder.redeem(link)).status == 204
    assert (await holder.redeem(link)).refusal == (403, "TOKEN_REFUSED")
    await holder.begin()
    for number in range(CAP - 2):
        await Stranger(bridge.nodes.port, f"127.0.1.{number + 1}").begin()
    assert (await holder.redeem(link)).refusal == (429, "TOO_MANY_CEREMONIES")


async def test_a_link_grants_nothing_to_a_ceremony_that_began_before_it(bridge: House) -> None:
    """Red when the grant is not compared with what the 201 said: paired for what nobody granted, or was told."""
    link = replace(await link_of(bridge), token_id="soon", token=bytes(32))
    early = Stranger(bridge.nodes.port, permissions=("screen",))
    await early.begin(tokenId="soon")
    bridge.codes.add_link(link, frozenset({Permission.DEVICE}), datetime.now(UTC))
    assert (await early.reveal(tokenProof=early.proof_of(link))).refusal == (403, "TOKEN_REFUSED")
    assert early.node_id not in bridge.store.nodes


async def test_what_the_key_asked_a_person_before_is_off_the_desk(bridge: House) -> None:
    """Red without `came_in_by_code`: a prompt for a node that is in."""
    node = await Stranger(bridge.nodes.port).asked()
    assert (await node.redeem(await link_of(bridge))).status == 204
    assert bridge.reception.desk.pending() == []


@pytest.mark.parametrize("change", ["unknown", "used", "revoked"])
async def test_a_link_that_is_not_good_is_as_none(bridge: House, change: str) -> None:
    link = await link_of(bridge)
    if change == "unknown":
        link = replace(link, token_id="nobody")
    elif change == "used":
        assert (await Stranger(bridge.nodes.port).redeem(link)).status == 204
    else:
        bridge.codes.revoke(link.token_id)
    await use_up(bridge)
    assert (await Stranger(bridge.nodes.port).redeem(link)).refusal == (429, "TOO_MANY_CEREMONIES")
    crowd(bridge.reception.desk, 0.0)
    assert (await Stranger(bridge.nodes.port).redeem(link)).refusal == (429, "BUSY")


async def revoked(bridge: House) -> Stranger:
    """A node that was paired by a link and revoked."""
    node = Stranger(bridge.nodes.port)
    assert (await node.redeem(await link_of(bridge))).status == 204
    await bridge.reception.revoke(node.node_id)
    return node


async def test_a_revoked_key_needs_room_and_counts_from_the_start(bridge: House) -> None:
    node = await revoked(bridge)
    link = await link_of(bridge)
    again = Stranger(bridge.nodes.port, key=node.key)
    crowd(bridge.reception.desk, 0.0)
    assert (await again.begin(tokenId=link.token_id)).refusal == (429, "BUSY")
    for request in bridge.reception.desk.pending():
        bridge.reception.desk.take(request.id)
    await use_up(bridge)
    assert (await again.begin(tokenId=link.token_id)).refusal == (429, "TOO_MANY_CEREMONIES")


async def test_what_was_counted_before_a_person_opened_asks_nobody_after_it(bridge: House) -> None:
    """Red when ceremonies with a link are kept: its count is forgotten, and a person is asked for its code."""
    node = await revoked(bridge)
    link = await link_of(bridge)
    again = Stranger(bridge.nodes.port, key=node.key)
    assert (await again.begin(tokenId=link.token_id)).status == 201
    bridge.reception.open_window()
    assert (await again.reveal(tokenProof=again.proof_of(link))).status == 404
    assert bridge.reception.desk.pending() == []


async def test_an_opening_during_the_reveal_has_it_counted_anew(bridge: House) -> None:
    """Red when a ceremony that was counted before is taken for one of the ten."""
    node = await revoked(bridge)
    link = await link_of(bridge)
    again = Stranger(bridge.nodes.port, key=node.key)
    assert (await again.begin(tokenId=link.token_id)).status == 201
    bind, loop = bridge.codes.bind, asyncio.get_running_loop()

    async def meanwhile() -> None:
        bridge.reception.open_window()

    def slow(digest: str, node_id: str, now: datetime, made_after: datetime | None = None) -> Permissions | None:
        asyncio.run_coroutine_threadsafe(meanwhile(), loop).result(10)
        return bind(digest, node_id, now, made_after)

    bridge.codes.bind = slow  # type: ignore[method-assign]  # an opening between the commitment and the question
    assert (await again.reveal(tokenProof=again.proof_of(link))).status == 204
    assert [request.id for request in bridge.reception.desk.pending()] == [again.id]
    answers = [(await Stranger(bridge.nodes.port, f"127.0.1.{n + 1}").begin()).status for n in range(CAP)]
    assert answers == [201] * (CAP - 1) + [429], "it is one of the ten"


@pytest.mark.parametrize("trouble", ["", "desk", "cap"])
async def test_a_key_revoked_meanwhile_is_counted_when_a_person_is_asked(bridge: House, trouble: str) -> None:
    """Red without the check at the reveal: a prompt with a code that no cap has counted."""
    node = Stranger(bridge.nodes.port)
    assert (await node.redeem(await link_of(bridge))).status == 204
    codes, loop, bind = bridge.codes, asyncio.get_running_loop(), bridge.codes.bind

    async def meanwhile() -> None:
        await bridge.reception.revoke(node.node_id)
        bridge.reception.open_window()
        if trouble == "desk":
            crowd(bridge.reception.desk, 0.0)
        elif trouble == "cap":
            await use_up(bridge)

    def slow(digest: str, node_id: str, now: datetime, made_after: datetime | None = None) -> Permissions | None:
        bound = bind(digest, node_id, now, made_after)
        asyncio.run_coroutine_threadsafe(meanwhile(), loop).result(30)
        return bound

    codes.bind = slow  # type: ignore[method-assign]  # a revocation between the code and the pairing
    again = Stranger(bridge.nodes.port, key=node.key)
    answer = await again.redeem(await link_of(bridge))
    asked = again.id in {request.id for request in bridge.reception.desk.pending()}
    if trouble:
        assert answer.refusal == (429, {"desk": "BUSY", "cap": "TOO_MANY_CEREMONIES"}[trouble])
        assert not asked
    else:
        assert answer.status == 204
        assert asked
        left = [(await Stranger(bridge.nodes.port, f"127.0.1.{n + 1}").begin()).status for n in range(CAP)]
        assert left == [201] * (CAP - 1) + [429], "it is one of the ten"


async def test_a_link_is_good_when_the_window_has_closed(tmp_path: Path) -> None:
    """As a setup code is: here the bridge was started anew, so that nothing is open. Red when links need the window."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    async with house(home, always_open=False) as before:
        first, second = await link_of(before), await link_of(before)
        revoked = Stranger(before.nodes.port)
        assert (await revoked.redeem(first)).status == 204
        await before.reception.revoke(revoked.node_id)
    async with house(home, always_open=False) as bridge:
        refused = await Stranger(bridge.nodes.port).begin()
        assert refused.refusal == (403, "PAIRING_CLOSED")
        again = await replace(revoked, port=bridge.nodes.port).begin(tokenId=second.token_id)
        assert again.refusal == (403, "PAIRING_CLOSED"), "a revoked key has to be asked about"
        assert (await Stranger(bridge.nodes.port).redeem(second)).status == 204


async def test_a_link_from_before_a_revocation_that_the_store_has_lost_asks_nobody(tmp_path: Path) -> None:
    """Red when `unfinished` is not told of the revocation: the old link raises a prompt."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    async with house(home) as before:
        link, node = await link_of(before), Stranger(before.nodes.port)
        assert (await node.redeem(link)).status == 204
        await before.reception.revoke(node.node_id)
    (home / "paired-nodes.json").write_text("{}")
    async with house(home) as bridge:
        bridge.reception.open_window()
        answer = await replace(node, port=bridge.nodes.port).redeem(link)
        assert answer.refusal == (403, "TOKEN_REFUSED")
        assert bridge.reception.desk.pending() == []
