"""The folder of a bridge, and a reception over one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bridge.pairing.desks import Front


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty folder, with a blank in its name: people follow the lines that a refusal tells."""
    folder = tmp_path / "a home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def front(home: Path) -> Front:
    """The reception of a bridge that nobody has paired with."""
    return Front(home)
