"""Two folders change places at once, or nothing happens."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from bridge.backup.errors import BackupError
from bridge.backup.exchange import ExchangeUnsupported, exchange


def test_two_folders_change_places(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other b\u00fcro"
    for folder in (one, other):
        folder.mkdir()
        (folder / "name").write_text(folder.name)
    exchange(one, other)
    assert (one / "name").read_text() == "other b\u00fcro"
    assert (other / "name").read_text() == "one"


def test_a_folder_that_is_missing_is_an_error_and_the_other_stays(tmp_path: Path) -> None:
    one = tmp_path / "one"
    one.mkdir()
    with pytest.raises(BackupError, match="could not be replaced"):
        exchange(one, tmp_path / "other")
    assert [each.name for each in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL, errno.ENOTSUP])
def test_a_system_that_cannot_swap_is_told_from_one_that_refuses(tmp_path: Path, number: int) -> None:
    with pytest.raises(ExchangeUnsupported):
        exchange(tmp_path, tmp_path, lambda one, other: number)
    with pytest.raises(BackupError, match="busy"):
        exchange(tmp_path, tmp_path, lambda one, other: errno.EBUSY)
