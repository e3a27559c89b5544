"""Pure: what a setup code says: where the phone finds the bridge, and what it will be granted."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from acl.permissions import Permissions, read_permissions
from bridge.errors import NotAllowed, UsageError
from bridge.pairing.setup_code import setup_url

SETUP_PROFILE = "phone"
"""What a setup code grants when nothing else is said."""


def granted(permissions: Sequence[str] | None, name: str | None, profiles: Mapping[str, Permissions]) -> Permissions:
    """Returns what the code grants: the listed permissions, else the named profile, else `SETUP_PROFILE`.

    Args:
        permissions: the list; None: none was given.
        name: the profile; None: none was named.
        profiles: those that there are.

    Raises:
        UsageError: there is no such profile.
        UnknownPermissionError: a word is no permission.
    """
    if permissions is not None:
        return read_permissions(permissions)
    known = profiles.get(name if name is not None else SETUP_PROFILE)
    if known is None:
        raise UsageError(f"{name!r} is no profile.", f"Profiles: {', '.join(profiles)}")
    return known


def url_for(addresses: Sequence[str], port: int, host_name: str | None, address: str | None) -> str:
    """Returns the URL of a setup code.

    Args:
        addresses: what the app port listens on, as text.
        port: its port.
        host_name: the bridge's name on the LAN while it can be found there; else None.
        address: the address that a person asked for; None: the name, or the best address.

    Raises:
        NotAllowed: nothing listens there, or the port cannot stand in a setup code.
    """
    return url_of(host_for(addresses, host_name, address), port)


def host_for(addresses: Sequence[str], host_name: str | None, address: str | None) -> str:
    """Returns the host that a code names; see `url_for`.

    Raises:
        NotAllowed: nothing listens there.
    """
    bare = [text for text in addresses if "%" not in text]
    if address is not None and address not in bare:
        raise NotAllowed(
            f"The bridge does not listen on {address}.", f"Take one of {', '.join(bare)} or see listen.hosts."
        )
    host = address or host_name or _best(bare)
    if host is None:
        raise NotAllowed("The bridge listens on no address that a code could name.", "Set listen.hosts in bridge.toml.")
    return host


def url_of(host: str, port: int) -> str:
    """Returns the URL of a host and port, in the one form that setup codes take.

    Raises:
        NotAllowed: the port cannot stand in a setup code.
    """
    try:
        return setup_url(host, port)
    except ValueError as exc:
        raise NotAllowed(str(exc), "Change listen.app_port in bridge.toml.") from exc


def _best(addresses: Sequence[str]) -> str | None:
    """The address that a device of the network most likely reaches: beyond this machine, private, IPv4."""
    parsed = [ipaddress.ip_address(text) for text in addresses]
    ranked = sorted(parsed, key=lambda one: (one.is_loopback, one.is_link_local, not one.is_private, one.version))
    return str(ranked[0]) if ranked else None
