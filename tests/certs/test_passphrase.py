"""The passphrase file: made once, never guessed, never printed."""

import os
import stat
from pathlib import Path

import pytest

from certs.errors import IdentityError
from certs.passphrase import FilePassphrase
from certs.private_files import private_folder, write_private


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    private_folder(path)
    return path


def test_there_is_none_before_one_is_made(folder: Path) -> None:
    assert FilePassphrase(folder).load() is None
    assert list(folder.iterdir()) == []


def test_it_is_random_kept_and_private(folder: Path, tmp_path: Path) -> None:
    made = FilePassphrase(folder).create()
    assert len(made) == 43
    assert FilePassphrase(folder).load() == made
    assert stat.S_IMODE((folder / "passphrase").stat().st_mode) == 0o600
    private_folder(tmp_path / "other")
    assert FilePassphrase(tmp_path / "other").create() != made


def test_it_is_made_once_only(folder: Path) -> None:
    source = FilePassphrase(folder)
    made = source.create()
    with pytest.raises(IdentityError, match="already"):
        source.create()
    assert source.load() == made


@pytest.mark.parametrize("content", [b"", b"x" * 42, b"x" * 44, b"x" * 43 + b"\n", b"\xff" * 43, b"x" * 9999])
def test_a_damaged_file_is_neither_used_nor_replaced(folder: Path, content: bytes) -> None:
    source = FilePassphrase(folder)
    write_private(folder / "passphrase", content)
    for action in (source.load, source.create):
        with pytest.raises(IdentityError) as caught:
            action()
        assert caught.value.what == source.where == str(folder / "passphrase")
        assert f"mv {folder / 'passphrase'}" in caught.value.mend
    assert (folder / "passphrase").read_bytes() == content


def test_a_file_that_others_can_read_is_refused(folder: Path) -> None:
    source = FilePassphrase(folder)
    made = source.create()
    (folder / "passphrase").chmod(0o640)
    with pytest.raises(IdentityError, match="chmod 600"):
        source.load()
    (folder / "passphrase").chmod(0o600)
    assert source.load() == made


def test_a_pipe_in_its_place_does_not_hang(folder: Path) -> None:
    os.mkfifo(folder / "passphrase", 0o600)
    with pytest.raises(IdentityError, match="no regular file"):
        FilePassphrase(folder).load()


def test_nothing_secret_is_printed(folder: Path) -> None:
    source = FilePassphrase(folder)
    made = source.create().decode()
    assert made not in repr(source)
    assert made not in source.where
