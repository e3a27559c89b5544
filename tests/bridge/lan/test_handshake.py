"""Real clients against the port: which failed handshakes are theirs and which are ours, on both loops.

The table was measured; whoever reads an alert as a refusal keeps honest apps out, and the reverse lets anyone in again.
"""

from __future__ import annotations

import asyncio
import io
import json
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import pytest
from OpenSSL import SSL

from bridge.lan.handshake import Failure, read_failure
from bridge.lan.listener import Deadlines, Upgraded
from tests.bridge.lan.conftest import Serve
from tests.bridge.lan.doors import Recording
from tests.bridge.lan.wire import HOST, client_context
from tests.support.waiting import eventually

Client = Callable[[int], None]
ATTEMPTS = 3
QUICK = Deadlines(handshake_s=0.3)
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST


async def nobody(upgraded: Upgraded) -> None:
    """No client here gets as far as a WebSocket."""


def dial(port: int) -> socket.socket:
    return socket.create_connection((HOST, port), timeout=5)


def listen(connection: socket.socket) -> None:
    """Reads until the server has no more to say."""
    with suppress(OSError):
        while connection.recv(65_536):
            pass


def hello() -> bytes:
    """A ClientHello."""
    out = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        client_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="x.local").do_handshake()
    return out.read()


# Clients that go away.


def connects_and_closes(port: int) -> None:
    dial(port).close()


def connects_and_resets(port: int) -> None:
    connection = dial(port)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


def python_verifies(port: int) -> None:
    with dial(port) as connection, pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(connection, server_hostname="x.local")


def openssl_verifies(port: int) -> None:
    command = ["openssl", "s_client", "-connect", f"{HOST}:{port}", "-verify_return_error"]
    assert subprocess.run(command, input=b"", capture_output=True, timeout=20, check=False).returncode != 0


def pyopenssl_verifies(port: int) -> None:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_verify(SSL.VERIFY_PEER, lambda *_: False)
    with closing(dial(port)) as connection:
        connection.settimeout(None)
        tls = SSL.Connection(context, connection)
        tls.set_connect_state()
        with pytest.raises(SSL.Error):
            tls.do_handshake()


def closes_after_the_certificate(port: int) -> None:
    with dial(port) as connection:
        connection.sendall(hello())
        connection.recv(1)


def half_closes_after_the_certificate(port: int) -> None:
    with dial(port) as connection:
        connection.sendall(hello())
        connection.recv(1)
        connection.shutdown(socket.SHUT_WR)
        listen(connection)


def sends_alert(level: int, description: int) -> Client:
    """A client that answers the certificate with an alert (RFC 8446 section 6)."""

    def client(port: int) -> None:
        with dial(port) as connection:
            connection.sendall(hello())
            connection.recv(1)
            connection.sendall(bytes([21, 3, 3, 0, 2, level, description]))
            connection.shutdown(socket.SHUT_WR)  # a warning alone ends nothing
            listen(connection)

    return client


def looks_and_closes(port: int) -> None:
    with dial(port) as connection:
        client_context().wrap_socket(connection).close()


THEIRS: dict[str, Client] = {
    "connect-close": connects_and_closes,
    "connect-reset": connects_and_resets,
    "python": python_verifies,
    "openssl": openssl_verifies,
    "pyopenssl": pyopenssl_verifies,
    "close": closes_after_the_certificate,
    "half-close": half_closes_after_the_certificate,
    "close-notify": sends_alert(1, 0),
    "user-canceled": sends_alert(1, 90),
    "handshake-failure": sends_alert(2, 40),
    "bad-certificate": sends_alert(2, 42),
    "certificate-expired": sends_alert(2, 45),
    "certificate-unknown": sends_alert(2, 46),
    "unknown-ca": sends_alert(2, 48),
    "access-denied": sends_alert(2, 49),
    "internal-error": sends_alert(2, 80),
    "unrecognized-name": sends_alert(2, 112),
    "certificate-required": sends_alert(2, 116),
    "looks": looks_and_closes,
}

# Clients that we refuse.


def speaks_tls_1_2(port: int) -> None:
    with dial(port) as connection, suppress(OSError):
        client_context(highest=ssl.TLSVersion.TLSv1_2).wrap_socket(connection)


def says(data: bytes) -> Client:
    """A client that speaks no TLS."""

    def client(port: int) -> None:
        with dial(port) as connection, suppress(OSError):
            connection.sendall(data)
            listen(connection)

    return client


def garbles(port: int) -> None:
    with dial(port) as connection, suppress(OSError):
        connection.sendall(hello())
        connection.recv(1)
        connection.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        listen(connection)


def is_silent(port: int) -> None:
    with dial(port) as connection:
        listen(connection)


OURS: dict[str, tuple[Client, str]] = {
    "tls-1.2": (speaks_tls_1_2, "UNSUPPORTED_PROTOCOL"),
    "http": (says(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP_REQUEST"),
    "ssh": (says(b"SSH-2.0-OpenSSH_9.9\r\n"), "WRONG_VERSION_NUMBER"),
    "zeros": (says(bytes(65_536)), "WRONG_VERSION_NUMBER"),
    "no-hello": (says(b"\x16\x03\x01\x00\x05hello"), "UNEXPECTED_MESSAGE"),
    "garbled": (garbles, "DECRYPTION_FAILED_OR_BAD_RECORD_MAC"),
    "silent": (is_silent, "timeout"),
}


async def visit(client: Client, port: int, door: Recording) -> None:
    """Lets a client come, and waits until it is gone."""
    before = door.came
    await asyncio.to_thread(client, port)
    await eventually(lambda: door.came > before and door.count == 0)


def lines(log: io.StringIO, event: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, log.getvalue().splitlines()) if line["event"] == event]


@pytest.mark.parametrize("name", THEIRS)
async def test_a_client_that_goes_away_is_forgiven_however_often(serve: Serve, name: str) -> None:
    log, door = io.StringIO(), Recording(handshakes=ATTEMPTS)
    async with serve(nobody, door=door, log=log) as listener:
        for _ in range(3 * ATTEMPTS):
            await visit(THEIRS[name], listener.port, door)
    assert not lines(log, "turned-away")
    assert not lines(log, "tls-refused")
    assert all(line["level"] == "debug" for line in lines(log, "tls-aborted"))


@pytest.mark.parametrize("name", OURS)
async def test_a_client_that_we_refuse_is_counted_and_told_of(serve: Serve, name: str) -> None:
    """Red when `read_failure` says `by_peer` for everything: nobody is turned away."""
    log, door = io.StringIO(), Recording(handshakes=ATTEMPTS)
    client, reason = OURS[name]
    async with serve(nobody, door=door, log=log, deadlines=QUICK) as listener:
        for _ in range(ATTEMPTS + 2):
            await visit(client, listener.port, door)
        await eventually(lambda: len(lines(log, "turned-away")) == 2)
    refused = lines(log, "tls-refused")
    assert [(line["level"], line["address"], line["reason"]) for line in refused] == [("info", HOST, reason)] * ATTEMPTS
    assert {line["why"] for line in lines(log, "turned-away")} == {"too-often"}


@pytest.mark.parametrize(
    ("exc", "failure"),
    [
        (ConnectionResetError(), Failure(True, "closed")),
        (BrokenPipeError(), Failure(True, "closed")),
        (OSError(22, "Invalid argument"), Failure(True, "closed")),
        (ssl.SSLEOFError(), Failure(True, "closed")),
        (ssl.SSLZeroReturnError(), Failure(True, "closed")),
        (ConnectionAbortedError("SSL handshake is taking longer"), Failure(False, "timeout")),
        (TimeoutError(), Failure(False, "timeout")),
        (ssl.SSLError(), Failure(False, "unknown")),
    ],
    ids=repr,
)
def test_what_an_exception_means(exc: OSError, failure: Failure) -> None:
    assert read_failure(exc) == failure


@pytest.mark.parametrize(
    ("reason", "by_peer"),
    [
        ("SSLV3_ALERT_BAD_CERTIFICATE", True),
        ("TLSV1_ALERT_UNKNOWN_CA", True),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", True),
        ("TLSV1_UNSUPPORTED_EXTENSION", True),
        ("TLSV1_ALERTS_OF_OTHERS", False),
        ("UNKNOWN_ALERT_TYPE", False),
        ("TOO_MANY_WARN_ALERTS", False),
        ("SSLV3_ROLLBACK_ATTACK", False),
        ("NO_SHARED_CIPHER", False),
        ("", False),
    ],
)
def test_which_reasons_are_alerts_of_the_peer(reason: str, by_peer: bool) -> None:
    exc = ssl.SSLError()
    exc.reason = reason
    assert read_failure(exc) == Failure(by_peer, reason)


def test_a_certificate_that_is_refused_is_told_of_in_words() -> None:
    exc = ssl.SSLCertVerificationError()
    exc.reason, exc.verify_message = "CERTIFICATE_VERIFY_FAILED", "certificate has expired"
    assert read_failure(exc) == Failure(False, "certificate has expired")
