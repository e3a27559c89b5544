"""A server known by its key: the check runs inside the TLS handshake, before any byte of the application.

`ssl` offers no hook for it, but a context makes its connections through `sslobject_class`. The class here ends
`do_handshake` with the check, so that whoever drives the handshake (asyncio, uvloop, and through them aiohttp and
websockets) sees a failed one: the client's second flight, which carries its certificate, and everything after it stay
unsent.
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, NoReturn, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.keys import UNREADABLE
from certs.pins import normalise_pin, pin_of_der, same_pin

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class SpkiMismatch(ssl.SSLError):
    """The server showed another key than the pinned one, or none; nothing was sent to it.

    Attributes:
        expected: SHA-256 hex of the pinned SubjectPublicKeyInfo DER; None when any key would have done.
        seen: the same of what the server showed; None when it showed no key that can be read.
    """

    def __init__(self, expected: str | None, seen: str | None) -> None:
        """Keep both; neither is secret."""
        shown = f"the key {seen}" if seen is not None else "no key that can be read"
        wanted = f"the pinned {expected}" if expected is not None else "the key of a bridge"
        super().__init__(
            ssl.SSL_ERROR_SSL,
            f"the server showed {shown}, not {wanted}: nothing was sent. Compare with the spki that the bridge's own "
            "machine shows: clawdis-bridge status",
        )
        self.expected = expected
        self.seen = seen


class SpkiPin:
    """Which key a server must show: a given one, or the first that is seen and from then on that one.

    One object serves any number of connections, also at the same time, and remembers over all of them.
    """

    def __init__(self, expected: str | None = None) -> None:
        """Require a key, or record the first.

        Args:
            expected: SHA-256 of the SubjectPublicKeyInfo DER, in any spelling that `normalise_pin` takes; None: record
                the first that is seen.

        Raises:
            ValueError: `expected` is no such hash.
        """
        self._expected = normalise_pin(expected) if expected is not None else None
        self._seen_der: bytes | None = None

    @property
    def expected(self) -> str | None:
        """The hash that is required from now on; None while none was given and none was seen."""
        return self._expected

    @property
    def seen(self) -> str | None:
        """The hash of the key that a server proved in a handshake and that was accepted; None before that."""
        return pin_of_der(self._seen_der) if self._seen_der is not None else None

    @property
    def seen_der(self) -> bytes | None:
        """The SubjectPublicKeyInfo DER behind `seen`."""
        return self._seen_der

    def check(self, certificate: bytes | None) -> None:
        """Accept the server of a finished handshake, or not.

        Args:
            certificate: the DER that the server showed; None: it showed none.

        Raises:
            SpkiMismatch: it is for another key, or cannot be read; what was recorded stays.
        """
        spki = _spki_of(certificate) if certificate else None
        if spki is None:
            raise SpkiMismatch(self._expected, None)
        seen = pin_of_der(spki)
        if self._expected is not None and not same_pin(seen, self._expected):
            raise SpkiMismatch(self._expected, seen)
        self._expected, self._seen_der = seen, spki


class PinnedObject(ssl.SSLObject):
    """One TLS connection that is of no use before its server's key was checked."""

    _checked = False

    def do_handshake(self) -> None:
        """Shake hands, then check the key.

        Raises:
            SpkiMismatch: another key; the caller must drop the connection, as after any failed handshake.
            ssl.SSLError: the handshake failed, or wants more bytes.
        """
        super().do_handshake()
        context = self.context
        if not isinstance(context, PinnedContext):
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, "the connection was given a context without pin: nothing was sent")
        context.pin.check(self.getpeercert(binary_form=True))
        self._checked = True

    def read(self, len: int = 1024, buffer: WriteableBuffer | None = None) -> bytes:
        """Read from a checked server; OpenSSL would shake hands here by itself, without the check."""
        self._require_checked()
        return super().read(len, buffer)

    def write(self, data: ReadableBuffer) -> int:
        """Write to a checked server; OpenSSL would shake hands here by itself, without the check."""
        self._require_checked()
        return super().write(data)

    def _require_checked(self) -> None:
        if not self._checked:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, "the server's key was not checked: nothing was sent")


class PinnedContext(ssl.SSLContext):
    """A client context of which every connection checks `pin`; only `certs.context` makes one."""

    sslobject_class = PinnedObject
    pin: SpkiPin

    def __new__(cls, pin: SpkiPin) -> Self:
        """Make a bare client context that remembers its pin."""
        self = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        self.pin = pin
        return self

    def wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> NoReturn:
        """Refuse: a plain socket has many ways to send, and its handshake writes before the check could run."""
        raise TypeError("a pinned context serves asyncio only, not blocking sockets")


def _spki_of(certificate: bytes) -> bytes | None:
    """The key of a certificate as SubjectPublicKeyInfo DER; None when it cannot be read."""
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UNREADABLE:
        return None
