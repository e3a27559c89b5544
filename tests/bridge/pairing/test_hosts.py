"""Hosts of codes and links: one spelling each, and nothing that a URL parser could read differently."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.pairing.hosts import normal_host, url_host


@pytest.mark.parametrize(
    ("host", "plain", "in_url"),
    [
        ("Annas-Mac.local", "annas-mac.local", "annas-mac.local"),
        ("192.168.1.20", "192.168.1.20", "192.168.1.20"),
        ("FD00:0:0:0:0:0:0:1", "fd00::1", "[fd00::1]"),
        ("fe80:0000::0A", "fe80::a", "[fe80::a]"),
    ],
)
def test_it_has_one_spelling(host: str, plain: str, in_url: str) -> None:
    assert normal_host(host) == plain
    assert url_host(host) == in_url


@pytest.mark.parametrize(
    "host", ["", "a b", "u@mac.local", "mac.local:1", "[::1]", "fe80::1%en0", "::ffff:10.0.0.1", "0x7f.1", "m\u00e4c"]
)
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r"host name or address|cannot stand"):
        normal_host(host)
    with pytest.raises(ValueError, match=r"host name or address|cannot stand"):
        url_host(host)


@given(address=st.ip_addresses())
def test_an_address_stays_the_address_it_is(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    try:
        plain = normal_host(address.exploded)
    except ValueError:
        assert isinstance(address, ipaddress.IPv6Address)
        assert address.ipv4_mapped is not None
        return
    assert ipaddress.ip_address(plain) == address
    assert normal_host(plain) == plain
