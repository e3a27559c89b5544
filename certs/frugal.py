"""A server's TLS that ends a connection which keeps it busy with records that carry nothing.

A TLS 1.3 peer may change its keys as often as it likes (KeyUpdate, RFC 8446 section 4.6.3). OpenSSL derives the new
ones every time and sets no bound, and whoever counts what the application gets sees none of it. `ssl` has no hook for
records, but what a read takes from the incoming buffer and gives to nobody can be measured.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

RECORD_BYTES = 22  # header, content type and tag of a record (RFC 8446 section 5.2)
# Bytes beyond that, and beyond as many as the content: a record in transit (16 KiB), and some 1,800 key updates of 27
# bytes, which take the bridge 40 ms. An honest peer needs one in 24 million records (RFC 8446 section 5.5).
MAX_WASTE_BYTES = 64 * 1024


class WastefulPeer(ssl.SSLError):
    """A peer sent records without content, again and again."""

    def __init__(self) -> None:
        """Say what it did; nothing in it is the peer's choice."""
        super().__init__(ssl.SSL_ERROR_SSL, "the peer sends records without content")


class FrugalObject(ssl.SSLObject):
    """One TLS connection that compares what it takes with what it gives."""

    incoming: ssl.MemoryBIO | None = None
    """What it reads from; None: it does not measure."""
    _taken = 0
    _given = 0

    def read(self, len: int = 1024, buffer: ReadableBuffer | None = None) -> bytes:
        """Read as `ssl.SSLObject` does.

        Raises:
            WastefulPeer: too much was taken for too little; the caller must drop the connection, as after any error.
        """
        before = self._waiting()
        try:
            data = super().read(len, buffer)
        except ssl.SSLWantReadError:
            self._weigh(before - self._waiting(), 0)
            raise
        self._weigh(before - self._waiting(), _size(data))
        return data

    def _waiting(self) -> int:
        return self.incoming.pending if self.incoming is not None else 0

    def _weigh(self, taken: int, given: int) -> None:
        self._taken += taken - (RECORD_BYTES if given and taken else 0)
        self._given += given
        if self._taken - 2 * self._given > MAX_WASTE_BYTES:
            raise WastefulPeer


class FrugalContext(ssl.SSLContext):
    """A server context of which every connection is a `FrugalObject`; only `certs.context` makes one."""

    sslobject_class = FrugalObject

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Make a connection between two buffers, and remember the one that it reads from."""
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        if isinstance(made, FrugalObject):
            made.incoming = incoming
        return made


def _size(data: object) -> int:
    """How much a read gave: into a buffer it tells the number (whatever typeshed says), else it gives the bytes."""
    return data if isinstance(data, int) else memoryview(data).nbytes if isinstance(data, bytes) else 0
