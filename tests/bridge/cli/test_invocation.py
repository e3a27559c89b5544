"""What the commands of one run share."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.cli.invocation import Invocation
from bridge.errors import DaemonNotRunning


def test_a_command_to_copy_names_the_home_only_when_it_was_named() -> None:
    assert Invocation(Path("/h")).command("deny", "abcd") == "clawdis-bridge deny abcd"
    there = Invocation(Path("/my home"), "/my home")
    assert there.command("deny", "abcd") == "clawdis-bridge --home '/my home' deny abcd"


def test_a_command_to_copy_cannot_be_more_than_one() -> None:
    assert Invocation(Path("/h")).command("deny", "a; rm -rf ~") == "clawdis-bridge deny 'a; rm -rf ~'"


def test_the_client_talks_to_the_socket_of_the_home_and_knows_how_it_is_started(home: Path) -> None:
    with pytest.raises(DaemonNotRunning) as caught:
        Invocation(home, "H").client().status()
    assert str(home / "bridge.sock") in caught.value.message
    assert caught.value.fix == "Start it: clawdis-bridge --home H run"
