"""Getting in: setup codes and tokens, nothing promised that is not on disk."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest

from acl.permissions import PROFILES, Permission
from bridge.lan.events import AdmissionFailed, Admit, CodeRefused, Decided, Filed, Outcome, Redeem
from bridge.pairing.desk import Why
from bridge.pairing.reception import DeskChange, PairedByCode, Reception
from bridge.pairing.records import NodeRecord, Role
from bridge.pairing.setup_code import code_hash
from bridge.pairing.tokens import find
from tests.bridge.pairing.desks import Front, Socket, admitted
from tests.bridge.pairing.samples import draft, identity


async def redeemed(front: Front, token: str, number: int = 0, why: Why = Why.NEW) -> Socket:
    socket = Socket(f"192.168.3.{number}")
    revoked_at = front.registrar.revoked_at(identity(number).device_id)
    await front.admissions.redeem(socket, Redeem(draft(number, why=why, revoked_at=revoked_at), token))
    return socket


async def entered(
    front: Front, record: NodeRecord, *, token: str = "", mint: tuple[Role, ...] = (), role: Role = Role.NODE
) -> Socket:
    entry = find(record.tokens(role), token) if token else None
    socket = Socket()
    await front.admissions.admit(socket, Admit(record.node_id, role, entry, frozenset(mint)))
    return socket


class TestCode:
    async def test_a_good_code_pairs_with_its_permissions_and_gives_both_tokens(self, front: Front) -> None:
        told = admitted(await redeemed(front, front.code()))
        record = front.stored()
        assert told.record == record
        assert record.granted == PROFILES["phone"]
        assert not record.token_due
        assert told.tokens.keys() == set(Role)
        for role in Role:
            assert find(record.tokens(role), told.tokens[role]) is not None
        assert abs(told.issued_at_ms - datetime.now(UTC).timestamp() * 1000) < 60_000

    async def test_the_drafts_own_permissions_do_not_count(self, front: Front) -> None:
        await redeemed(front, front.code(permissions=PROFILES["voice"]))
        assert front.stored().granted == PROFILES["voice"]

    async def test_a_second_key_gets_the_answer_of_an_unknown_code(self, front: Front) -> None:
        token = front.code()
        await redeemed(front, token)
        second, unknown = await redeemed(front, token, 1), await redeemed(front, "never made", 2)
        assert second.told == unknown.told == [CodeRefused()]
        assert set(front.reception.store.nodes) == {identity(0).device_id}

    async def test_of_twenty_keys_at_once_one_gets_in(self, front: Front) -> None:
        token = front.code()
        sockets = await asyncio.gather(*(redeemed(front, token, number) for number in range(20)))
        inside = [number for number, socket in enumerate(sockets) if socket.told != [CodeRefused()]]
        assert len(inside) == 1
        assert set(front.reception.store.nodes) == {identity(inside[0]).device_id}

    async def test_of_two_sockets_of_one_key_at_once_one_is_paired_and_both_get_in(self, front: Front) -> None:
        """Red without the lock in `redeem`: it is paired twice, with two keys at the gateway, and told twice."""
        told: list[DeskChange] = []
        front.reception.on_change(told.append)
        token = front.code()
        sockets = await asyncio.gather(redeemed(front, token), redeemed(front, token))
        assert {admitted(socket).record.gateway_node_id for socket in sockets} == {front.stored().gateway_node_id}
        assert front.stored().stale_upstream == ()
        assert [type(change) for change in told] == [PairedByCode]

    async def test_the_same_key_may_present_it_again_and_gets_tokens_and_no_more(self, front: Front) -> None:
        token = front.code()
        first = admitted(await redeemed(front, token))
        narrowed = first.record.model_copy(update={"permissions": (Permission.VOICE,)})
        await front.reception.store.put(narrowed)
        again = admitted(await redeemed(front, token))
        assert again.record.permissions == (Permission.VOICE,)
        assert again.record.gateway_node_id == first.record.gateway_node_id
        assert again.tokens.keys() == set(Role)
        assert find(again.record.node_tokens, first.tokens[Role.NODE]), "the former stays until the new one is used"

    async def test_the_same_holds_after_a_restart(self, front: Front) -> None:
        token = front.code()
        await redeemed(front, token)
        front.reception = front.started()
        assert admitted(await redeemed(front, token)).record == front.stored()
        assert (await redeemed(front, token, 1)).told == [CodeRefused()]

    async def test_a_spent_code_of_a_revoked_node_is_worth_nothing(self, front: Front) -> None:
        token = front.code()
        await redeemed(front, token)
        await front.reception.revoke(identity().device_id)
        assert (await redeemed(front, token, why=Why.RETURN)).told == [CodeRefused()]
        assert front.stored().revoked_at is not None

    async def test_a_revoked_key_with_a_fresh_code_only_raises_a_prompt(self, front: Front) -> None:
        await front.paired()
        await front.reception.revoke(identity().device_id)
        token = front.code()
        socket = await redeemed(front, token, why=Why.RETURN)
        assert socket.only(Filed).request_id == front.reception.desk.pending()[0].id
        assert [request.draft.why for request in front.reception.desk.pending()] == [Why.RETURN]
        assert front.stored().revoked_at is not None
        assert front.reception.desk.pending()[0].draft.permissions == PROFILES["phone"], (
            "it asks for what the code grants"
        )
        assert (await redeemed(front, token, 1)).told == [CodeRefused()], "it is spent all the same"

    async def test_a_revoked_key_may_present_its_fresh_code_again_until_a_person_decides(self, front: Front) -> None:
        await front.paired()
        await front.reception.revoke(identity().device_id)
        token = front.code()
        first, again = [await redeemed(front, token, why=Why.RETURN) for _ in range(2)]
        assert first.told[0] == again.only(Filed)
        record = await front.reception.approve(front.reception.desk.pending()[0], None, None)
        assert record.granted == PROFILES["phone"]
        told = admitted(await redeemed(front, token, why=Why.REPAIR))
        assert told.tokens.keys() == set(Role), "the app refuses to work without an operator token"

    async def test_a_code_made_before_the_revocation_is_worth_nothing_to_the_revoked_key(self, front: Front) -> None:
        await front.paired()
        token = front.code()
        await front.reception.revoke(identity().device_id)
        assert (await redeemed(front, token, why=Why.RETURN)).told == [CodeRefused()]
        assert admitted(await redeemed(front, token, 1)).record.granted == PROFILES["phone"]

    async def test_a_paired_key_with_a_fresh_code_is_paired_anew(self, front: Front) -> None:
        before = await front.paired(permissions=PROFILES["voice"])
        told = admitted(await redeemed(front, front.code(), why=Why.REPAIR))
        assert told.record.granted == PROFILES["phone"]
        assert told.record.gateway_node_id == before.gateway_node_id

    async def test_its_open_request_ends(self, front: Front) -> None:
        held = Socket()
        front.filed(socket=held)
        admitted(await redeemed(front, front.code()))
        assert held.told[1:] == [Decided(Outcome.ELSEWHERE)]
        assert front.reception.desk.pending() == []

    async def test_a_crash_between_the_code_and_the_pairing_leaves_it_to_the_key_that_spent_it(
        self, front: Front
    ) -> None:
        token = front.code()
        assert front.admissions.codes.bind(code_hash(token), identity().device_id, datetime.now(UTC)) is not None
        front.reception = front.started()
        assert (await redeemed(front, token, 1)).told == [CodeRefused()]
        assert admitted(await redeemed(front, token)).record.granted == PROFILES["phone"]

    async def test_when_the_store_refuses_nobody_gets_in_and_the_request_stays(self, front: Front) -> None:
        held, token = Socket(), front.code()
        request = front.filed(socket=held)
        front.home.chmod(0o777)
        socket = await redeemed(front, token)
        front.home.chmod(0o700)
        assert socket.told == [AdmissionFailed()]
        assert dict(front.reception.store.nodes) == {}
        assert front.reception.desk.get(request.id) == request
        assert len(held.told) == 1
        assert (await redeemed(front, token, 1)).told == [CodeRefused()]
        assert admitted(await redeemed(front, token)).record == front.stored()

    async def test_when_the_codes_cannot_be_read_nobody_gets_in(self, front: Front) -> None:
        token = front.code()
        with closing(sqlite3.connect(front.home / "bridge.sqlite3")) as database, database:
            database.execute("DROP TABLE codes")
        assert (await redeemed(front, token)).told == [AdmissionFailed()]
        await front.paired()
        assert (await redeemed(front, token, why=Why.REPAIR)).told == [AdmissionFailed()]

    async def test_a_revocation_at_the_same_moment_wins(self, front: Front) -> None:
        await front.paired()
        token, reception, admissions = front.code(), front.reception, front.admissions

        class Slow(type(admissions.codes)):  # type: ignore[misc]  # the class of an instance as a base
            def bind(self, digest: str, node_id: str, now: datetime, made_after: datetime | None = None) -> object:
                bound = super().bind(digest, node_id, now, made_after)
                asyncio.run_coroutine_threadsafe(reception.revoke(node_id), loop).result(10)
                return bound

        loop = asyncio.get_running_loop()
        admissions.codes = Slow(front.home / "bridge.sqlite3")
        socket = await redeemed(front, token, why=Why.REPAIR)
        assert socket.only(Filed).request_id == front.reception.desk.pending()[0].id
        assert front.stored().revoked_at is not None


class TestAdmission:
    async def test_a_node_token_is_due_until_one_is_used(self, front: Front) -> None:
        record = await front.paired()
        told = admitted(await entered(front, record, mint=(Role.NODE,)))
        assert told.tokens.keys() == {Role.NODE}
        assert told.record.token_due, "its answer may be lost"
        told = admitted(await entered(front, front.stored(), token=told.tokens[Role.NODE]))
        assert not told.record.token_due

    async def test_the_use_of_an_operator_token_leaves_the_node_token_due(self, front: Front) -> None:
        record = await front.paired()
        token = admitted(await entered(front, record, mint=(Role.OPERATOR,), role=Role.OPERATOR)).tokens[Role.OPERATOR]
        told = admitted(await entered(front, front.stored(), token=token, role=Role.OPERATOR))
        assert told.record.token_due

    async def test_the_first_use_of_a_token_ends_the_older_ones_on_disk(self, front: Front) -> None:
        record = await front.paired()
        tokens = [admitted(await entered(front, record, mint=(Role.NODE,))).tokens[Role.NODE] for _ in range(3)]
        told = admitted(await entered(front, front.stored(), token=tokens[1]))
        assert told.tokens == {}
        kept = front.stored().node_tokens
        assert [find(kept, token) is not None for token in tokens] == [False, True, True]

    async def test_two_sockets_with_one_fresh_token_both_get_in(self, front: Front) -> None:
        record = await front.paired()
        token = admitted(await entered(front, record, mint=(Role.NODE,))).tokens[Role.NODE]
        seen = front.stored()
        one, other = await asyncio.gather(entered(front, seen, token=token), entered(front, seen, token=token))
        assert admitted(one).record == admitted(other).record

    async def test_a_token_that_ended_meanwhile_lets_nobody_in(self, front: Front) -> None:
        record = await front.paired()
        old, new = [admitted(await entered(front, record, mint=(Role.NODE,))).tokens[Role.NODE] for _ in range(2)]
        seen = front.stored()
        admitted(await entered(front, seen, token=new))
        assert (await entered(front, seen, token=old)).told == [AdmissionFailed()]

    @pytest.mark.parametrize("mint", [(), (Role.NODE,)])
    async def test_a_key_revoked_meanwhile_does_not_get_in(self, front: Front, mint: tuple[Role, ...]) -> None:
        record = await front.paired()
        await front.reception.revoke(record.node_id)
        assert (await entered(front, record, mint=mint)).told == [AdmissionFailed()]
        assert front.stored().node_tokens == ()

    async def test_an_unknown_key_does_not_get_in(self, front: Front) -> None:
        socket = Socket()
        await front.admissions.admit(socket, Admit("00" * 32, Role.NODE, None, frozenset(Role)))
        assert socket.told == [AdmissionFailed()]
        assert dict(front.reception.store.nodes) == {}

    async def test_when_the_store_refuses_nobody_gets_in(self, front: Front) -> None:
        record = await front.paired()
        front.home.chmod(0o777)
        socket = await entered(front, record, mint=(Role.NODE,))
        front.home.chmod(0o700)
        assert socket.told == [AdmissionFailed()]
        assert front.stored() == front.reception.store.get(record.node_id) == record

    async def test_a_token_used_before_lets_in_without_a_write(self, front: Front) -> None:
        record = await front.paired()
        token = admitted(await entered(front, record, mint=(Role.NODE,))).tokens[Role.NODE]
        await entered(front, front.stored(), token=token)
        front.home.chmod(0o777)
        told = admitted(await entered(front, front.reception.store.nodes[record.node_id], token=token))
        front.home.chmod(0o700)
        assert told.record == front.stored()

    async def test_no_token_is_in_any_event_or_record_as_text(self, front: Front) -> None:
        told = admitted(await redeemed(front, front.code()))
        shown = repr(told) + repr(front.stored()) + (front.home / "paired-nodes.json").read_text()
        assert not any(token in shown for token in told.tokens.values())


def test_the_reception_is_built_without_a_loop(front: Front) -> None:
    assert isinstance(front.started(), Reception)
