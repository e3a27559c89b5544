"""Who is at the other end of a socket."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from bridge.control.peer import peer_uid, ucred_uid, xucred_uid


def test_the_kernel_names_our_own_user() -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        assert peer_uid(left.fileno()) == os.geteuid()
        left.send(b"still open")
        assert right.recv(16) == b"still open"


def test_a_network_socket_tells_nobody() -> None:
    with socket.socket(socket.AF_INET) as sock:
        assert peer_uid(sock.fileno()) is None


def test_no_socket_at_all_tells_nobody() -> None:
    reading, writing = os.pipe()
    try:
        assert peer_uid(reading) is None
    finally:
        os.close(reading)
        os.close(writing)
    assert peer_uid(reading) is None


@pytest.mark.parametrize(
    "data, uid",
    [
        (struct.pack("=iII", 4242, 501, 20), 501),
        (struct.pack("=iII", 4242, 0, 0), 0),
        (struct.pack("=iII", 0, 4294967295, 4294967295), None),  # unconnected: no process
        (struct.pack("=iII", 4242, 501, 20)[:-1], None),
        (b"", None),
    ],
)
def test_linux_credentials_are_read(data: bytes, uid: int | None) -> None:
    assert ucred_uid(data) == uid


def xucred(version: int, uid: int) -> bytes:
    return struct.pack("=IIh2x16I", version, uid, 1, 20, *([0] * 15))


@pytest.mark.parametrize(
    "data, uid", [(xucred(0, 501), 501), (xucred(1, 501), None), (xucred(0, 501)[:-4], None), (b"", None)]
)
def test_mac_credentials_are_read(data: bytes, uid: int | None) -> None:
    assert ucred_uid(data) is None
    assert xucred_uid(data) == uid


def test_the_mac_structure_has_the_size_of_its_header() -> None:
    assert len(xucred(0, 501)) == 76  # sizeof(struct xucred), <sys/ucred.h>
