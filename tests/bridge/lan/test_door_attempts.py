"""Attempts at the door: what cost the bridge something stays spent, everything else is given back."""

from __future__ import annotations

import ipaddress
from ipaddress import IPv6Network

from bridge.lan.budget import MAX_KEYS, WINDOW_S
from bridge.lan.door import KNOWN_S, MAX_KNOWN, QUICK_S, Door, TurnedAway
from tests.bridge.lan.doors import HOME, MANY, T, enter, fail, ipv4, knows
from tests.support.scale import scale


def attempts(handshakes: int = 20, pairings: int = 3, *, on_link: tuple[IPv6Network, ...] = ()) -> Door:
    """A door that minds attempts only."""
    return Door(MANY, MANY, handshakes, pairings, on_link)


# Failures.


def test_twenty_failures_in_a_minute_and_the_next_is_turned_away() -> None:
    door = attempts()
    assert [fail(door, "192.0.2.1", T + number) for number in range(30)] == [True] * 20 + [False] * 10
    assert fail(door, "192.0.2.2", T + 30)
    assert not fail(door, "192.0.2.1", T + WINDOW_S - 0.01)
    assert fail(door, "192.0.2.1", T + WINDOW_S)


def test_a_thousand_harmless_visits_are_never_turned_away() -> None:
    """Red when nothing is given back."""
    door = attempts()
    for number in range(1_000):
        visit = enter(door, "192.0.2.1", T + number / 1_000)
        visit.forgive()
        visit.forgive()
        visit.leave()
    assert [fail(door, "192.0.2.1", T + 1) for _ in range(21)] == [True] * 20 + [False]


def test_the_first_question_tells_the_pace_and_no_later_one() -> None:
    door = attempts(handshakes=1)
    quick = enter(door, "192.0.2.1")
    for later in (QUICK_S, QUICK_S + 5.0):
        quick.note_pace(T + later)
    quick.forgive()
    slow = enter(door, "192.0.2.1")
    slow.note_pace(T + QUICK_S + 0.1)
    slow.note_pace(T)
    slow.forgive()
    assert not fail(door, "192.0.2.1")


def test_being_let_in_is_no_failure() -> None:
    door = attempts()
    for _ in range(100):
        enter(door, "192.0.2.1").admit(T)
    assert door.count == 0


def test_being_turned_away_costs_nothing() -> None:
    door = Door(1, 64, 20, 3)
    visit = enter(door, "192.0.2.1")
    for _ in range(1_000):
        assert door.enter("192.0.2.1", T) is TurnedAway.FULL
    visit.leave()
    assert sum(fail(door, "192.0.2.1") for _ in range(100)) == 19


def test_a_known_address_has_attempts_of_its_own() -> None:
    """Red when strangers and known addresses share a budget: a site's flood keeps its paired phone out."""
    door = attempts()
    phone = "2001:db8::7"
    enter(door, phone).admit(T)
    assert sum(fail(door, f"2001:db8::1:{number:x}") for number in range(100)) == 20
    assert sum(fail(door, phone) for _ in range(100)) == 20


def test_strangers_that_fill_the_table_keep_no_known_address_out() -> None:
    """Red when known addresses stand in the strangers' table."""
    door = attempts(handshakes=1)
    door.remember("192.0.2.1", T)
    for number in range(MAX_KEYS):
        assert fail(door, f"2001:db8:{number:x}::1")
    assert door.enter("192.0.2.2", T) is TurnedAway.OFTEN
    enter(door, "192.0.2.1")


def test_neighbours_together_fail_as_often_as_sixteen_of_them() -> None:
    door = Door(8, 64, 20, 3, (HOME,))
    failed = sum(fail(door, str(HOME[number])) for number in range(1, 10_000))
    assert failed == 16 * 20
    assert not fail(door, str(HOME[5]))
    assert fail(door, "192.0.2.1")
    assert sum(fail(door, str(HOME[5]), T + WINDOW_S) for _ in range(100)) == 20


def test_a_neighbour_turned_away_for_the_others_sake_has_its_attempts_yet() -> None:
    """Red when its own attempt stays spent."""
    door = Door(8, 64, 1, 3, (HOME,))
    assert all(fail(door, str(HOME[number])) for number in range(1, door.per_group + 1))
    assert not fail(door, str(HOME[99]), T + WINDOW_S / 2)
    assert fail(door, str(HOME[99]), T + WINDOW_S)


def test_a_million_addresses_of_one_site_are_one() -> None:
    door = attempts()
    network = ipaddress.ip_network("2001:db8::/64")
    spent = sum(fail(door, str(network[number * 2**40])) for number in range(scale(1_000_000)))
    assert spent == 20


# Known addresses.


def test_an_address_is_known_for_a_day() -> None:
    door = attempts()
    enter(door, "::ffff:192.0.2.1").admit(T)
    assert knows(door, "192.0.2.1", T + KNOWN_S - 1)
    assert not knows(door, "192.0.2.1", T + KNOWN_S)
    assert not knows(door, "192.0.2.2", T)


def test_of_too_many_known_addresses_the_one_heard_of_longest_ago_is_forgotten() -> None:
    door = attempts()
    for number in range(MAX_KNOWN):
        door.remember(ipv4(number), T)
    door.remember(ipv4(7), T + 1)
    for number in range(MAX_KNOWN, MAX_KNOWN + 100):
        door.remember(ipv4(number), T + 2)
    known = [knows(door, ipv4(number), T + 3) for number in range(MAX_KNOWN + 100)]
    assert known == [False] * 7 + [True] + [False] * 93 + [True] * (MAX_KNOWN - 1)


def test_what_was_known_before_a_restart_is_recalled_in_its_order() -> None:
    door = attempts()
    door.recall({"192.0.2.2": T, "192.0.2.1": T - KNOWN_S + 10} | {ipv4(n): T - 5 for n in range(MAX_KNOWN - 2)})
    assert knows(door, "192.0.2.1", T + 9)
    assert not knows(door, "192.0.2.1", T + 10)
    assert knows(door, "192.0.2.2", T + KNOWN_S - 1)
    door.remember("192.0.2.3", T)
    assert not knows(door, "192.0.2.1", T), "the one heard of longest ago had to go"


def test_whoever_listens_hears_of_known_addresses_as_they_are_kept() -> None:
    door, heard = attempts(), list[tuple[str, float]]()
    door.on_known(lambda address, now: heard.append((address, now)))
    door.recall({"192.0.2.9": T})
    enter(door, "::ffff:192.0.2.1").admit(T + 1)
    enter(door, "fe80::1%en0").admit(T + 2)
    assert heard == [("192.0.2.1", T + 1), ("fe80::1", T + 2)]


# Pairing.


def test_an_address_may_ask_three_times_a_minute() -> None:
    door = attempts()
    visit = enter(door, "192.0.2.1")
    assert [visit.ask(T + number) for number in range(4)] == [0.0, 0.0, 0.0, 57.0]
    assert enter(door, "192.0.2.1").ask(T + 59.9) == 1.0
    assert enter(door, "192.0.2.2").ask(T) == 0.0
    assert visit.ask(T + WINDOW_S) == 0.0


def test_who_had_to_ask_nobody_gets_the_attempt_back() -> None:
    visit = enter(attempts(), "192.0.2.1")
    for _ in range(100):
        assert visit.ask(T) == 0.0
        visit.unask()
        visit.unask()
    assert [visit.ask(T) == 0.0 for _ in range(4)] == [True] * 3 + [False]
    visit.unask()
    assert visit.ask(T) > 0.0, "there was nothing to give back: the last try got none"
