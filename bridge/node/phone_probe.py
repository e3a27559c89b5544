"""What an app does at the bridge's port before it opens a WebSocket (mobile-clients §§2.1, 3.1, 12)."""

from __future__ import annotations

import asyncio
import ssl

from certs.context import pinned_client_context, require_pin
from certs.pins import pin_of_der
from gateway_client.errors import GatewayUnreachableError

PROBE_S = 10.0  # seconds for the app's TLS probe
INGRESS_S = 15.0  # seconds for the app's HTTPS request
HEADER_BYTES = 16_384


async def touch(host: str, port: int) -> None:
    """Opens a TCP connection and closes it without a byte.

    Raises:
        GatewayUnreachableError: nothing listens there.
    """
    _, writer = await _open(host, port, None)
    await _close(writer)


async def read_pin(host: str, port: int) -> str:
    """Starts a TLS handshake, reads the certificate and gives the handshake up, as an app does before "Trust".

    Returns:
        SHA-256 hex of the certificate: what the app shows to its user.

    Raises:
        GatewayUnreachableError: no TLS there.
    """
    reader, writer = await _open(host, port, None)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = pinned_client_context().wrap_bio(incoming, outgoing, server_hostname=None)
    try:
        async with asyncio.timeout(PROBE_S):
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    writer.write(outgoing.read())
                    data = await reader.read(HEADER_BYTES)
                    if not data:
                        raise GatewayUnreachableError(f"{host}:{port} closed during the handshake") from None
                    incoming.write(data)
    except (ssl.SSLError, OSError, TimeoutError) as exc:
        raise GatewayUnreachableError(f"{host}:{port}: {exc}") from exc
    finally:
        await _close(writer)  # our last flight stays unsent: the server sees a client that went away
    certificate = tls.getpeercert(binary_form=True)
    if certificate is None:
        raise GatewayUnreachableError(f"{host}:{port} showed no certificate")
    return pin_of_der(certificate)


async def ingress(host: str, port: int, pin: str) -> int:
    """Sends `GET /` over pinned TLS and reads the headers.

    Returns:
        The HTTP status.

    Raises:
        GatewayUnreachableError: no HTTP answer.
        PinMismatch: another certificate; nothing was sent.
    """
    try:
        async with asyncio.timeout(INGRESS_S):
            reader, writer = await _open(host, port, pinned_client_context())
            try:
                require_pin(writer.get_extra_info("ssl_object"), pin)
                writer.write(f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: */*\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
            finally:
                await _close(writer)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, TimeoutError) as exc:
        raise GatewayUnreachableError(f"{host}:{port} did not answer a GET: {exc!r}") from exc
    line = head.split(b"\r\n", 1)[0].split(b" ")
    if len(line) < 2 or not line[1].isdigit():
        raise GatewayUnreachableError(f"{host}:{port} answered no HTTP")
    return int(line[1])


async def _open(host: str, port: int, tls: ssl.SSLContext | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout(PROBE_S):
            name = host if tls is not None else None
            return await asyncio.open_connection(host, port, ssl=tls, server_hostname=name, limit=HEADER_BYTES)
    except (OSError, TimeoutError) as exc:
        raise GatewayUnreachableError(f"{host}:{port}: {exc}") from exc


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        async with asyncio.timeout(1.0):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        writer.transport.abort()
