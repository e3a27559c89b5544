"""The desk as conversations: who may ask, what a retry is, what a denial means, and how full it gets."""

from __future__ import annotations

import itertools
import re

import pytest

from acl.permissions import PROFILES
from bridge.pairing.desk import (
    DENIED_S,
    KEPT_S,
    MAX_DENIED,
    MAX_PENDING,
    SILENT_S,
    Busy,
    Desk,
    Draft,
    Filed,
    PairingRequest,
    Silenced,
    Why,
)
from bridge.pairing.reception import new_request_id
from bridge.pairing.records import Surface
from tests.bridge.pairing.samples import NOON, VOICE_SCREEN, draft, labels

HERE, THERE = "192.168.1.7", "192.168.1.8"
CHANGES = {
    "wider": draft(declared=Surface(commands=("screen.show", "system.run"))),
    "narrower": draft(declared=Surface()),
    "other name": draft(of=labels("Anna's iPhone ")),
    "other model": draft(of=labels(family="iPad")),
    "other permissions": draft(permissions=PROFILES["full"]),
}


def new_desk() -> Desk:
    numbers = itertools.count(1)
    return Desk(lambda: f"r{next(numbers)}")


def filed(desk: Desk, what: Draft, address: str = HERE, now: float = 0.0) -> Filed:
    answer = desk.file(what, address, now, NOON)
    assert isinstance(answer, Filed), answer
    return answer


class TestRetries:
    def test_ten_retries_at_six_seconds_are_one_request(self) -> None:
        desk = new_desk()
        first = filed(desk, draft())
        assert first.fresh
        for retry in range(1, 11):
            again = filed(desk, draft(), now=6.0 * retry)
            assert (again.request.id, again.fresh, again.ended) == (first.request.id, False, ())
        assert [request.id for request in desk.pending()] == [first.request.id]
        assert desk.pending()[0].created_at == NOON

    def test_a_retry_keeps_it_alive_and_silence_ends_it(self) -> None:
        desk = new_desk()
        request = filed(desk, draft()).request
        filed(desk, draft(), now=200.0)
        assert desk.expire(KEPT_S) == []
        assert desk.expire(200.0 + KEPT_S - 0.001) == []
        assert [gone.id for gone in desk.expire(200.0 + KEPT_S)] == [request.id]
        assert desk.get(request.id) is None
        assert filed(desk, draft(), now=600.0).request.id != request.id

    @pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
    def test_other_content_is_another_request_and_ends_the_old_one(self, changed: Draft) -> None:
        desk = new_desk()
        old = filed(desk, draft()).request
        new = filed(desk, changed, now=1.0)
        assert new.fresh
        assert new.request.id != old.id
        assert new.ended == (old,)
        assert desk.get(old.id) is None
        assert desk.take(old.id) is None
        assert desk.pending() == [new.request]

    def test_what_was_shown_is_frozen(self) -> None:
        desk = new_desk()
        shown = filed(desk, draft()).request
        for second in range(1, 4):
            filed(desk, draft(), THERE, now=float(second))
        kept = desk.get(shown.id)
        assert kept is not None
        assert kept.draft == shown.draft
        assert kept.address == HERE
        with pytest.raises(AttributeError):
            kept.draft.permissions = VOICE_SCREEN  # type: ignore[misc]  # the point of the test


class TestAddresses:
    def test_a_second_key_of_an_address_waits_and_the_first_is_left_alone(self) -> None:
        desk = new_desk()
        first = filed(desk, draft(1)).request
        assert desk.file(draft(2), HERE, SILENT_S - 0.001, NOON) == Busy()
        assert desk.pending() == [first]

    def test_it_takes_the_place_of_one_that_fell_silent(self) -> None:
        desk = new_desk()
        first = filed(desk, draft(1)).request
        second = filed(desk, draft(2), now=SILENT_S)
        assert second.ended == (first,)
        assert desk.pending() == [second.request]

    def test_a_key_that_moves_to_a_silent_ones_address_ends_both(self) -> None:
        desk = new_desk()
        rival = filed(desk, draft(1), HERE).request
        mine = filed(desk, draft(2), THERE, now=1.0).request
        moved = filed(desk, draft(2, of=labels("Renamed")), HERE, now=SILENT_S)
        assert moved.ended == (mine, rival)
        assert desk.pending() == [moved.request]

    def test_keys_of_two_addresses_wait_side_by_side_even_with_one_name(self) -> None:
        desk = new_desk()
        one, other = filed(desk, draft(1), HERE).request, filed(desk, draft(2), THERE).request
        assert one.draft.labels == other.draft.labels
        assert desk.pending() == [one, other]
        assert desk.take(other.id) == other
        assert desk.pending() == [one]


class TestDecisions:
    def test_an_approved_request_is_gone_and_can_be_taken_once(self) -> None:
        desk = new_desk()
        request = filed(desk, draft()).request
        assert desk.take(request.id) == request
        assert desk.take(request.id) is None
        assert desk.deny(request.id, 0.0) is None

    @pytest.mark.parametrize("name", ["", "r", "r1 ", "R1", "r11", "latest", "0"])
    def test_only_the_exact_id_names_a_request(self, name: str) -> None:
        desk = new_desk()
        filed(desk, draft())
        assert desk.get(name) is None
        assert desk.take(name) is None
        assert desk.deny(name, 0.0) is None
        assert len(desk.pending()) == 1

    def test_a_denied_key_asks_nobody_for_a_quarter_of_an_hour(self) -> None:
        desk = new_desk()
        desk.deny(filed(desk, draft()).request.id, 10.0)
        assert desk.file(draft(of=labels("Other name")), THERE, 10.0, NOON) == Silenced(DENIED_S)
        assert desk.file(draft(), HERE, 10.0 + DENIED_S - 1.0, NOON) == Silenced(1.0)
        assert desk.pending() == []
        assert filed(desk, draft(), now=10.0 + DENIED_S).fresh

    def test_a_denial_silences_the_key_and_not_its_address(self) -> None:
        desk = new_desk()
        desk.deny(filed(desk, draft(1)).request.id, 0.0)
        assert filed(desk, draft(2), HERE, now=1.0).fresh

    def test_opening_the_window_forgives(self) -> None:
        desk = new_desk()
        desk.deny(filed(desk, draft()).request.id, 0.0)
        desk.invite(1.0)
        assert filed(desk, draft(), now=1.0).fresh

    def test_a_key_that_came_in_another_way_has_no_request_left(self) -> None:
        desk = new_desk()
        mine, other = filed(desk, draft(1), HERE).request, filed(desk, draft(2), THERE).request
        assert desk.drop_key(mine.draft.node_id) == mine
        assert desk.drop_key(mine.draft.node_id) is None
        assert desk.pending() == [other]


class TestWider:
    def test_what_a_paired_node_wants_waits_as_long_as_it_takes(self) -> None:
        desk = new_desk()
        wider = filed(desk, draft(why=Why.WIDER)).request
        assert wider.lasting
        assert desk.expire(100 * KEPT_S) == []
        assert desk.pending() == [wider]

    def test_it_stands_in_no_strangers_way_and_no_stranger_in_its(self) -> None:
        desk = new_desk()
        stranger = filed(desk, draft(1)).request
        wider = filed(desk, draft(2, why=Why.WIDER)).request
        other = filed(desk, draft(3, why=Why.WIDER)).request
        assert filed(desk, draft(1), now=1.0).request.id == stranger.id
        assert {request.id for request in desk.pending()} == {stranger.id, wider.id, other.id}

    def test_a_full_desk_has_place_for_it_and_it_takes_none(self) -> None:
        desk = new_desk()
        filed(desk, draft(1, why=Why.WIDER))
        for number in range(MAX_PENDING):
            filed(desk, fake(number), f"10.0.0.{number}")
        assert desk.file(fake(999), "10.9.9.9", 0.0, NOON) == Busy()
        assert filed(desk, draft(2, why=Why.WIDER)).fresh

    def test_it_goes_when_the_node_wants_no_more_and_only_it(self) -> None:
        desk = new_desk()
        wider, stranger = filed(desk, draft(1, why=Why.WIDER)).request, filed(desk, draft(2)).request
        assert desk.drop_wider(stranger.draft.node_id) is None
        assert desk.drop_wider(wider.draft.node_id) == wider
        assert desk.pending() == [stranger]


class TestFlood:
    def test_ten_thousand_keys_of_as_many_addresses_leave_the_first_ones_on_the_desk(self) -> None:
        desk = new_desk()
        answers = [desk.file(fake(number), f"10.0.{number >> 8}.{number & 255}", 0.0, NOON) for number in range(10_000)]
        assert [type(answer) for answer in answers[:MAX_PENDING]] == [Filed] * MAX_PENDING
        assert {type(answer) for answer in answers[MAX_PENDING:]} == {Busy}
        assert [request.draft.node_id for request in desk.pending()] == [fake(n).node_id for n in range(MAX_PENDING)]

    def test_a_full_desk_still_knows_its_own_and_has_place_again_after_one_decision(self) -> None:
        desk = new_desk()
        requests = [filed(desk, fake(number), f"10.0.0.{number}").request for number in range(MAX_PENDING)]
        assert filed(desk, fake(3), "10.0.0.3", 1.0).request.id == requests[3].id
        changed = filed(desk, fake(3, "Renamed"), "10.0.0.3", 2.0)
        assert changed.ended[0].id == requests[3].id
        assert desk.file(fake(999), "10.9.9.9", 3.0, NOON) == Busy()
        desk.take(changed.request.id)
        assert filed(desk, fake(999), "10.9.9.9", 4.0).fresh

    def test_ten_thousand_keys_of_one_address_are_one_request(self) -> None:
        desk = new_desk()
        for number in range(10_000):
            desk.file(fake(number), HERE, 0.0, NOON)
        assert [request.draft.node_id for request in desk.pending()] == [fake(0).node_id]

    def test_the_oldest_denials_are_forgotten_first(self) -> None:
        desk = new_desk()
        for number in range(MAX_DENIED + 1):
            desk.silence(fake(number).node_id, 0.0)
        assert isinstance(desk.file(fake(0), HERE, 1.0, NOON), Filed)
        assert isinstance(desk.file(fake(1), THERE, 1.0, NOON), Silenced)
        assert isinstance(desk.file(fake(MAX_DENIED), THERE, 1.0, NOON), Silenced)

    def test_a_key_denied_again_is_as_young_as_its_last_denial(self) -> None:
        desk = new_desk()
        for number in [*range(MAX_DENIED), 5, *range(MAX_DENIED, MAX_DENIED + 6)]:
            desk.silence(fake(number).node_id, 0.0)
        assert isinstance(desk.file(fake(5), HERE, 1.0, NOON), Silenced)
        assert isinstance(desk.file(fake(6), HERE, 1.0, NOON), Filed)
        assert isinstance(desk.file(fake(7), THERE, 1.0, NOON), Silenced)


def fake(number: int, name: str = "Phone") -> Draft:
    """Return a draft of a made-up key: deriving real ones would take longer than the test."""
    return Draft(f"{number:064x}", "key", labels(name), Surface(), VOICE_SCREEN)


class TestWhatTheDoorAsks:
    def test_a_retry_is_the_same_draft_of_the_same_key_while_it_is_pending(self) -> None:
        desk = new_desk()
        request = filed(desk, draft()).request
        assert desk.holds(draft())
        assert not any(desk.holds(changed) for changed in CHANGES.values())
        desk.take(request.id)
        assert not desk.holds(draft())

    def test_a_key_awaits_a_person_unless_it_is_a_paired_node_that_wants_more(self) -> None:
        desk = new_desk()
        filed(desk, draft())
        assert desk.awaits(draft().node_id)
        desk.drop_key(draft().node_id)
        filed(desk, draft(why=Why.WIDER))
        assert not desk.awaits(draft().node_id)


def test_ids_of_the_bridge_are_what_clients_show_and_unlike_each_other() -> None:
    ids = [new_request_id() for _ in range(1000)]
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", each) for each in ids)
    assert len(set(ids)) == len(ids)


def test_a_request_says_when_it_ends() -> None:
    assert PairingRequest("r1", draft(), HERE, NOON, 5.0).expires == 5.0 + KEPT_S


def test_a_device_that_shows_that_it_waits_keeps_its_place() -> None:
    desk = Desk(lambda: "x")
    desk.file(draft(), "10.0.0.1", 0.0, NOON)
    desk.refresh("x", SILENT_S)
    desk.refresh("unknown", SILENT_S)
    assert not desk.has_room("ff" * 32, "10.0.0.1", 2 * SILENT_S - 1)
    assert desk.expire(KEPT_S) == []


class TestRoom:
    def test_there_is_none_behind_a_rival_of_the_address(self) -> None:
        desk = Desk(lambda: "x")
        desk.file(draft(), "10.0.0.1", 0.0, NOON)
        assert not desk.has_room("ff" * 32, "10.0.0.1", SILENT_S - 1)
        assert desk.has_room("ff" * 32, "10.0.0.1", SILENT_S)
        assert desk.has_room(draft().node_id, "10.0.0.1", 1.0), "its own request is replaced"

    def test_there_is_none_on_a_full_desk(self) -> None:
        ids = iter(range(1000))
        desk = Desk(lambda: str(next(ids)))
        for number in range(MAX_PENDING):
            desk.file(draft(number), f"10.0.1.{number}", 0.0, NOON)
        assert not desk.has_room("ff" * 32, "10.0.2.1", 0.0)
        assert desk.has_room(draft(3).node_id, "10.0.2.1", 0.0)
