"""Places at the door: capped per address and in all, whatever an address looks like, and given back exactly once."""

from __future__ import annotations

import ipaddress
import random

import pytest

from bridge.lan.door import Door, door_key
from tests.support.scale import scale, seed


def test_one_address_has_its_places_and_no_more() -> None:
    door = Door(per_address=8, total=64)
    assert [door.enter("192.0.2.1") for _ in range(1_000)] == [True] * 8 + [False] * 992
    assert door.enter("192.0.2.2")
    assert door.count == 9


def test_all_together_have_theirs() -> None:
    door = Door(per_address=8, total=64)
    entered = [door.enter(f"10.0.{number // 250}.{number % 250 + 1}") for number in range(1_000)]
    assert entered == [True] * 64 + [False] * 936


def test_a_place_that_was_given_back_can_be_taken_again() -> None:
    door = Door(per_address=1, total=1)
    for _ in range(1_000):
        assert door.enter("192.0.2.1")
        assert not door.enter("192.0.2.1")
        door.leave("192.0.2.1")
    assert door.count == 0


def test_leaving_without_a_place_frees_nobody_else_s() -> None:
    door = Door(per_address=1, total=1)
    assert door.enter("192.0.2.1")
    door.leave("192.0.2.2")
    assert door.count == 1
    assert not door.enter("192.0.2.2")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"),
        ("fe80::1%eth0", "fe80::1%eth1"),
        ("fd00:1:2:3::1", "fd00:1:2:3:ffff::1"),
        ("::1", "0:0:0:0:0:0:0:1"),
    ],
)
def test_addresses_that_count_as_one(one: str, other: str) -> None:
    assert door_key(one) == door_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8:0:1::1"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("::1", "::2"),
        ("fe80::1", "fe80::2"),
        ("127.0.0.1", "::1"),
    ],
)
def test_addresses_that_do_not(one: str, other: str) -> None:
    assert door_key(one) != door_key(other)


def test_a_whole_network_of_one_prefix_is_one_peer() -> None:
    door = Door(per_address=8, total=64)
    network = ipaddress.ip_network("2001:db8::/64")
    entered = sum(door.enter(str(network[number * 2**40])) for number in range(scale(10_000)))
    assert entered == 8


def test_whatever_comes_and_goes_the_count_is_right() -> None:
    chance, door = random.Random(seed()), Door(per_address=3, total=10)  # noqa: S311 - no secret
    inside: list[str] = []
    for _ in range(scale(50_000)):
        if inside and chance.random() < 0.5:
            door.leave(inside.pop(chance.randrange(len(inside))))
        else:
            address = f"192.0.2.{chance.randrange(6)}"
            room = inside.count(address) < 3 and len(inside) < 10
            assert door.enter(address) is room
            inside += [address] if room else []
        assert door.count == len(inside)
