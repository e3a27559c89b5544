"""The control server, its home, and the program that talks to it."""

from pathlib import Path

import pytest

from tests.bridge.cli.program import Program
from tests.doubles.control_daemon import daemon, home, operations

__all__ = ["daemon", "home", "operations", "program"]


@pytest.fixture
def program(home: Path, capsys: pytest.CaptureFixture[str]) -> Program:
    """The program, run in this process."""
    return Program(home, capsys)
