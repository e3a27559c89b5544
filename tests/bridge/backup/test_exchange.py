"""Two folders change places at once, or nothing happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.backup.errors import BackupError
from bridge.backup.exchange import exchange


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
