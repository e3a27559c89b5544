"""Takes a TCP port at one address, and no more of the machine than that."""

from __future__ import annotations

import socket

from bridge.addresses import ListenAddress
from bridge.lan.bind_refusal import bind_refusal

BACKLOG = 64


def bind(name: str, address: ListenAddress, port: int) -> socket.socket:
    """Returns a listening socket.

    Raises:
        BindRefused: the address or the port cannot be had.
    """
    family = socket.AF_INET if address.address.version == 4 else socket.AF_INET6
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.setblocking(False)
        bound.bind(address.socket_address(port))
        bound.listen(BACKLOG)
    except OSError as exc:
        bound.close()
        raise bind_refusal(exc, name, address.text, port) from exc
    return bound
