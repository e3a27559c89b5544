"""The reception's desk: held sockets, decisions that are on disk first, and revocation."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from acl.permissions import PROFILES, Permission
from bridge import clock
from bridge.errors import AlreadyDecided, WrongCode
from bridge.lan.events import Admit, Decided, Filed, FilingFailed, NotFiled, Outcome, SessionEvent
from bridge.pairing.desk import BUSY_RETRY_MS, KEPT_S, MAX_PENDING, Why
from bridge.pairing.records import NodeRecord, Role, Surface
from bridge.pairing.store import StoreError
from bridge.pairing.transcript import short_code
from certs.errors import IdentityError
from certs.store import KeyFolder
from gateway_client.identity import DeviceIdentity
from tests.bridge.pairing.desks import Front, Socket
from tests.bridge.pairing.native import NativePhone
from tests.bridge.pairing.samples import SURFACE, VOICE_SCREEN, draft, identity, labels
from tests.support.waiting import eventually


class TestFiling:
    async def test_a_socket_is_told_the_id_of_its_request(self, front: Front) -> None:
        socket = Socket()
        front.reception.file(socket, draft())
        assert [request.id for request in front.reception.desk.pending()] == [socket.only(Filed).request_id]

    async def test_a_newer_connect_takes_the_hold_over(self, front: Front) -> None:
        older, newer = Socket(), Socket()
        request = front.filed(socket=older)
        assert front.filed(socket=newer) == front.reception.desk.get(request.id)
        assert older.told[1:] == [Decided(Outcome.ELSEWHERE)]
        await front.reception.approve(request, None, None)
        assert older.told[2:] == []
        assert newer.told[1:] == [Decided(Outcome.APPROVED)]

    async def test_whom_a_person_invites_finds_room_and_who_made_it_is_told(self, front: Front) -> None:
        """Red without `invite` in `open_window`: a desk that strangers filled keeps the person's own phone out."""
        strangers = [Socket(f"10.0.0.{number + 1}") for number in range(MAX_PENDING)]
        for number, socket in enumerate(strangers):
            front.reception.file(socket, draft(number))
        early, late = Socket(), Socket()
        front.reception.file(early, draft(99))
        assert early.only(FilingFailed).why is NotFiled.BUSY
        front.reception.open_window()
        front.reception.file(late, draft(99))
        assert late.only(Filed).request_id in {request.id for request in front.reception.desk.pending()}
        assert [socket.told[1:] for socket in strangers[:2]] == [[Decided(Outcome.ELSEWHERE)], []]

    async def test_the_same_socket_is_not_told_that_it_was_replaced(self, front: Front) -> None:
        socket = Socket()
        front.reception.file(socket, draft())
        front.reception.file(socket, draft())
        assert [type(event) for event in socket.told] == [Filed, Filed]

    async def test_other_content_ends_the_hold_of_the_old_request(self, front: Front) -> None:
        older, newer = Socket(), Socket()
        request = front.filed(socket=older)
        front.reception.file(newer, draft(of=labels("Renamed")))
        assert older.told[1:] == [Decided(Outcome.ELSEWHERE)]
        assert newer.only(Filed).request_id != request.id
        with pytest.raises(AlreadyDecided):
            await front.reception.approve(request, None, None)
        assert dict(front.reception.store.nodes) == {}

    async def test_a_second_key_of_an_address_is_put_off(self, front: Front) -> None:
        front.filed(1, Socket("10.0.0.1"))
        rival = Socket("10.0.0.1")
        front.reception.file(rival, draft(2))
        assert rival.only(FilingFailed) == FilingFailed(NotFiled.BUSY, BUSY_RETRY_MS)

    async def test_a_denied_key_is_silenced_until_the_window_is_opened(self, front: Front) -> None:
        first, again, invited = Socket(), Socket(), Socket()
        front.reception.deny(front.filed(socket=first))
        assert first.told[1:] == [Decided(Outcome.DENIED)]
        front.reception.file(again, draft())
        assert again.only(FilingFailed).why is NotFiled.SILENCED
        front.reception.open_window()
        front.reception.file(invited, draft())
        assert invited.only(Filed).request_id == front.reception.desk.pending()[0].id

    async def test_it_is_known_when_the_window_was_opened(self, front: Front) -> None:
        before = datetime.now(UTC)
        front.reception.open_window()
        assert front.reception.window_opened is not None
        assert before <= front.reception.window_opened <= datetime.now(UTC)

    async def test_a_socket_that_went_is_told_nothing_and_its_request_stays(self, front: Front) -> None:
        socket = Socket()
        request = front.filed(socket=socket)
        front.reception.forget(socket)
        await front.reception.approve(request, None, None)
        assert len(socket.told) == 1
        assert front.stored().token_due

    async def test_what_a_paired_node_offers_more_is_filed_without_anyone_waiting(self, front: Front) -> None:
        await front.paired()
        front.reception.file_draft(draft(why=Why.WIDER), "10.0.0.1")
        assert [request.draft.why for request in front.reception.desk.pending()] == [Why.WIDER]

    async def test_requests_whose_clients_are_there_do_not_expire(self, front: Front) -> None:
        socket = Socket()
        request = front.filed(socket=socket)
        front.reception.expire()
        assert front.reception.desk.get(request.id) == request
        assert len(socket.told) == 1

    async def test_requests_whose_clients_have_gone_expire(self, front: Front) -> None:
        socket, now = Socket(), clock.now()
        request = front.filed(socket=socket)
        front.reception.desk.file(draft(), socket.address, now.mono - KEPT_S, now.wall)
        front.reception.expire()
        assert front.reception.desk.get(request.id) is None
        assert socket.told[1:] == [Decided(Outcome.EXPIRED)]


class TestApproval:
    async def test_it_is_on_disk_before_the_socket_hears_of_it(self, front: Front) -> None:
        on_disk: list[NodeRecord] = []

        class Looking(Socket):
            def post(self, event: SessionEvent) -> None:
                super().post(event)
                if isinstance(event, Decided):
                    on_disk.append(front.stored())

        socket = Looking()
        record = await front.reception.approve(front.filed(socket=socket), None, None)
        assert on_disk == [record]
        assert socket.told[1:] == [Decided(Outcome.APPROVED)]
        assert front.reception.desk.pending() == []

    async def test_what_was_shown_is_granted(self, front: Front) -> None:
        record = await front.paired()
        assert record.granted == VOICE_SCREEN
        assert record.declared == SURFACE
        assert record.labels == labels()
        assert record.public_key == identity().public_key_text
        assert record.token_due
        assert (record.node_tokens, record.operator_tokens) == ((), ())

    async def test_a_person_may_grant_less_or_more_and_another_name(self, front: Front) -> None:
        record = await front.reception.approve(front.filed(), PROFILES["voice"], "  Anna's\u202e phone ")
        assert record.granted == PROFILES["voice"]
        assert record.labels.display_name == "Anna's phone"
        assert record.declared.granted(record.granted).commands == ()
        other = await front.reception.approve(front.filed(1), frozenset(Permission), "\u200b")
        assert other.granted == frozenset(Permission)
        assert other.labels.display_name == "Anna's iPhone"

    async def test_the_key_for_the_gateway_is_kept_and_is_not_the_phones(self, front: Front) -> None:
        record = await front.paired()
        key = KeyFolder(front.home / "keys").load_ed25519(record.upstream_key)
        assert DeviceIdentity(key).device_id == record.gateway_node_id != record.node_id

    async def test_of_two_people_at_once_the_first_decides(self, front: Front) -> None:
        request = front.filed()
        results = await asyncio.gather(
            front.reception.approve(request, PROFILES["voice"], None),
            front.reception.approve(request, PROFILES["full"], None),
            return_exceptions=True,
        )
        assert isinstance(results[0], NodeRecord)
        assert isinstance(results[1], AlreadyDecided)
        assert front.stored().granted == PROFILES["voice"]

    async def test_a_denial_after_the_approval_began_comes_too_late(self, front: Front) -> None:
        request = front.filed()
        approval = asyncio.gather(front.reception.approve(request, None, None))
        await asyncio.sleep(0)
        with pytest.raises(AlreadyDecided):
            front.reception.deny(request)
        await approval
        assert front.stored().revoked_at is None
        with pytest.raises(AlreadyDecided):
            front.reception.deny(request)

    async def test_it_is_carried_through_when_whoever_asked_for_it_goes_away(self, front: Front) -> None:
        """Red when the work ends with its caller: paired on disk, and still on the desk, where it can be denied."""
        socket = Socket()
        request = front.filed(socket=socket)
        approving = asyncio.get_running_loop().create_task(front.reception.approve(request, None, None))

        def goes_away(_: NodeRecord) -> None:
            approving.cancel()

        front.reception.store.on_change(goes_away)
        with pytest.raises(asyncio.CancelledError):
            await approving
        await eventually(lambda: not front.reception.desk.pending())
        assert socket.told[1:] == [Decided(Outcome.APPROVED)]
        with pytest.raises(AlreadyDecided):
            front.reception.deny(request)

    async def test_the_third_wrong_code_turns_the_request_down_and_tells_who_waits(self, front: Front) -> None:
        socket, phone = Socket(), NativePhone()
        front.reception.file_draft(phone.revealed("c1"), socket.address, "c1")
        front.reception.file(socket, phone.revealed("c1"))
        request = front.reception.desk.pending()[0]
        wrong = f"{(int(short_code(phone.transcript(phone.ceremony('c1')))) + 1) % 1_000_000:06d}"
        for left in (2, 1, 0):
            assert Decided(Outcome.DENIED) not in socket.told
            with pytest.raises(WrongCode) as refused:
                await front.reception.approve(request, None, None, wrong)
            assert refused.value.tries_left == left
        assert socket.told[1:] == [Decided(Outcome.DENIED)]
        assert dict(front.reception.store.nodes) == {}

    async def test_when_the_disk_refuses_nothing_is_decided(self, front: Front) -> None:
        socket = Socket()
        request = front.filed(socket=socket)
        front.home.chmod(0o777)
        with pytest.raises(StoreError):
            await front.reception.approve(request, None, None)
        front.home.chmod(0o700)
        assert len(socket.told) == 1
        assert dict(front.reception.store.nodes) == {}
        assert front.reception.desk.get(request.id) == request
        await front.reception.approve(request, None, None)
        assert socket.told[1:] == [Decided(Outcome.APPROVED)]

    async def test_without_a_key_for_the_gateway_nothing_is_decided(self, front: Front) -> None:
        request = front.filed()
        (front.home / "keys").chmod(0o777)
        with pytest.raises(IdentityError):
            await front.reception.approve(request, None, None)
        assert dict(front.reception.store.nodes) == {}
        assert front.reception.desk.get(request.id) == request

    async def test_a_wider_surface_is_granted_without_new_tokens(self, front: Front) -> None:
        before = await front.paired()
        socket = Socket()
        await front.reception.store.put(before.model_copy(update={"token_due": False, "wants": ("screen.hide",)}))
        wider = draft(why=Why.WIDER, declared=Surface(commands=(*SURFACE.commands, "screen.hide")))
        front.reception.file(socket, wider)
        record = await front.reception.approve(front.reception.desk.pending()[0], None, None)
        assert "screen.hide" in record.declared.granted(record.granted).commands
        assert not record.token_due
        assert record.wants == ()
        assert record.granted == before.granted
        assert (record.upstream_key, record.gateway_node_id) == (before.upstream_key, before.gateway_node_id)
        assert record.created_at == before.created_at

    async def test_what_was_narrowed_while_a_wider_surface_waited_stays_narrowed(self, front: Front) -> None:
        before = await front.paired()
        wider = draft(why=Why.WIDER, declared=Surface(commands=(*SURFACE.commands, "screen.hide")))
        front.reception.file(Socket(), wider)
        await front.reception.store.put(before.model_copy(update={"permissions": (Permission.VOICE,)}))
        record = await front.reception.approve(front.reception.desk.pending()[0], None, None)
        assert record.granted == {Permission.VOICE}


class TestRevocation:
    async def test_it_leaves_a_tombstone_without_tokens(self, front: Front) -> None:
        before = await front.paired()
        await front.admissions.admit(Socket(), Admit(before.node_id, Role.NODE, None, frozenset(Role)))
        assert front.stored().node_tokens
        assert front.stored().operator_tokens
        record = await front.reception.revoke(before.node_id)
        assert front.stored() == record
        assert record.revoked_at is not None
        assert (record.node_tokens, record.operator_tokens, record.token_due) == ((), (), False)
        assert record.stale_upstream == (before.upstream,)
        assert record.revocation_told == ()

    async def test_again_it_changes_nothing(self, front: Front) -> None:
        before = await front.paired()
        once = await front.reception.revoke(before.node_id)
        assert await front.reception.revoke(before.node_id) == once

    async def test_an_unknown_node_cannot_be_revoked(self, front: Front) -> None:
        with pytest.raises(StoreError, match="no such node"):
            await front.reception.revoke("00" * 32)

    async def test_it_ends_the_keys_open_request(self, front: Front) -> None:
        record = await front.paired()
        socket = Socket()
        front.reception.file(socket, draft(why=Why.REPAIR))
        await front.reception.revoke(record.node_id)
        assert socket.told[1:] == [Decided(Outcome.DENIED)]
        assert front.reception.desk.pending() == []

    async def test_an_approval_under_way_does_not_undo_it(self, front: Front) -> None:
        record = await front.paired()
        front.reception.file(Socket(), draft(why=Why.REPAIR))
        request = front.reception.desk.pending()[0]
        results = await asyncio.gather(
            front.reception.revoke(record.node_id),
            front.reception.approve(request, None, None),
            return_exceptions=True,
        )
        assert isinstance(results[1], AlreadyDecided)
        assert front.stored().revoked_at is not None

    async def test_neither_does_one_that_began_before(self, front: Front) -> None:
        record = await front.paired()
        front.reception.file(Socket(), draft(why=Why.REPAIR))
        approval = front.reception.approve(front.reception.desk.pending()[0], None, None)
        await asyncio.gather(approval, front.reception.revoke(record.node_id), return_exceptions=True)
        assert front.stored().revoked_at is not None

    @pytest.mark.parametrize("why", [Why.REPAIR, Why.WIDER, Why.CHANGED])
    async def test_what_its_key_asks_while_it_lands_is_not_left_for_a_person(self, front: Front, why: Why) -> None:
        record = await front.paired()
        socket = Socket()
        revoking = asyncio.gather(front.reception.revoke(record.node_id))
        while front.reception.store.nodes[record.node_id].revoked_at is None:
            front.reception.file(socket, draft(why=why))  # at every moment before the tombstone
            await asyncio.sleep(0)
        await revoking
        assert front.reception.desk.pending() == []
        assert Decided(Outcome.DENIED) in socket.told

    async def test_a_request_that_says_so_stays(self, front: Front) -> None:
        record = await front.reception.revoke((await front.paired()).node_id)
        front.reception.file(Socket(), draft(why=Why.RETURN, revoked_at=record.revoked_at))
        await front.admissions.note_told(record.node_id, Role.NODE)
        assert len(front.reception.desk.pending()) == 1

    async def test_a_revoked_key_offers_nothing_more(self, front: Front) -> None:
        await front.reception.revoke((await front.paired()).node_id)
        front.reception.file_draft(draft(why=Why.WIDER), "10.0.0.1")
        assert front.reception.desk.pending() == []

    async def test_who_was_told_is_remembered_by_role(self, front: Front) -> None:
        record = await front.reception.revoke((await front.paired()).node_id)
        for role in (Role.NODE, Role.OPERATOR, Role.NODE):
            await front.admissions.note_told(record.node_id, role)
        assert set(front.stored().revocation_told) == {Role.NODE, Role.OPERATOR}
        assert len(front.stored().revocation_told) == 2

    async def test_telling_an_unknown_key_is_no_accident(self, front: Front) -> None:
        await front.admissions.note_told("00" * 32, Role.NODE)
        assert dict(front.reception.store.nodes) == {}
