"""Which addresses the bridge listens on: a decision over values, and the list of what the machine has.

Private, link-local and loopback addresses are *near*; every other one is *public* and needs
`listen.allow_public`. That includes addresses which look inward and are reachable from outside: carrier-grade
NAT (RFC 6598), Teredo (RFC 4380) and 6to4 (RFC 3056).
"""

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import ifaddr

IPAddress = IPv4Address | IPv6Address
SocketAddress = tuple[str, int] | tuple[str, int, int, int]

_LOOPBACKS: tuple[IPAddress, ...] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


class AddressError(ValueError):
    """An entry of `listen.hosts` that cannot be listened on.

    Attributes:
        host: the entry; empty when it is the whole list.
        why: what is wrong.
        mend: what to do.
    """

    def __init__(self, host: str, why: str, mend: str) -> None:
        """Keep the parts; the message is made of all three."""
        super().__init__(f"listen.hosts: {host!r} {why}. {mend}" if host else f"listen.hosts: {why}. {mend}")
        self.host = host
        self.why = why
        self.mend = mend


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """One address that an interface of this machine has."""

    interface: str
    """The system's name of the interface, e.g. `en0`."""
    index: int
    """The system's number of the interface, the scope id of its link-local IPv6 addresses."""
    address: IPAddress
    """The address, without a scope id."""
    prefix: int
    """Length of the on-link prefix in bits."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """One address to listen on."""

    address: IPAddress
    """The address, without a scope id."""
    interface: str = ""
    """The interface it was found on; empty for an address that was only configured."""
    index: int = 0
    """That interface's number; 0: none."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.address.is_loopback

    @property
    def text(self) -> str:
        """The address for people and for `status`: a link-local IPv6 address with its interface."""
        if self._scope:
            return f"{self.address}%{self.interface or self.index}"
        return str(self.address)

    def socket_address(self, port: int) -> SocketAddress:
        """What `socket.bind` takes: two parts for IPv4; for IPv6 four, with the scope id where it matters."""
        if self.address.version == 4:
            return (str(self.address), port)
        return (str(self.address), port, 0, self._scope)

    @property
    def _scope(self) -> int:
        return self.index if self.address.version == 6 and self.address.is_link_local else 0


def is_near(address: IPAddress) -> bool:
    """Whether an address is private, link-local or loopback, and so may be listened on without being asked."""
    plain = unwrapped(address)
    if isinstance(plain, IPv6Address) and (plain.teredo is not None or plain.sixtofour is not None):
        return False
    if plain.is_unspecified or plain.is_multicast:
        return False
    return plain.is_loopback or plain.is_link_local or plain.is_private


def unwrapped(address: IPAddress) -> IPAddress:
    """An IPv4-mapped IPv6 address as the IPv4 address it is (RFC 4291 section 2.5.5.2); any other unchanged."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped if mapped is not None else address


def select_addresses(
    hosts: Sequence[str], present: Sequence[InterfaceAddress], allow_public: bool
) -> list[ListenAddress]:
    """The addresses to listen on, each once, in the order of `hosts`. No I/O.

    Args:
        hosts: entries of `listen.hosts`: `auto` (every near address that is present), `localhost`, or IP addresses
            in any spelling, IPv6 link-local ones with `%interface` or `%index`.
        present: what the machine has now.
        allow_public: take public and wildcard addresses too, when they are named; `auto` never finds them.

    Raises:
        AddressError: a name, a multicast address, a public or wildcard address without leave, a scope that is
            missing or unknown, or nothing left to listen on.
    """
    chosen: dict[tuple[IPAddress, int], ListenAddress] = {}
    for host in hosts:
        for address in _addresses_of(host, present, allow_public):
            scope = address.index if address.address.is_link_local else 0
            chosen.setdefault((address.address, scope), address)
    if not chosen:
        mend = "Connect to a network, or set hosts to an address of this machine."
        raise AddressError("", "this machine has no address to listen on", mend)
    return list(chosen.values())


def reachable_addresses(listening: Sequence[str], present: Sequence[InterfaceAddress]) -> list[str]:
    """The addresses at which a listener can be reached, each once, in order: a wildcard names none of them itself.

    Args:
        listening: what it listens on, as text; `0.0.0.0` and `::` stand for all addresses of their family.
        present: what the machine has now.
    """
    out: dict[str, None] = {}
    for text in listening:
        family = {"0.0.0.0": 4, "::": 6}.get(text)  # noqa: S104 - nothing is bound here
        found = [_found(each).text for each in present if each.address.version == family]
        out |= dict.fromkeys(found if family is not None else [text])
    return list(out)


def machine_addresses() -> list[InterfaceAddress]:
    """Every IPv4 and IPv6 address that the interfaces of this machine have at the moment.

    Raises:
        OSError: the system does not tell.
    """
    found: list[InterfaceAddress] = []
    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            text = entry.ip if isinstance(entry.ip, str) else entry.ip[0]
            address = ipaddress.ip_address(text.partition("%")[0])
            found.append(InterfaceAddress(adapter.name, adapter.index or 0, address, entry.network_prefix))
    return found


def on_link_networks(present: Sequence[InterfaceAddress]) -> list[IPv6Network]:
    """The IPv6 prefixes that the interfaces share with their neighbours, each once. No I/O.

    A prefix shorter than 64 bits is no link but a mistake, and one of 128 has no neighbours (RFC 4291 section 2.5.4).
    """
    shared = (each for each in present if each.address.version == 6 and 64 <= each.prefix < 128)
    networks = (IPv6Network((int(each.address), each.prefix), strict=False) for each in shared)
    return list(dict.fromkeys(networks))


def _addresses_of(host: str, present: Sequence[InterfaceAddress], allow_public: bool) -> Iterator[ListenAddress]:
    """The addresses that one entry stands for."""
    if host == "auto":
        yield from (_found(each) for each in present if is_near(each.address))
    elif host == "localhost":
        yield from (_found(each) for each in present if each.address in _LOOPBACKS)
    else:
        yield _literal(host, present, allow_public)


def _literal(host: str, present: Sequence[InterfaceAddress], allow_public: bool) -> ListenAddress:
    """The one address that an IP literal names, if it may be listened on."""
    text, _, scope = host.partition("%")
    try:
        address = unwrapped(ipaddress.ip_address(text))
    except ValueError:
        why = "is no IP address; names are not resolved, they could point anywhere"
        raise AddressError(host, why, "Use 'auto', 'localhost' or an IP address.") from None
    if address.is_multicast or address == IPv4Address("255.255.255.255"):
        raise AddressError(host, "is a multicast or broadcast address", "Use an address of this machine.")
    if not allow_public and not is_near(address):
        kind = "would listen on every interface" if address.is_unspecified else "is not a private address"
        mend = "Use 'auto', or set listen.allow_public = true if the internet may reach the bridge."
        raise AddressError(host, kind, mend)
    if address.version == 6 and address.is_link_local:
        return _scoped(host, address, scope, present)
    if scope:
        raise AddressError(host, "has a scope, which only link-local IPv6 addresses have", f"Use '{text}'.")
    return next((_found(each) for each in present if each.address == address), ListenAddress(address))


def _scoped(host: str, address: IPAddress, scope: str, present: Sequence[InterfaceAddress]) -> ListenAddress:
    """A link-local IPv6 address on its interface (RFC 4007 section 11), which it has no meaning without."""
    matches = [
        each
        for each in present
        if each.address == address and (not scope or scope in (each.interface, str(each.index)))
    ]
    if len({each.index for each in matches}) != 1:
        problem = "is on more than one interface" if matches else "is on no such interface of this machine"
        raise AddressError(host, problem, "Write it with its interface, e.g. 'fe80::1%en0'.")
    return _found(matches[0])


def _found(each: InterfaceAddress) -> ListenAddress:
    return ListenAddress(unwrapped(each.address), each.interface, each.index)
