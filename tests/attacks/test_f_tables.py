"""F2, F5, F6 and F7 where a clock or a million addresses are needed: the door and a conversation, without a socket."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bridge.config import LimitsTable
from bridge.lan.budget import MAX_KEYS
from bridge.lan.door import Door
from tests.bridge.lan.doors import fail
from tests.bridge.lan.phones import IPHONE
from tests.bridge.lan.playbook import Talk, book, node_in
from tests.support.scale import is_full, scale

T = 1_000.0
SPOOFED = 1_000_000


def test_f2_an_address_that_failed_too_often_is_served_after_a_minute() -> None:
    """The same at the door, by its clock. Guard: `_spend` in `Door.enter`."""
    door = Door(8, 64, 20, 3)
    assert [fail(door, "192.0.2.1", T) for _ in range(25)] == [True] * 20 + [False] * 5
    assert fail(door, "192.0.2.2", T)
    assert not fail(door, "192.0.2.1", T + 59.9)
    assert fail(door, "192.0.2.1", T + 60.1)


# F5.


@pytest.mark.parametrize("step", [timedelta(days=365), timedelta(days=-365)], ids=["a year on", "a year back"])
def test_f5_the_wall_clock_is_nobodys_limit(step: timedelta) -> None:
    """No free pass and no lock-out. Guard: any `now.wall` in place of `now.mono` in bridge/lan/intake.py."""

    def jump(talk: Talk) -> None:
        talk.now = replace(talk.now, wall=talk.now.wall + step)

    talk = node_in(IPHONE, limits=LimitsTable(calls_burst=2))
    for number in range(2):
        talk.asks("node.list", request_id=f"a{number}")
    jump(talk)
    assert talk.asks("node.list", request_id="b").error["code"] == "RATE_LIMITED", "no free pass"
    assert talk.after(1).asks("node.list", request_id="c").forward.method == "node.list", "no lock-out"
    for number in range(5):
        talk.after(0.2).asks("config.set", request_id=f"x{number}")
        jump(talk)
        talk.asks("config.set", request_id=f"y{number}")
    talk.after(0.2).asks("config.set", request_id="last").ends(1008)


def test_f5_a_penalty_is_over_when_its_seconds_are() -> None:
    listed = book(IPHONE.record(), penalties={IPHONE.node_id: T + 60})
    assert listed.penalty_left(IPHONE.node_id, T + 59) == 1
    assert listed.penalty_left(IPHONE.node_id, T + 60) == 0


# F6.


def resident_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_f6_a_million_addresses_and_seventy_thousand_networks() -> None:
    """Guard: `origin_of` (each address for itself): a /64 has a million attempts. Guard: `Places.has_room` (evicting
    whoever is oldest): the first network begins anew, when all of them come. In CI a fortieth of the addresses."""
    door, before = Door(8, 64, 20, 3), resident_kib()
    count = SPOOFED if is_full() else SPOOFED // 40
    spoofed = sum(fail(door, f"2001:db8:0:1::{number >> 16:x}:{number & 65535:x}", T) for number in range(count))
    assert spoofed == 20, "one /64 is one visitor"
    for number in range(scale(70_000)):
        fail(door, f"2001:db8:{1 + (number >> 12):x}:{number & 4095:x}::1", T + number / 100_000)
    grown = resident_kib() - before
    sys.stdout.write(f"F6: {count} addresses and {scale(70_000)} networks, {grown} KiB\n")
    assert grown < 20 * 1024
    assert not fail(door, "2001:db8:0:1::1", T + 1), "nobody is forgiven because others came"
    assert fail(door, "2001:db8:ffff:1::1", T + 1), "and a newcomer is served"
    assert MAX_KEYS <= 65_536


# F7.


def test_f7_an_ipv4_address_in_ipv6_is_the_same_address() -> None:
    """Guard: `ipv4_mapped` in `read_address`, bridge/lan/origin.py."""
    door = Door(8, 64, 20, 3)
    assert sum(fail(door, address, T) for _ in range(20) for address in ("192.0.2.1", "::ffff:192.0.2.1")) == 20
