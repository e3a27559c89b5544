"""The line that a person pastes, also into the real gateway's CLI."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.control.advice import ALLOW_PATH, allow_line
from tests.support import openclaw

OpenClaw = Callable[..., "subprocess.CompletedProcess[str]"]


def words(line: str) -> list[str]:
    return shlex.split(line)


def test_the_line_repeats_what_is_allowed_already_and_adds_the_rest_once() -> None:
    line = allow_line(["camera.snap", "screen.eval"], ["screen.navigate", "screen.eval"])
    assert line == (
        "openclaw config set gateway.nodes.commands.allow"
        ' \'["camera.snap", "screen.eval", "screen.navigate"]\' --strict-json'
    )


def test_an_unknown_list_is_never_overwritten() -> None:
    assert words(allow_line(None, ["screen.navigate"])) == [
        "openclaw", "config", "set", ALLOW_PATH, '["screen.navigate"]', "--strict-json", "--expect-current-absent",
    ]  # fmt: skip


def test_nothing_withheld_needs_no_line() -> None:
    assert allow_line(["camera.snap"], []) == ""
    assert allow_line(None, []) == ""


@pytest.mark.parametrize("name", ["a'b", "$(id)", "a b", "", "a\nb", "-x", '"', "`id`", "\u00e4"])
def test_a_name_that_no_command_can_have_makes_no_line(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a command"):
        allow_line([], [name])
    with pytest.raises(ValueError, match="not the name of a command"):
        allow_line([name], ["screen.eval"])


@pytest.fixture
def cli(tmp_path: Path) -> OpenClaw:
    """The real gateway's CLI in a folder of its own."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            openclaw.command(*arguments),
            env=openclaw.environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def stored(cli: OpenClaw) -> object:
    return json.loads(cli("config", "get", ALLOW_PATH, "--json").stdout)


@pytest.mark.real
@pytest.mark.slow
def test_the_real_cli_takes_the_line_and_keeps_what_was_allowed(cli: OpenClaw) -> None:
    first = cli(*words(allow_line(None, ["screen.navigate"]))[1:])
    assert first.returncode == 0, first.stderr
    assert stored(cli) == ["screen.navigate"]

    blind = cli(*words(allow_line(None, ["screen.eval"]))[1:])
    assert blind.returncode != 0
    assert stored(cli) == ["screen.navigate"]

    informed = cli(*words(allow_line(["screen.navigate"], ["screen.eval"]))[1:])
    assert informed.returncode == 0, informed.stderr
    assert stored(cli) == ["screen.navigate", "screen.eval"]
