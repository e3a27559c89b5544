"""What the commands of one run share."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.cli.app import app
from bridge.cli.invocation import COMMANDS, Invocation, aimed
from bridge.errors import DaemonNotRunning


def test_a_command_to_copy_names_the_home_only_when_it_was_named() -> None:
    assert Invocation(Path("/h")).command("deny", "abcd") == "clawdis-bridge deny abcd"
    there = Invocation(Path("/my home"), "/my home")
    assert there.command("deny", "abcd") == "clawdis-bridge --home '/my home' deny abcd"


def test_a_command_to_copy_cannot_be_more_than_one() -> None:
    assert Invocation(Path("/h")).command("deny", "a; rm -rf ~") == "clawdis-bridge deny 'a; rm -rf ~'"


def test_the_advice_of_the_daemon_is_aimed_at_the_home_that_was_named() -> None:
    advice = "See: clawdis-bridge pending, clawdis-bridge nodes. Install clawdis-bridge again; no clawdis-bridge-x pair"
    assert aimed(advice, None) == Invocation(Path("/h")).aimed(advice) == advice
    there = "clawdis-bridge --home '/my \\1 home'"
    assert aimed(advice, "/my \\1 home") == (
        f"See: {there} pending, {there} nodes. Install clawdis-bridge again; no clawdis-bridge-x pair"
    )


def test_what_is_aimed_already_stays_as_it_is() -> None:
    line = Invocation(Path("/h"), "/h").command("pair", "--qr")
    assert Invocation(Path("/h"), "/h").aimed(line) == line


def test_every_command_of_the_program_is_known_to_advice() -> None:
    names = [each.name for each in app.registered_commands] + [each.name for each in app.registered_groups]
    assert sorted(map(str, names)) == sorted(COMMANDS)


def test_the_client_talks_to_the_socket_of_the_home_and_knows_how_it_is_started(home: Path) -> None:
    with pytest.raises(DaemonNotRunning) as caught:
        Invocation(home, "H").client().status()
    assert str(home / "bridge.sock") in caught.value.message
    assert caught.value.fix == "Start it: clawdis-bridge --home H run"
