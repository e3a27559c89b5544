"""A picture of a code is a secret: for its owner's eyes, and in nobody's place."""

from __future__ import annotations

import os
import resource
import struct
from pathlib import Path

import pytest

from bridge.cli.qr_file import SCALE, require_writable, write_qr
from bridge.errors import BridgeError, RefusedError, UsageError

LINK = "oc-pair://" + "aB3_-" * 62


def test_a_png_is_a_square_of_whole_modules(tmp_path: Path) -> None:
    write_qr(LINK, tmp_path / "code.png")
    data = (tmp_path / "code.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert width == height
    assert width % SCALE == 0
    assert width > 400


def test_an_svg_is_drawn_and_does_not_hold_the_text(tmp_path: Path) -> None:
    write_qr(LINK, tmp_path / "code.SVG")
    text = (tmp_path / "code.SVG").read_text()
    assert "<svg" in text
    assert LINK not in text


@pytest.mark.parametrize("name", ["code.png", "code.svg"])
def test_only_its_owner_can_read_it_whatever_the_umask(tmp_path: Path, name: str) -> None:
    """Guard out (0o600 left out): the file has mode 0777."""
    former = os.umask(0)
    try:
        write_qr(LINK, tmp_path / name)
    finally:
        os.umask(former)
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_a_file_or_a_link_of_that_name_is_left_alone(tmp_path: Path) -> None:
    """Guard out (O_EXCL left out): the other file is overwritten through the link."""
    other = tmp_path / "other"
    other.write_text("mine")
    (tmp_path / "there.png").write_text("mine")
    (tmp_path / "link.png").symlink_to(other)
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere")
    for name in ("there.png", "link.png", "dangling.png"):
        with pytest.raises(RefusedError, match="not replaced"):
            write_qr(LINK, tmp_path / name)
    assert (other.read_text(), (tmp_path / "there.png").read_text()) == ("mine", "mine")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["code.jpg", "code", "code.png.txt", "png"])
def test_other_endings_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=name):
        write_qr(LINK, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="No such file or directory"):
        write_qr(LINK, tmp_path / "missing" / "code.png")


def test_on_a_full_disk_no_half_picture_is_left(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    _, hard = former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        with pytest.raises(RefusedError, match="cannot be written: File too large"):
            write_qr(LINK, tmp_path / "code.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["code.jpg", "there.png", "missing/code.png"])
def test_what_cannot_be_written_can_be_known_before(tmp_path: Path, name: str) -> None:
    (tmp_path / "there.png").write_text("mine")
    with pytest.raises(BridgeError):
        require_writable(tmp_path / name)


def test_looking_writes_nothing(tmp_path: Path) -> None:
    require_writable(tmp_path / "code.png")
    assert list(tmp_path.iterdir()) == []
