"""Pure: the hosts that a code or link may name: an RFC 1123 name or an IP literal, in one normal form."""

from __future__ import annotations

import ipaddress
import re

# RFC 1123 section 2.1, and a last label that is no number: WHATWG reads a host that ends in one as an IPv4 address.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*(?!(?:[0-9]+|0[xX][0-9A-Fa-f]*)\Z){_LABEL}")


def normal_host(host: str) -> str:
    """Returns a name in lower case, or an address in its shortest spelling, IPv6 without brackets.

    Raises:
        ValueError: neither a name nor an address; or an IPv6 address with a zone, which means something on one
            machine only, or one that stands for an IPv4 address.
    """
    if _NAME.fullmatch(host):
        return host.lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{host!r} is not a host name or address") from None
    if isinstance(address, ipaddress.IPv6Address) and (address.scope_id is not None or address.ipv4_mapped is not None):
        raise ValueError(f"{host!r} cannot stand in a URL")
    return address.compressed


def url_host(host: str) -> str:
    """Returns a host as a URL writes it: `normal_host`, with an IPv6 address in brackets (RFC 3986 section 3.2.2).

    Raises:
        ValueError: as `normal_host`.
    """
    plain = normal_host(host)
    return f"[{plain}]" if ":" in plain else plain
