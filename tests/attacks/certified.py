"""Clients that show a certificate at the node port: any certificate, and any session."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from bridge.node.native_identity import NodeIdentity
from certs.authority import ClientAuthority
from certs.store import KeyFolder
from tests.attacks.fortress import Fortress
from tests.bridge.lan.wire import HOST, UPGRADE, client_context
from tests.support.certificates import Client, good_client

UPGRADED = b"HTTP/1.1 101 "
FORBIDDEN = b"HTTP/1.1 403 "


def authority_of(castle: Fortress) -> ClientAuthority:
    """Return what the bridge signs with, as a thief of its keys would have it."""
    return KeyFolder(castle.bridge.home / "keys").load_client_authority()


def client_of(identity: NodeIdentity) -> Client:
    """Return a paired node's key and certificate."""
    return Client(identity.private_key, (identity.leaf,))


def issued(castle: Fortress, key: ec.EllipticCurvePrivateKey, when: datetime | None = None) -> Client:
    """Return a certificate of the bridge's own authority for a key, issued now or at another time."""
    return good_client(authority_of(castle), when or datetime.now(UTC), key)


def showing(client: Client, folder: Path) -> ssl.SSLContext:
    """Return a context that shows a certificate, however bad, and trusts anyone."""
    return client.equip(client_context("http/1.1"), folder)


class Visit:
    """One blocking connection that asks for a WebSocket, in a session of an earlier one or a new one.

    Attributes:
        answer: what the server said; empty when it ended the connection instead.
        reused: whether the session was resumed.
        session: for the next visit.
    """

    def __init__(self, port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> None:
        self.answer = b""
        with socket.create_connection((HOST, port), timeout=10) as plain:
            try:
                with context.wrap_socket(plain, server_hostname="clawdis-bridge.local", session=session) as tls:
                    self.reused = tls.session_reused
                    with suppress(OSError):
                        tls.sendall(UPGRADE % (b"/", b""))
                        self.answer = tls.recv(65_536)
                    self.session = tls.session
            except OSError:
                return  # refused in the handshake
