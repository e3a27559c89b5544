"""What a backup holds, and where it is restored."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.backup.collect import collect
from tests.bridge.backup.homes import make_home
from tests.bridge.pairing.samples import record


@pytest.fixture
def members(tmp_path: Path) -> dict[str, bytes]:
    """What a backup of a bridge with two nodes holds."""
    make_home(tmp_path / "old", record(1), record(2))
    return collect(tmp_path / "old").members


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where there is nothing yet, in a folder of its own."""
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk" / "home"
