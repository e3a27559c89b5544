"""TLS over loopback: versions, ALPN, tickets, client certificates, pins."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.authority import build_authority_certificate
from certs.context import PinMismatch, app_server_context, node_server_context, pinned_client_context, require_pin
from certs.issue import new_bridge_key
from certs.store import BridgeIdentity, KeyFolder

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
HOST = "clawdis-bridge-0a1b2c3d.local"
TIMEOUT_S = 10.0

AUTHORITY = build_authority_certificate(new_bridge_key(), now=NOW)
ServerSide = Callable[[BridgeIdentity], ssl.SSLContext]


def node_side(identity: BridgeIdentity) -> ssl.SSLContext:
    return node_server_context(identity, AUTHORITY)


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> BridgeIdentity:
    return KeyFolder(tmp_path_factory.mktemp("bridge") / "keys").load_or_create(HOST, now=NOW)


@pytest.fixture(params=[app_server_context, node_side], ids=["apps", "nodes"])
def server_side(request: pytest.FixtureRequest, identity: BridgeIdentity) -> ssl.SSLContext:
    make: ServerSide = request.param
    return make(identity)


class Server:
    """One accepted TLS connection after the other on loopback; each sends one byte when the handshake is done."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.errors: list[str] = []
        self.client_certificates: list[bytes | None] = []
        self.thread = threading.Thread(target=self._serve)

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.listener.getsockname()
        return (host, port)

    def _serve(self) -> None:
        while True:
            accepted, _ = self.listener.accept()
            with accepted:
                accepted.settimeout(TIMEOUT_S)
                if accepted.recv(1, socket.MSG_PEEK) == b"":  # connect-and-close: the signal to end
                    return
                try:
                    with self.context.wrap_socket(accepted, server_side=True) as secured:
                        self.client_certificates.append(secured.getpeercert(binary_form=True))
                        secured.sendall(b"!")
                        secured.recv(1)
                except OSError as error:  # ssl.SSLError is one
                    self.errors.append(getattr(error, "reason", "") or str(error))

    def __enter__(self) -> "Server":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        socket.create_connection(self.address, TIMEOUT_S).close()
        self.thread.join(TIMEOUT_S)
        self.listener.close()


@pytest.fixture
def server(server_side: ssl.SSLContext) -> Iterator[Server]:
    with Server(server_side) as running:
        yield running


@contextlib.contextmanager
def connected(
    server: Server, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> Iterator[ssl.SSLSocket]:
    """A finished handshake: the server's byte has come, so any ticket would have come as well."""
    with (
        socket.create_connection(server.address, TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=HOST, session=session) as secured,
    ):
        assert secured.recv(1) == b"!"
        yield secured


def test_the_pinned_client_reaches_the_server(server: Server, identity: BridgeIdentity) -> None:
    with connected(server, pinned_client_context()) as secured:
        require_pin(secured, identity.pin)
        assert secured.version() == "TLSv1.3"
        assert secured.selected_alpn_protocol() == "http/1.1"


def test_any_server_name_is_answered_by_the_same_certificate(server: Server, identity: BridgeIdentity) -> None:
    context = pinned_client_context()
    for name in ("localhost", "other.local", "127.0.0.1", "a" * 60 + ".example"):
        with (
            socket.create_connection(server.address, TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            require_pin(secured, identity.pin)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
def test_older_versions_are_refused_by_the_server(server: Server, version: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"), connected(server, context):
        pytest.fail("connected with an old version")


def test_an_older_server_is_refused_by_the_client(identity: BridgeIdentity) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.load_cert_chain(identity.file, password=identity.passphrase)
    with Server(old) as server, pytest.raises(ssl.SSLError), connected(server, pinned_client_context()):
        pytest.fail("connected with an old version")


@pytest.mark.parametrize(
    "offered, selected",
    [(["h2", "http/1.1"], "http/1.1"), (["h2"], None), (["spdy/3", "x"], None), ([], None)],
)
def test_http_1_1_or_nothing_is_chosen(server: Server, offered: list[str], selected: str | None) -> None:
    context = pinned_client_context()
    context.set_alpn_protocols(offered)
    with connected(server, context) as secured:
        assert secured.selected_alpn_protocol() == selected


def test_no_ticket_is_issued_and_no_session_is_resumed(server: Server) -> None:
    context = pinned_client_context()
    with connected(server, context) as first:
        session = first.session
        assert session is None or not session.has_ticket
    with connected(server, context, session) as second:
        assert second.session_reused is False


def test_the_ticket_test_would_see_a_ticket(server: Server) -> None:
    server.context.num_tickets = 2
    context = pinned_client_context()
    with connected(server, context) as first:
        assert first.session is not None
        assert first.session.has_ticket
        session = first.session
    with connected(server, context, session) as second:
        assert second.session_reused is True


def test_the_app_port_requests_no_client_certificate(identity: BridgeIdentity) -> None:
    context = pinned_client_context()
    context.load_cert_chain(identity.file, password=identity.passphrase)  # one that a request would bring out
    with Server(app_server_context(identity)) as server, connected(server, context):
        assert server.client_certificates == [None]


def test_both_ports_let_in_who_has_no_certificate(server: Server) -> None:
    with connected(server, pinned_client_context()):
        assert server.client_certificates == [None]


def test_the_node_port_trusts_one_root_and_none_of_the_system(identity: BridgeIdentity) -> None:
    context = node_side(identity)
    assert context.get_ca_certs(binary_form=True) == [AUTHORITY.public_bytes(Encoding.DER)]
    assert context.verify_mode is ssl.CERT_OPTIONAL
    assert context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.security_level >= 2  # no RSA below 2048 bits, no SHA-1


def test_plain_http_gets_no_answer(server: Server) -> None:
    with socket.create_connection(server.address, TIMEOUT_S) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: bridge\r\n\r\n")
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # as good as an end of file
            answer = plain.recv(4096)
    assert not answer.startswith(b"HTTP")
    with connected(server, pinned_client_context()) as secured:
        assert secured.version() == "TLSv1.3"
    assert server.errors[0] == "HTTP_REQUEST"


def test_a_wrong_pin_is_refused_and_names_both(server: Server, identity: BridgeIdentity) -> None:
    with connected(server, pinned_client_context()) as secured:
        with pytest.raises(PinMismatch) as caught:
            require_pin(secured, "0" * 64)
        assert caught.value.expected == "0" * 64
        assert caught.value.seen == identity.pin
        assert identity.pin in str(caught.value)


def test_the_pin_of_the_key_is_not_the_pin_of_the_certificate(server: Server, identity: BridgeIdentity) -> None:
    with connected(server, pinned_client_context()) as secured, pytest.raises(PinMismatch):
        require_pin(secured, identity.spki)


def test_a_text_that_is_no_pin_is_the_callers_mistake(server: Server) -> None:
    with connected(server, pinned_client_context()) as secured, pytest.raises(ValueError, match="a pin is"):
        require_pin(secured, "")


def test_a_peer_without_a_certificate_has_no_pin(identity: BridgeIdentity) -> None:
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = pinned_client_context().wrap_bio(ours, theirs)
    server = app_server_context(identity).wrap_bio(theirs, ours, server_side=True)
    for side in (client, server, client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    require_pin(client, identity.pin)
    with pytest.raises(PinMismatch, match="no certificate") as caught:  # seen from the server: the client's
        require_pin(server, identity.pin)
    assert caught.value.seen is None


def test_a_wrong_passphrase_does_not_ask_on_the_terminal(identity: BridgeIdentity, tmp_path: Path) -> None:
    broken = BridgeIdentity(
        identity.key, identity.certificate, identity.pin, identity.spki, identity.file, passphrase=b"x" * 43
    )
    with pytest.raises(ssl.SSLError):
        app_server_context(broken)
    gone = BridgeIdentity(
        identity.key, identity.certificate, identity.pin, identity.spki, tmp_path / "none", identity.passphrase
    )
    with pytest.raises(FileNotFoundError):
        node_side(gone)


def test_no_tls_secret_is_written_for_the_environment(
    identity: BridgeIdentity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    for server_side in (app_server_context, node_side):
        with Server(server_side(identity)) as server, connected(server, pinned_client_context()) as secured:
            assert secured.version() == "TLSv1.3"
    assert list(tmp_path.iterdir()) == []
