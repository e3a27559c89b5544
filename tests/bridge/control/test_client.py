"""The client speaks to the real server, and makes sentences of everything that can go wrong on the way."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.control.client import MAX_ANSWER_BYTES, ControlClient
from bridge.control.requests import RevokeBody
from bridge.control.seats import MAX_CONNECTIONS
from bridge.control.socket_file import SOCKET_NAME, ControlSocketError
from bridge.errors import (
    AlreadyDecided,
    AmbiguousId,
    BridgeError,
    DaemonNotRunning,
    GatewayNotConnected,
    NotAllowed,
    UnknownId,
    UsageError,
    WrongCode,
)
from tests.doubles.control_daemon import ControlDaemon, short_home


def test_every_operation_is_asked_and_answered(daemon: ControlDaemon) -> None:
    client, operations = ControlClient(daemon.socket), daemon.operations
    node = operations.phone_is_paired()
    request, other = operations.phone_asks(), operations.phone_asks("req:2/x".replace("/", "."), "Ben")
    assert client.status().pending == 2
    assert client.pending() == [request, other]
    assert client.request(request.id[:6]) == request
    assert client.node(node.node_id[:8]) == node
    assert client.approve(request.id, ["voice"], "Kitchen").display_name == "Kitchen"
    assert client.deny("req:2").id == other.id
    assert {each.display_name for each in client.nodes()} == {"Anna's iPhone", "Kitchen"}
    assert client.rename(node.node_id, "Hall").display_name == "Hall"
    assert client.set_permissions(node.node_id, []).permissions == []
    assert client.mint_setup_code(["voice"], None, 60, None).permissions == ["voice"]
    assert client.explain(node.node_id, "node.invoke", "screen.eval") == operations.verdict
    assert [each.node_id for each in client.revoke(RevokeBody(ids=[node.node_id[:6]]))] == [node.node_id]


def test_invitations_and_certificates_are_asked_for(daemon: ControlDaemon) -> None:
    client, operations = ControlClient(daemon.socket), daemon.operations
    assert client.open_window().open_until.tzinfo is not None
    link = client.mint_native_link(None, "voice", 60, "192.168.1.20")
    assert (link.permissions, link.link[:22]) == (["voice"], "clawdis-bridge://pair#")
    assert [row.id for row in client.tokens()] == [link.id]
    assert client.revoke_token(link.id).state == "revoked"
    assert client.certs() == operations.certs.report
    following = client.rotate_key(commit=False).next_spki
    assert client.rotate_key(commit=True).spki == following
    assert client.renew_certificate() == client.reload_certificates() == operations.certs.report


def test_a_code_is_sent_and_a_wrong_one_keeps_its_class(daemon: ControlDaemon) -> None:
    client, request = ControlClient(daemon.socket), daemon.operations.phone_asks(kind="native")
    with pytest.raises(WrongCode, match="not the code"):
        client.approve(request.id, code="000000")
    with pytest.raises(UsageError):
        client.approve(request.id)
    assert client.approve(request.id, code="123456").security == "mtls"


@pytest.mark.parametrize("name", ["B\u00fcro", "Anna\u2019s Mac", "\u65e5\u672c", "\U0001f4f1"])
def test_names_of_any_script_arrive_as_they_were_typed(daemon: ControlDaemon, name: str) -> None:
    client, node = ControlClient(daemon.socket), daemon.operations.phone_is_paired()
    request = daemon.operations.phone_asks()
    assert client.rename(node.node_id, name).display_name == name
    assert client.approve(request.id, name=name).display_name == name
    assert daemon.operations.rows[node.node_id].display_name == name


def test_refusals_keep_their_class(daemon: ControlDaemon) -> None:
    client, operations = ControlClient(daemon.socket), daemon.operations
    operations.phone_asks("aaaa1111")
    operations.phone_asks("aaaa2222")
    with pytest.raises(UnknownId):
        client.deny("bbbb")
    with pytest.raises(AmbiguousId, match="aaaa1111"):
        client.deny("aaaa")
    client.deny("aaaa1111")
    with pytest.raises(AlreadyDecided):
        client.approve("aaaa1111")
    operations.break_with(GatewayNotConnected("Down.", "Start it."))
    with pytest.raises(GatewayNotConnected) as caught:
        client.nodes()
    assert caught.value.fix == "Start it."


@pytest.mark.parametrize("id", ["", "..", "../../status", "a/b", "--all", "a b", "a\x00b"])
def test_what_cannot_be_an_id_is_never_sent(daemon: ControlDaemon, id: str) -> None:
    client = ControlClient(daemon.socket)
    for ask in (
        client.node,
        client.request,
        client.deny,
        client.approve,
        client.revoke_token,
        lambda each: client.explain(each, "m"),
    ):
        with pytest.raises(UnknownId):
            ask(id)
    assert daemon.operations.calls == []


def test_what_the_daemon_would_refuse_is_refused_here(daemon: ControlDaemon) -> None:
    client = ControlClient(daemon.socket)
    with pytest.raises(UsageError, match="exclude each other"):
        client.mint_setup_code(["voice"], "phone", 60, None)
    with pytest.raises(UsageError, match="ttl"):
        client.mint_setup_code(None, None, 5, None)
    with pytest.raises(UsageError, match="address"):
        client.mint_setup_code(None, None, 60, "example.com")
    with pytest.raises(UsageError, match="name"):
        client.rename("abcd", " ")
    assert daemon.operations.calls == []


@pytest.mark.parametrize("left", ["nothing", "stale socket", "file"])
def test_a_daemon_that_does_not_run_is_said_to_be_started(home: Path, left: str) -> None:
    path = home / SOCKET_NAME
    if left == "stale socket":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    elif left == "file":
        path.write_text("")
    with pytest.raises(DaemonNotRunning) as caught:
        ControlClient(path, run_command="clawdis-bridge --home X run").status()
    assert caught.value.fix == "Start it: clawdis-bridge --home X run"
    assert str(path) in caught.value.message


def test_a_home_that_is_no_folder_has_no_daemon(home: Path) -> None:
    (home / "file").write_text("")
    with pytest.raises(DaemonNotRunning):
        ControlClient(home / "file" / SOCKET_NAME).status()


def test_a_path_that_is_too_long_says_so(home: Path) -> None:
    with pytest.raises(ControlSocketError, match="103"):
        ControlClient(home / ("x" * 120) / SOCKET_NAME).status()


def test_a_socket_of_another_user_is_told_nothing(home: Path) -> None:
    with answering(home, b"") as heard:
        client = ControlClient(home / SOCKET_NAME, uid_of=lambda _descriptor: os.geteuid() + 1)
        with pytest.raises(NotAllowed, match="Another user"):
            client.approve("abcd")
    assert heard[0] == b""


@contextmanager
def answering(home: Path, answer: bytes) -> Iterator[list[bytes]]:
    """Something that takes one connection at the socket, answers whatever it is asked, and hangs up."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / SOCKET_NAME))
        listener.listen()
        listener.settimeout(10)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                heard.append(connection.recv(65536))
                try:
                    connection.sendall(answer)
                except BrokenPipeError:
                    heard.append(b"gone")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield heard
        finally:
            thread.join(10)


def http(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


@pytest.mark.parametrize(
    "answer, code",
    [
        (b"", "CONNECTION_LOST"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "CONNECTION_LOST"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "CONNECTION_LOST"),
        (http(b"<html>"), "BAD_ANSWER"),
        (http(b"{}"), "BAD_ANSWER"),
        (http(b"[]"), "BAD_ANSWER"),
        (http(b"\xff\xfe"), "BAD_ANSWER"),
        (http(b"oops", 500), "BAD_ANSWER"),
        (http(b'{"error":{"code":"INTERNAL","message":"m"}}', 500), "INTERNAL"),
        (http(b" " * (MAX_ANSWER_BYTES + 1)), "BAD_ANSWER"),
    ],
)
def test_a_bad_answer_is_said_to_be_one(home: Path, answer: bytes, code: str) -> None:
    with answering(home, answer), pytest.raises(BridgeError) as caught:
        ControlClient(home / SOCKET_NAME).status()
    assert caught.value.code == code


def test_a_daemon_that_does_not_answer_is_not_waited_for_for_ever(home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(home / SOCKET_NAME))
        silent.listen()
        with pytest.raises(BridgeError) as caught:
            ControlClient(home / SOCKET_NAME, timeout_s=0.05).status()
    assert caught.value.code == "TIMED_OUT"


def test_a_full_daemon_says_that_it_is_busy(daemon: ControlDaemon) -> None:
    held = [socket.socket(socket.AF_UNIX) for _ in range(MAX_CONNECTIONS)]
    try:
        for each in held:
            each.connect(str(daemon.socket))
        with pytest.raises(BridgeError) as caught:
            ControlClient(daemon.socket).status()
        assert caught.value.code == "BUSY"
    finally:
        for each in held:
            each.close()


@settings(max_examples=50)
@given(st.binary(max_size=200), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 409 X\r\n\r\n", http(b"{}")]))
def test_whatever_answers_only_our_own_errors_come_out(noise: bytes, head: bytes) -> None:
    with short_home() as home, answering(home, head + noise), pytest.raises(BridgeError) as caught:
        ControlClient(home / SOCKET_NAME).nodes()
    assert caught.value.code in {"CONNECTION_LOST", "BAD_ANSWER"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only on a machine where the tests may change their user")
def test_a_folder_that_this_user_may_not_enter_is_said_to_be_so(home: Path) -> None:
    home.chmod(0o700)
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            ControlClient(home / SOCKET_NAME).status()
        except NotAllowed:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
