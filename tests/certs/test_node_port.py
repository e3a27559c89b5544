"""The node port's TLS: which client certificates come through, and with which words the others are refused."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from certs.authority import ClientAuthority
from certs.client_files import write_client_file
from certs.context import SpkiPin, app_server_context, node_client_context, node_server_context
from certs.keys import NodePrivateKey, node_id_of
from certs.leaf import LeafRefused, read_leaf
from certs.private_files import private_folder
from certs.store import BridgeIdentity, KeyFolder
from tests.support.certificates import REASONS, Hostile, good_client, hostile_client

NOW = datetime.now(UTC)  # OpenSSL looks at the system's clock


@pytest.fixture(scope="module")
def authority(bridge_identity: BridgeIdentity) -> ClientAuthority:
    return KeyFolder(bridge_identity.file.parent).client_authority(NOW)


@pytest.fixture
def server_side(bridge_identity: BridgeIdentity, authority: ClientAuthority) -> ssl.SSLContext:
    return node_server_context(bridge_identity, authority.certificate)


@dataclass
class Port:
    """What came to a port: certificates of finished handshakes, the words of failed ones, bytes of the application."""

    number: int
    shown: list[bytes | None] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    read: bytes = b""


class Greeting(asyncio.Protocol):
    """Sends one byte when the handshake is done."""

    def __init__(self, port: Port) -> None:
        self.port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.port.shown.append(transport.get_extra_info("ssl_object").getpeercert(binary_form=True))
        getattr(transport, "write")(b"!")  # noqa: B009 - uvloop's own class is no subclass of asyncio's

    def data_received(self, data: bytes) -> None:
        self.port.read += data


@asynccontextmanager
async def listening(context: ssl.SSLContext) -> AsyncIterator[Port]:
    """Accept as the bridge's listener does: the socket first, then TLS on it."""
    loop = asyncio.get_running_loop()
    bound = socket.create_server(("127.0.0.1", 0))
    bound.setblocking(False)
    port = Port(bound.getsockname()[1])

    async def accept() -> None:
        while True:
            peer, _ = await loop.sock_accept(bound)
            try:
                await loop.connect_accepted_socket(lambda: Greeting(port), peer, ssl=context, ssl_handshake_timeout=5)
            except OSError as error:  # ssl.SSLError is one
                port.refusals.append(str(getattr(error, "verify_message", None) or error))
                peer.close()

    with bound:
        accepting = loop.create_task(accept())
        try:
            yield port
        finally:
            accepting.cancel()
            with suppress(asyncio.CancelledError):
                await accepting


async def visit(port: Port, context: ssl.SSLContext) -> bytes:
    """Connect and read the greeting; nothing when the server broke off, which in TLS 1.3 shows only here."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port.number, ssl=context)
    try:
        writer.write(b"hello")
        return await reader.read(1)
    except (ssl.SSLError, ConnectionError):
        return b""
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP256R1()), Ed25519PrivateKey.generate()], ids=["P-256", "Ed25519"]
)
async def test_an_issued_certificate_comes_through_and_names_its_node(
    server_side: ssl.SSLContext, authority: ClientAuthority, key: NodePrivateKey, tmp_path: Path
) -> None:
    client = good_client(authority, NOW, key)
    private_folder(tmp_path / "node")
    files = write_client_file(tmp_path / "node" / "node.pem", key, client.certificate)
    async with listening(server_side) as port:
        assert await visit(port, node_client_context(SpkiPin(), files)) == b"!"
    (der,) = port.shown
    assert der is not None
    assert read_leaf(der).node_id == node_id_of(key.public_key())
    assert port.refusals == []


async def test_without_a_certificate_the_connection_is_anonymous(server_side: ssl.SSLContext) -> None:
    async with listening(server_side) as port:
        assert await visit(port, node_client_context(SpkiPin())) == b"!"
    assert port.shown == [None]


@pytest.mark.parametrize("what", REASONS)
async def test_a_hostile_certificate_is_refused_with_its_reason(
    server_side: ssl.SSLContext, authority: ClientAuthority, what: Hostile, tmp_path: Path
) -> None:
    """Positive control: each differs in one thing from the good one above; the app port lets all of them in."""
    context = hostile_client(what, authority, NOW).equip(node_client_context(SpkiPin()), tmp_path)
    async with listening(server_side) as port:
        assert await visit(port, context) == b""
        assert await visit(port, node_client_context(SpkiPin())) == b"!"  # one at a time: the first is done with
    assert port.refusals == [REASONS[what]]
    assert port.shown == [None]
    assert port.read in (b"", b"hello")  # of the second only


@pytest.mark.parametrize("what", REASONS)
async def test_what_is_refused_here_is_not_even_asked_for_by_the_app_port(
    bridge_identity: BridgeIdentity, authority: ClientAuthority, what: Hostile, tmp_path: Path
) -> None:
    context = hostile_client(what, authority, NOW).equip(node_client_context(SpkiPin()), tmp_path)
    async with listening(app_server_context(bridge_identity)) as port:
        assert await visit(port, context) == b"!"
    assert port.shown == [None]


async def test_the_twin_of_a_node_comes_through_tls_and_is_refused_for_its_names(
    server_side: ssl.SSLContext, authority: ClientAuthority, tmp_path: Path
) -> None:
    victim = good_client(authority, NOW)
    twin = hostile_client(Hostile.TWIN, authority, NOW, victim)
    assert twin.certificate.serial_number == victim.certificate.serial_number
    assert twin.certificate.subject == victim.certificate.subject
    async with listening(server_side) as port:
        assert await visit(port, twin.equip(node_client_context(SpkiPin()), tmp_path)) == b"!"
    assert port.shown == [twin.der]
    read_leaf(victim.der)
    with pytest.raises(LeafRefused, match="names are not those of its key"):
        read_leaf(twin.der)


async def test_an_authority_s_own_certificate_is_no_client_s(
    server_side: ssl.SSLContext, authority: ClientAuthority, tmp_path: Path
) -> None:
    private_folder(tmp_path / "node")
    files = write_client_file(tmp_path / "node" / "ca.pem", authority.key, authority.certificate)
    async with listening(server_side) as port:
        assert await visit(port, node_client_context(SpkiPin(), files)) == b""
        assert await visit(port, node_client_context(SpkiPin())) == b"!"
    assert port.refusals == ["unsuitable certificate purpose"]


def test_no_session_of_a_certificate_can_be_resumed(
    server_side: ssl.SSLContext, authority: ClientAuthority, tmp_path: Path
) -> None:
    """Positive control: with two tickets the second handshake is resumed, and shows a certificate unchecked."""
    for tickets, resumed in ((None, False), (2, True)):
        if tickets is not None:
            server_side.num_tickets = tickets
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        good_client(authority, NOW).equip(context, tmp_path)
        session, _ = in_memory(context, server_side, None)
        _, again = in_memory(context, server_side, session)
        assert again is resumed


def in_memory(
    client_side: ssl.SSLContext, server_side: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[ssl.SSLSession | None, bool]:
    """Shake hands without sockets; return the client's session, and whether it was a resumed one."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, session=session)
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    server.write(b"!")
    assert client.read(1) == b"!"  # what comes before it is the ticket
    return client.session, bool(server.session_reused)
