"""A desk that strangers have filled: how much one neighbour can take, and who makes room for whom a person invites."""

from __future__ import annotations

import itertools

from bridge.pairing.desk import INVITED_S, MAX_OF_SITE, MAX_PENDING, SILENT_S, Busy, Desk, Draft, Filed, Why
from bridge.pairing.records import Surface
from tests.bridge.pairing.samples import NOON, VOICE_SCREEN, labels

PHONE = "192.168.1.50"


def fake(number: int, name: str = "Phone", why: Why = Why.NEW) -> Draft:
    """Return a draft of a made-up key."""
    return Draft(f"{number:064x}", "key", labels(name), Surface(), VOICE_SCREEN, why)


def new_desk() -> Desk:
    numbers = itertools.count(1)
    return Desk(lambda: f"r{next(numbers)}")


def ask(desk: Desk, number: int, address: str, now: float = 0.0) -> Filed | Busy:
    answer = desk.file(fake(number), address, now, NOON)
    assert isinstance(answer, Filed | Busy)
    return answer


def full(now: float = 0.0) -> Desk:
    """A desk with a request of each key from 0 on, of as many addresses, a second apart."""
    desk = new_desk()
    for number in range(MAX_PENDING):
        assert isinstance(ask(desk, number, f"10.0.0.{number + 1}", now + number), Filed)
    return desk


def keys(desk: Desk) -> list[int]:
    return [int(request.draft.node_id, 16) for request in desk.pending()]


class TestSites:
    def test_a_neighbour_with_all_addresses_of_its_link_has_a_quarter_of_the_desk(self) -> None:
        """Red without the cap: it has all of it, and nobody else may ask."""
        desk = new_desk()
        came = [isinstance(ask(desk, number, f"fe80::{number + 1:x}%en0"), Filed) for number in range(1_000)]
        assert came == [True] * MAX_OF_SITE + [False] * (1_000 - MAX_OF_SITE)
        assert isinstance(ask(desk, 2_000, PHONE), Filed)

    def test_three_prefixes_of_one_host_leave_room(self) -> None:
        desk = new_desk()
        prefixes = itertools.cycle(("fe80::", "fd00::", "2001:db8::"))
        for number, prefix in zip(range(300), prefixes, strict=False):
            ask(desk, number, f"{prefix}{number + 1:x}")
        assert len(desk.pending()) == 3 * MAX_OF_SITE
        assert desk.has_room(fake(999).node_id, PHONE, 0.0)

    def test_ipv4_and_loopback_count_one_by_one(self) -> None:
        desk = new_desk()
        for number in range(MAX_OF_SITE + 1):
            assert isinstance(ask(desk, number, f"::ffff:192.168.1.{number + 1}"), Filed)
            assert isinstance(ask(desk, 100 + number, f"10.0.0.{number + 1}"), Filed)
        assert isinstance(ask(desk, 500, "::1"), Filed)

    def test_a_full_site_knows_its_own_and_has_place_after_a_decision(self) -> None:
        desk = new_desk()
        for number in range(MAX_OF_SITE):
            ask(desk, number, f"fe80::{number + 1:x}")
        assert isinstance(desk.file(fake(0, "Renamed"), "fe80::ff", 1.0, NOON), Filed)
        assert not desk.has_room(fake(99).node_id, "fe80::99", 2.0)
        desk.take(desk.pending()[0].id)
        assert desk.has_room(fake(99).node_id, "fe80::99", 2.0)

    def test_what_a_paired_node_wants_takes_no_place_of_its_site(self) -> None:
        desk = new_desk()
        for number in range(MAX_OF_SITE):
            assert isinstance(desk.file(fake(number, why=Why.WIDER), f"fe80::{number + 1:x}", 0.0, NOON), Filed)
        assert isinstance(ask(desk, 99, "fe80::99"), Filed)

    def test_a_full_site_makes_room_for_the_invited_too(self) -> None:
        desk = new_desk()
        for number in range(MAX_OF_SITE):
            ask(desk, number, f"fe80::{number + 1:x}", float(number))
        ask(desk, 50, PHONE)
        desk.invite(100.0)
        answer = ask(desk, 99, "fe80::99", 101.0)
        assert isinstance(answer, Filed)
        assert [int(one.draft.node_id, 16) for one in answer.ended] == [0], "one of its own site"


class TestInvited:
    def test_without_an_invitation_nobody_makes_room(self) -> None:
        desk = full()
        assert isinstance(ask(desk, 99, PHONE, 10 * SILENT_S), Busy)
        assert not desk.has_room(fake(99).node_id, PHONE, 10 * SILENT_S)

    def test_who_waited_before_makes_room_the_longest_silent_first(self) -> None:
        """Red without the rule: one retry in five minutes keeps the desk full, and an invited phone out."""
        desk = full()
        ask(desk, 0, "10.0.0.1", 40.0)  # heard of again, so it is not the first to go
        desk.invite(50.0)
        for newcomer, gone in ((100, 1), (101, 2), (102, 3)):
            assert desk.has_room(fake(newcomer).node_id, f"192.168.1.{newcomer}", 51.0)
            answer = ask(desk, newcomer, f"192.168.1.{newcomer}", 51.0)
            assert isinstance(answer, Filed)
            assert [int(one.draft.node_id, 16) for one in answer.ended] == [gone]
            assert len(desk.pending()) == MAX_PENDING
        assert 0 in keys(desk)

    def test_the_invited_do_not_make_room_for_each_other(self) -> None:
        desk = full()
        desk.invite(50.0)
        answers = [ask(desk, 100 + number, f"192.168.1.{number + 1}", 51.0) for number in range(100)]
        assert sum(isinstance(answer, Filed) for answer in answers) == MAX_PENDING
        assert sorted(keys(desk)) == list(range(100, 100 + MAX_PENDING))

    def test_the_invitation_ends(self) -> None:
        desk = full()
        desk.invite(50.0)
        assert desk.has_room(fake(99).node_id, PHONE, 50.0 + INVITED_S - 0.001)
        assert not desk.has_room(fake(99).node_id, PHONE, 50.0 + INVITED_S)
        assert [desk.is_invited(50.0 + after) for after in (0.0, INVITED_S - 0.001, INVITED_S)] == [True, True, False]

    def test_there_is_none_before_a_person_invites(self) -> None:
        assert not new_desk().is_invited(0.0)

    def test_a_second_one_counts_from_then(self) -> None:
        desk = full()
        desk.invite(50.0)
        ask(desk, 99, PHONE, 51.0)
        desk.invite(60.0)
        for number in range(MAX_PENDING):
            ask(desk, 200 + number, f"192.168.2.{number + 1}", 61.0)
        assert 99 not in keys(desk)

    def test_there_is_no_eviction_while_there_is_room(self) -> None:
        desk = full()
        desk.take(desk.pending()[7].id)
        desk.invite(50.0)
        answer = ask(desk, 99, PHONE, 51.0)
        assert isinstance(answer, Filed)
        assert answer.ended == ()

    def test_another_key_of_ones_own_address_is_waited_for_all_the_same(self) -> None:
        desk = new_desk()
        ask(desk, 1, PHONE)
        desk.invite(1.0)
        assert isinstance(ask(desk, 2, PHONE, 2.0), Busy)

    def test_what_paired_nodes_want_stays(self) -> None:
        desk = full()
        desk.file(fake(77, why=Why.WIDER), "10.0.7.7", 0.0, NOON)
        desk.invite(50.0)
        for number in range(100):
            ask(desk, 100 + number, f"192.168.1.{number + 1}", 51.0)
        assert 77 in keys(desk)
