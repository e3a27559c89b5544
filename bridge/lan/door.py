"""Pure: who may open a socket before anything is known of it: places per address and in all (design §4).

An address holds a place from the accepted TCP connection until hello-ok or the end of the socket.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field


@dataclass(slots=True)
class Door:
    """Places for peers that have not authenticated.

    Attributes:
        per_address: places of one address, as `door_key` counts them.
        total: places of all addresses together; each costs at most the listener's pre-hello budget.
    """

    per_address: int
    total: int
    _held: dict[str, int] = field(default_factory=dict)
    _count: int = 0

    def enter(self, address: str) -> bool:
        """Takes a place; returns False when there is none."""
        key = door_key(address)
        held = self._held.get(key, 0)
        if held >= self.per_address or self._count >= self.total:
            return False
        self._held[key] = held + 1
        self._count += 1
        return True

    def leave(self, address: str) -> None:
        """Gives a place back. The caller does this once for each place."""
        key = door_key(address)
        held = self._held.get(key, 0)
        if held == 0:
            return
        self._count -= 1
        if held == 1:
            del self._held[key]
        else:
            self._held[key] = held - 1

    @property
    def count(self) -> int:
        """Places that are taken."""
        return self._count


def door_key(address: str) -> str:
    """Returns what an address is counted as: itself, an IPv4-mapped one's IPv4 address, or an IPv6 address's /64.

    Link-local addresses count one by one: a /64 of them is everyone on the link.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        if not parsed.is_loopback and not parsed.is_link_local:
            return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
