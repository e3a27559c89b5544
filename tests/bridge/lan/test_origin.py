"""What an address is counted as, whatever it looks like."""

from __future__ import annotations

from ipaddress import IPv6Network

import pytest

from bridge.lan.origin import Origin, origin_of, read_address

HOME = IPv6Network("fd00:1:2:3::/64")


def origin(address: str) -> Origin:
    return origin_of(read_address(address), [HOME])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"),
        ("fe80::1%eth0", "fe80::1%eth1"),
        ("fd00:9:2:3::1", "fd00:9:2:3:ffff::1"),
        ("::1", "0:0:0:0:0:0:0:1"),
    ],
)
def test_addresses_that_count_as_one(one: str, other: str) -> None:
    assert origin(one) == origin(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8:0:1::1"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("::1", "::2"),
        ("fe80::1", "fe80::2"),
        ("127.0.0.1", "::1"),
        ("127.0.0.1", "127.0.0.2"),
        ("fd00:1:2:3::1", "fd00:1:2:3::2"),
    ],
)
def test_addresses_that_do_not(one: str, other: str) -> None:
    assert origin(one).key != origin(other).key


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("fe80::1%en0", "fe80::/64"),
        ("fd00:1:2:3::1", "fd00:1:2:3::/64"),
        ("fd00:1:2:4::1", ""),
        ("2001:db8::1", ""),
        ("192.168.1.2", ""),
        ("::ffff:192.168.1.2", ""),
        ("::1", ""),
    ],
)
def test_only_neighbours_share_a_cap(address: str, group: str) -> None:
    assert origin(address).group == group
