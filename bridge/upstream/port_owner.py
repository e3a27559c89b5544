"""Whose process holds the gateway's port, as Linux tells it: the token must not go to somebody else's.

Whoever can run a program on this machine can take the port before the gateway does, and whatever connects there hands
it the token. Linux says which user owns a listening socket; other systems do not say it to ordinary programs.
"""

from __future__ import annotations

import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
MAX_TABLE_BYTES = 16 * 1024 * 1024  # a line has 150 bytes: 100,000 sockets
_LISTENING = "0A"
_ROOT = 0  # it can read the token anyway


@dataclass(frozen=True, slots=True)
class Listening:
    """One listening socket.

    Attributes:
        address: where it listens.
        port: its port.
        uid: the user that it belongs to.
    """

    address: IPv4Address | IPv6Address
    port: int
    uid: int


def read_table(text: str) -> Iterator[Listening]:
    """Yields the listening sockets of a table in the form of `/proc/net/tcp`; lines of another form are passed over."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or fields[3] != _LISTENING:
            continue
        address, _, port = fields[1].partition(":")
        try:
            yield Listening(_address(address), int(port, 16), int(fields[7]))
        except ValueError:
            continue


def _address(text: str) -> IPv4Address | IPv6Address:
    """The kernel prints an address as 32-bit words, each in the machine's own order: here the little end first."""
    data = bytes.fromhex(text)
    ordered = b"".join(data[at : at + 4][::-1] for at in range(0, len(data), 4))
    if len(ordered) == 4:
        return IPv4Address(ordered)
    address = IPv6Address(ordered)
    return address.ipv4_mapped or address


def strangers(sockets: Iterator[Listening], port: int, own: int) -> list[int]:
    """Returns the users beside `own` and root that hold the port where a connection to loopback would reach it."""
    return sorted(
        {
            each.uid
            for each in sockets
            if each.port == port
            and (each.address.is_loopback or each.address.is_unspecified)
            and each.uid not in {own, _ROOT}
        }
    )


@dataclass(frozen=True, slots=True)
class PortOwner:
    """Looks whether the gateway's port is in the right hands.

    Attributes:
        port: the gateway's.
        own: the user that the gateway must belong to.
        tables: what the system says about its sockets; those that are not there say nothing.
    """

    port: int
    own: int
    tables: tuple[Path, ...] = TABLES

    def objection(self) -> str | None:
        """Returns why the token must not be sent there; None: nothing is known against it."""
        found: list[int] = []
        for table in self.tables:
            try:
                with table.open("rb") as file:
                    text = file.read(MAX_TABLE_BYTES).decode("ascii", "replace")
            except OSError:
                continue  # another system
            found += strangers(read_table(text), self.port, self.own)
        if not found:
            return None
        return (
            f"port {self.port} is held by a process of the user {_name(found[0])}, not of {_name(self.own)}: "
            f"the gateway's token is not sent there. See who it is: sudo lsof -iTCP:{self.port} -sTCP:LISTEN. "
            "If that is your gateway, name its user: gateway.user in bridge.toml"
        )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
