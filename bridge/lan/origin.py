"""Pure: what an address is counted as at the door (design §4): nothing that a peer says about itself changes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_SITE_BITS = 64  # an IPv6 site hands out 2^64 addresses to each of its links


@dataclass(frozen=True, slots=True)
class Origin:
    """What an address is counted as.

    Attributes:
        key: whose places and attempts it uses.
        group: the neighbours that share a cap with it: the /64 of an on-link IPv6 address; empty for any other.
    """

    key: str
    group: str = ""


def read_address(address: str) -> IPv4Address | IPv6Address:
    """The address without a scope id, an IPv4-mapped one as IPv4 (RFC 4291 section 2.5.5.2)."""
    parsed = ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed


def origin_of(address: IPv4Address | IPv6Address, on_link: Sequence[IPv6Network] = ()) -> Origin:
    """Returns what a stranger's address is counted as.

    IPv4 and loopback count one by one. A neighbour on the link can take any address of its /64, and so can everyone
    else there: those count one by one and share a cap. From further away a /64 is one site, and counts as one.
    """
    if isinstance(address, IPv4Address) or address.is_loopback:
        return Origin(str(address))
    site = f"{IPv6Address(int(address) >> _SITE_BITS << _SITE_BITS)}/{_SITE_BITS}"
    if address.is_link_local or any(address in network for network in on_link):
        return Origin(str(address), site)
    return Origin(site)
