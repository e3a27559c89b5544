"""Pure: why an address or port cannot be listened on, and what to do about it."""

from __future__ import annotations

import errno

_KEYS = {"nodes": "listen.node_port", "apps": "listen.app_port"}


class BindRefused(OSError):
    """A listener cannot have its address or port; the message says what to do."""


def bind_refusal(error: OSError, listener: str, address: str, port: int) -> BindRefused:
    """Returns the error of a `bind` or `listen` in words.

    Args:
        error: what the system said.
        listener: `nodes` or `apps`.
        address: the address, as text.
        port: the port that was asked for.
    """
    key = _KEYS.get(listener, "its port")
    match error.errno:
        case errno.EADDRINUSE:
            why = f"port {port} on {address} is taken: see by what with lsof -nP -i :{port}"
            mend = f"Stop that program, or set {key} in bridge.toml to another port"
        case errno.EADDRNOTAVAIL:
            why = f"this machine has no address {address}"
            mend = "Take it out of listen.hosts in bridge.toml, or connect to its network"
        case errno.EACCES:
            why = f"this user may not listen on port {port}: the system keeps the low ones"
            mend = f"Set {key} in bridge.toml to a port from 1024 on"
        case _:
            why = f"port {port} on {address} cannot be listened on: {error.strerror or error}"
            mend = f"See listen.hosts and {key} in bridge.toml"
    refused = BindRefused(f"{why}. {mend}.")
    refused.errno = error.errno
    return refused
