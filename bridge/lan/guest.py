"""Pure: who comes to the node port, as far as TLS tells: nobody known, a paired node, or one that is refused.

The handshake has checked the chain and the dates. The certificate only carries a key: whether that key may come in is
for the store to say, at every request (design §§4, 8).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bridge.pairing.records import NodeRecord, Security
from certs.leaf import LeafRefused, read_leaf


@dataclass(frozen=True, slots=True)
class Guest:
    """Whoever made a request.

    Attributes:
        address: the peer's IP address.
        node_id: the paired node that TLS proved; None: it showed no certificate, or one that is refused.
        renew_from: from when that node may renew the certificate that it showed; None without `node_id`.
        refused: why its certificate opens nothing, for the log; None: there is nothing against it.
    """

    address: str
    node_id: str | None = None
    renew_from: datetime | None = None
    refused: str | None = None


def guest_of(certificate: bytes | None, address: str, record_of: Callable[[str], NodeRecord | None]) -> Guest:
    """Judges what TLS showed.

    Args:
        certificate: the client's certificate, DER; None: it showed none.
        address: the peer's IP address.
        record_of: looks a node up.
    """
    if certificate is None:
        return Guest(address)
    try:
        leaf = read_leaf(certificate)
    except LeafRefused as exc:
        return Guest(address, refused=str(exc))
    record = record_of(leaf.node_id)
    if record is None or record.revoked_at is not None:
        return Guest(address, refused="the store does not know its key" if record is None else "its key was revoked")
    if record.security is not Security.MTLS:
        return Guest(address, refused="its key was paired to prove itself in another way")
    return Guest(address, leaf.node_id, leaf.renew_from)
