"""Every `ssl.SSLContext` of the project.

TLS 1.3 only (RFC 8446), ALPN `http/1.1` only, no session tickets. Nothing is taken from the environment:
`ssl.create_default_context` is not used, so `SSLKEYLOGFILE` writes no keys and no system root is trusted.
"""

import ssl

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.client_files import ClientFiles
from certs.frugal import FrugalContext
from certs.identity import BridgeIdentity
from certs.pins import normalise_pin, pin_of_der, same_pin
from certs.spki_pin import PinnedContext, SpkiMismatch, SpkiPin

__all__ = [
    "ALPN",
    "PinMismatch",
    "SpkiMismatch",
    "SpkiPin",
    "app_server_context",
    "node_client_context",
    "node_server_context",
    "pinned_client_context",
    "require_pin",
]

ALPN = "http/1.1"  # RFC 7301; URLSession offers h2 first, which this listener does not speak


class PinMismatch(Exception):
    """The peer showed another certificate than the pinned one, or none.

    Attributes:
        expected: the pin, 64 lower-case hexadecimal digits.
        seen: the pin of what the peer showed; None when it showed nothing.
    """

    def __init__(self, expected: str, seen: str | None) -> None:
        """Keep both pins; neither is secret."""
        shown = f"a certificate with the pin {seen}" if seen is not None else "no certificate"
        super().__init__(
            f"the peer showed {shown}, not the pinned {expected}: nothing was sent. Compare with the pin that "
            "the bridge's own machine shows: clawdis-bridge status"
        )
        self.expected = expected
        self.seen = seen


def app_server_context(identity: BridgeIdentity) -> ssl.SSLContext:
    """The server side of the app port: no client certificate is requested.

    Apps never hold one, and an unmodified app that is asked only gains a way to fail.

    Raises:
        OSError: the identity's file has gone or changed since it was loaded (`ssl.SSLError` included).
    """
    return _server_context(identity)


def node_server_context(identity: BridgeIdentity, authority_certificate: x509.Certificate) -> ssl.SSLContext:
    """The server side of the node port: a client certificate is requested, and only one of our authority is taken.

    Without one the handshake succeeds and nobody is authenticated (`getpeercert` tells None): that is for pairing.
    With one that is expired, foreign, made for another purpose or signed by a leaf it fails, and OpenSSL's reason is
    in the error's `verify_message`. What a good one says, and whether its key is paired, is for the caller to check.

    Args:
        identity: the bridge's.
        authority_certificate: the client authority's; the only root, none of the system's.

    Raises:
        OSError: the identity's file has gone or changed since it was loaded (`ssl.SSLError` included).
    """
    context = _server_context(identity)
    context.load_verify_locations(cadata=authority_certificate.public_bytes(Encoding.DER))
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # RFC 5280 to the letter: extensions, critical flags, key ids
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def pinned_client_context() -> ssl.SSLContext:
    """The client side of a connection whose server is known by its pin.

    No chain and no name is checked: the caller must pass the finished handshake to `require_pin` before it sends
    a byte, else the connection is authenticated by nothing.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _restrict(context)
    return context


def node_client_context(expect: SpkiPin, client: ClientFiles | None = None) -> ssl.SSLContext:
    """The client side of a native node: its server is known by the key, which the handshake itself checks.

    Whoever connects with this context (asyncio, uvloop, aiohttp, websockets) gets `SpkiMismatch`, or its own error
    with that as the cause, before a byte of the application or the client's certificate is sent. It does not serve
    blocking sockets. In TLS 1.3 a client that the server refuses learns it from its first read only.

    Args:
        expect: the key that the server must show; it remembers what was seen.
        client: the node's key and certificate, shown to a server that asks; None: none is shown.

    Raises:
        OSError: the client's file is gone, damaged or encrypted with another passphrase (`ssl.SSLError` included).
    """
    context = PinnedContext(expect)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _restrict(context)
    if client is not None:
        context.load_cert_chain(client.file, password=client.passphrase)
    return context


def require_pin(ssl_object: ssl.SSLObject | ssl.SSLSocket, pin: str) -> None:
    """Return only if the peer of a finished handshake showed the pinned certificate.

    Args:
        ssl_object: the connection, e.g. a transport's `get_extra_info("ssl_object")`.
        pin: SHA-256 of the expected certificate, in any spelling that `normalise_pin` takes.

    Raises:
        PinMismatch: another certificate, or none; the caller must close without sending anything.
        ValueError: `pin` is no pin.
    """
    expected = normalise_pin(pin)
    der = ssl_object.getpeercert(binary_form=True)
    seen = pin_of_der(der) if der else None
    if seen is None or not same_pin(seen, expected):
        raise PinMismatch(expected, seen)


def _server_context(identity: BridgeIdentity) -> ssl.SSLContext:
    """What both server sides share."""
    context = FrugalContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context)
    context.load_cert_chain(identity.file, password=identity.passphrase)
    context.verify_mode = ssl.CERT_NONE
    # A resumed session skips certificate checks, so none can be resumed (RFC 8446 section 4.6.1: optional).
    context.num_tickets = 0
    return context


def _restrict(context: ssl.SSLContext) -> None:
    """TLS 1.3 and HTTP/1.1, on either side."""
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])
