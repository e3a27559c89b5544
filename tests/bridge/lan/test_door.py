"""Places and attempts at the door: capped whatever an address looks like, and given back exactly once."""

from __future__ import annotations

import ipaddress
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.lan.door import KNOWN_S, RESERVED, Door, TurnedAway, Visit
from bridge.lan.origin import origin_of, read_address
from tests.bridge.lan.doors import HOME, T, door_of, enter, fail, ipv4
from tests.support.scale import scale, seed

# Places.


def test_one_address_has_its_places_and_no_more() -> None:
    door = door_of()
    inside = [enter(door, "192.0.2.1") for _ in range(8)]
    assert [door.enter("192.0.2.1", T) for _ in range(1_000)] == [TurnedAway.FULL] * 1_000
    enter(door, "192.0.2.2")
    assert door.count == 9
    inside[3].leave()
    enter(door, "192.0.2.1")
    assert door.enter("192.0.2.1", T) is TurnedAway.FULL


def test_strangers_together_have_half_of_the_places() -> None:
    door = door_of()
    came = [isinstance(door.enter(ipv4(number), T), Visit) for number in range(1_000)]
    assert came == [True] * 32 + [False] * 968
    assert door.count == 32


def test_the_other_half_is_for_addresses_from_which_a_paired_node_came() -> None:
    """Red when known addresses are counted with strangers."""
    door = door_of()
    phones = [f"192.168.1.{number}" for number in range(1, 9)]
    for phone in phones:
        enter(door, phone).admit(T)
    for number in range(1_000):
        door.enter(ipv4(number), T)
    for phone in phones:
        for _ in range(RESERVED // len(phones)):
            assert enter(door, phone, T + KNOWN_S - 1).known
    assert door.count == 64
    assert door.enter(phones[0], T) is TurnedAway.FULL
    assert door.enter("192.0.2.1", T) is TurnedAway.FULL


def test_known_addresses_may_take_what_strangers_leave() -> None:
    door = door_of(per_address=100)
    enter(door, "192.0.2.1").admit(T)
    for _ in range(64):
        enter(door, "192.0.2.1")
    assert door.enter("192.0.2.2", T) is TurnedAway.FULL


@pytest.mark.parametrize(("total", "strangers"), [(1, 1), (2, 1), (8, 4), (64, 32), (100, 68)])
def test_a_small_door_keeps_half_for_them_and_a_large_one_thirty_two(total: int, strangers: int) -> None:
    door = door_of(total=total)
    assert sum(isinstance(door.enter(ipv4(number), T), Visit) for number in range(200)) == strangers


def test_a_place_is_given_back_once() -> None:
    door = door_of(per_address=1)
    visit = enter(door, "192.0.2.1")
    visit.leave()
    for _ in range(1_000):
        visit = enter(door, "192.0.2.1")
        assert door.enter("192.0.2.1", T) is TurnedAway.FULL
        visit.leave()
        visit.leave()
        visit.admit(T)
    assert door.count == 0
    enter(door, "192.0.2.2")
    visit.leave()
    assert door.count == 1


def test_a_visit_leaves_as_what_it_came_as() -> None:
    door = door_of(per_address=1, total=4)
    before = enter(door, "192.0.2.1")
    door.remember("192.0.2.1", T)
    after = enter(door, "192.0.2.1")
    assert (before.known, after.known) == (False, True)
    before.leave()
    after.leave()
    assert door.count == 0
    assert [isinstance(door.enter(ipv4(number), T), Visit) for number in range(4)] == [True, True, False, False]


def test_known_addresses_of_one_site_have_places_of_their_own() -> None:
    door = door_of()
    for number in range(3):
        door.remember(f"2001:db8::{number}", T)
        for _ in range(8):
            assert enter(door, f"2001:db8::{number}").known
        assert door.enter(f"2001:db8::{number}", T) is TurnedAway.FULL


# Neighbours.


def test_a_site_that_is_far_away_is_one_peer() -> None:
    door = door_of()
    network = ipaddress.ip_network("2001:db8::/64")
    came = sum(isinstance(door.enter(str(network[number * 2**40]), T), Visit) for number in range(scale(10_000)))
    assert came == 8


def test_neighbours_count_one_by_one_and_together_have_half_of_the_strangers_places() -> None:
    """Red when the group is not counted: 32, and IPv4 gets nothing."""
    door = door_of(on_link=(HOME,))
    came = sum(isinstance(door.enter(str(HOME[number]), T), Visit) for number in range(1, 1_000))
    assert came == 16
    for number in range(16):
        enter(door, ipv4(number))
    assert door.enter(ipv4(99), T) is TurnedAway.FULL


def test_a_known_neighbour_does_not_need_a_place_of_its_neighbours() -> None:
    door = door_of(on_link=(HOME,))
    phone = str(HOME[7])
    enter(door, phone).admit(T)
    for number in range(1_000, 2_000):
        door.enter(str(HOME[number]), T)
    assert enter(door, phone).known
    assert door.enter(str(HOME[8]), T) is TurnedAway.FULL


# Whatever happens.


def test_whatever_comes_and_goes_the_count_is_right() -> None:
    chance, door = random.Random(seed()), door_of(per_address=3, total=20)  # noqa: S311 - no secret
    inside: list[Visit] = []
    for _ in range(scale(50_000)):
        if inside and chance.random() < 0.5:
            inside.pop(chance.randrange(len(inside))).leave()
        else:
            address = f"192.0.2.{chance.randrange(6)}"
            room = sum(visit.address == address for visit in inside) < 3 and len(inside) < 10
            visit = door.enter(address, T)
            assert isinstance(visit, Visit) is room
            inside += [visit] if isinstance(visit, Visit) else []
        assert door.count == len(inside)


ADDRESSES = [
    "192.0.2.1",
    "::ffff:192.0.2.1",
    "192.0.2.2",
    "fe80::1%en0",
    "fe80::2",
    "2001:db8::1",
    "2001:db8::2",
    "::1",
]
ACTS = ["enter", "enter", "enter", "leave", "forgive", "admit", "ask", "unask"]


@given(st.lists(st.tuples(st.sampled_from(ACTS), st.sampled_from(ADDRESSES), st.floats(0, 30), st.integers(0, 99))))
def test_whatever_is_done_no_cap_is_passed_and_nothing_is_left(steps: list[tuple[str, str, float, int]]) -> None:
    door, now = Door(3, 12, 4, 2), T
    inside: list[Visit] = []
    gone: list[Visit] = []
    for act, address, pause, choice in steps:
        now += pause
        if act == "enter":
            visit = door.enter(address, now)
            inside += [visit] if isinstance(visit, Visit) else []
        elif inside or gone:
            visit = (inside + gone)[choice % len(inside + gone)]
            step(visit, act, now)
            if act in ("leave", "admit") and visit in inside:
                inside.remove(visit)
                gone.append(visit)
        strangers = [visit for visit in inside if not visit.known]
        origins = [origin_of(read_address(visit.address)) for visit in strangers]
        assert door.count == len(inside) <= 12
        assert len(strangers) <= 6
        assert all(origins.count(one) <= 3 for one in origins)
        assert sum(one.group == "fe80::/64" for one in origins) <= 3
    for visit in inside + gone:
        visit.leave()
    assert door.count == 0
    assert sum(fail(door, "192.0.2.9", now) for _ in range(9)) == 4


def step(visit: Visit, act: str, now: float) -> None:
    """Does one thing with a visit, whether it makes sense or not."""
    match act:
        case "leave":
            visit.leave()
        case "forgive":
            visit.forgive()
        case "admit":
            visit.admit(now)
        case "ask":
            assert visit.ask(now) >= 0.0
        case _:
            visit.unask()
