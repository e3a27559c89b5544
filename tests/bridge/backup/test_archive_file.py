"""The backup on disk: whole or not there, private, never over another file."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.backup.archive import MAX_ARCHIVE_BYTES
from bridge.backup.archive_file import read_archive, require_new, write_new
from bridge.backup.errors import BackupError


def test_it_is_private_whatever_the_umask_and_alone(tmp_path: Path) -> None:
    former = os.umask(0o777)
    try:
        write_new(tmp_path / "b.backup", b"data")
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "b.backup").stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["b.backup"]
    assert read_archive(tmp_path / "b.backup") == b"data"


def test_a_folder_of_others_will_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    write_new(tmp_path / "b.backup", b"data")
    assert read_archive(tmp_path / "b.backup") == b"data"


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling link", "pipe"])
def test_what_is_there_is_not_touched(tmp_path: Path, kind: str) -> None:
    """With `require_new` taken out of `write_new` the file of that name is replaced: red."""
    path, victim = tmp_path / "b.backup", tmp_path / "victim"
    victim.write_bytes(b"victim")
    match kind:
        case "file":
            path.write_bytes(b"former")
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(victim)
        case "dangling link":
            path.symlink_to(tmp_path / "nowhere")
        case _:
            os.mkfifo(path)
    before = path.lstat()
    with pytest.raises(BackupError, match="exists already"):
        write_new(path, b"data")
    assert path.lstat() == before
    assert victim.read_bytes() == b"victim"
    assert {each.name for each in tmp_path.iterdir()} == {"b.backup", "victim"}


def test_no_folder_is_made_for_it(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="There is no folder") as refused:
        require_new(tmp_path / "none" / "b.backup")
    assert refused.value.fix is not None
    assert "mkdir -p" in refused.value.fix


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with room_for(5000), pytest.raises(BackupError, match="could not be written") as refused:
        write_new(tmp_path / "b.backup", bytes(5001))
    assert refused.value.fix is not None
    assert "df -h" in refused.value.fix
    assert list(tmp_path.iterdir()) == []


@contextmanager
def room_for(count: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes in the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", ["nothing", "folder", "pipe", "device"])
def test_what_is_no_backup_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "b.backup"
    match kind:
        case "nothing":
            pass
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case _:
            path = Path("/dev/zero")
    with pytest.raises(BackupError, match=r"cannot be read|no regular file"):
        read_archive(path)


def test_a_file_longer_than_any_backup_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.backup"
    with path.open("wb") as file:
        file.truncate(MAX_ARCHIVE_BYTES + 1)
    with pytest.raises(BackupError, match="longer than"):
        read_archive(path)
