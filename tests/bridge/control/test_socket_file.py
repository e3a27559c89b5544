"""The socket's file is private, and replaces nothing foreign."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.control.socket_file import MAX_PATH_BYTES, SOCKET_NAME, ControlSocketError, bind_private, require_short


@contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o277])
def test_the_file_is_private_whatever_the_umask_and_nobody_can_connect_yet(home: Path, mask: int) -> None:
    with umask(mask):
        file = bind_private(home / SOCKET_NAME)
    assert stat.S_IMODE(file.path.lstat().st_mode) == 0o600
    with socket.socket(socket.AF_UNIX) as early, pytest.raises(ConnectionRefusedError):
        early.connect(str(file.path))
    file.close()
    assert not file.path.exists()
    file.close()


def test_a_stale_socket_of_ours_is_replaced(home: Path) -> None:
    path = home / SOCKET_NAME
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    old = path.lstat().st_ino
    file = bind_private(path)
    assert file.identity[1] == path.lstat().st_ino
    assert (old, stat.S_ISSOCK(path.lstat().st_mode))[1]
    file.close()


def test_a_socket_that_answers_is_left_alone(home: Path) -> None:
    path = home / SOCKET_NAME
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(path))
        alive.listen()
        with pytest.raises(ControlSocketError, match="Another daemon"):
            bind_private(path)
        assert path.exists()


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling", "pipe"])
def test_anything_else_in_the_way_is_left_alone(home: Path, kind: str) -> None:
    path = home / SOCKET_NAME
    match kind:
        case "file":
            path.write_text("precious")
        case "folder":
            path.mkdir()
        case "link":
            (home / "target").write_text("precious")
            path.symlink_to(home / "target")
        case "dangling":
            path.symlink_to(home / "nowhere")
        case _:
            os.mkfifo(path)
    before = path.lstat()
    with pytest.raises(ControlSocketError, match="not a socket") as caught:
        bind_private(path)
    assert caught.value.fix is not None
    assert str(path) in caught.value.fix
    assert path.lstat().st_ino == before.st_ino


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
@pytest.mark.parametrize("foreign", ["socket", "folder"])
def test_what_belongs_to_another_user_is_left_alone(home: Path, foreign: str) -> None:
    path = home / SOCKET_NAME
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    os.chown(path if foreign == "socket" else home, 65534, 65534)
    with pytest.raises(ControlSocketError, match="belongs to another user"):
        bind_private(path)
    assert path.exists()


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701, 0o777])
def test_a_folder_that_is_open_to_others_is_refused(home: Path, mode: int) -> None:
    home.chmod(mode)
    with pytest.raises(ControlSocketError, match="open to other users") as caught:
        bind_private(home / SOCKET_NAME)
    assert caught.value.fix == f"chmod 700 {home}"
    assert not (home / SOCKET_NAME).exists()


def test_a_folder_that_is_missing_or_no_folder_or_a_link_is_refused(home: Path) -> None:
    with pytest.raises(ControlSocketError, match="No such file"):
        bind_private(home / "missing" / SOCKET_NAME)
    (home / "plain").write_text("")
    with pytest.raises(ControlSocketError, match="not a folder"):
        bind_private(home / "plain" / SOCKET_NAME)
    (home / "real").mkdir(mode=0o700)
    (home / "link").symlink_to(home / "real")
    with pytest.raises(ControlSocketError, match="not a folder"):
        bind_private(home / "link" / SOCKET_NAME)


def test_a_path_that_fits_no_socket_address_says_so() -> None:
    require_short(Path("/" + "a" * (MAX_PATH_BYTES - 1)))
    with pytest.raises(ControlSocketError, match="104 bytes") as caught:
        require_short(Path("/" + "a" * MAX_PATH_BYTES))
    assert caught.value.fix is not None
    assert "--home" in caught.value.fix
    with pytest.raises(ControlSocketError):
        require_short(Path("/" + "\u00e4" * 60))  # bytes count, not characters


def test_closing_does_not_remove_what_took_its_place(home: Path) -> None:
    file = bind_private(home / SOCKET_NAME)
    keep = home / "keep"
    file.path.rename(keep)  # the inode lives on, so that the new file cannot get its number
    file.path.write_text("someone else's")
    file.close()
    assert file.path.read_text() == "someone else's"
