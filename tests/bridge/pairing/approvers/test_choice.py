"""Which approvers a setting means on which machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config import PromptSetting
from bridge.pairing.approvers.choice import choose_approvers
from tests.doubles.osascript import Osascript

NOWHERE = Path("/nonexistent/osascript")


@pytest.mark.parametrize(
    "setting, platform, on_terminal, names",
    [
        ("auto", "darwin", True, ["macos", "terminal"]),
        ("auto", "darwin", False, ["macos"]),
        ("auto", "linux", True, ["terminal"]),
        ("auto", "linux", False, []),
        ("macos", "darwin", True, ["macos"]),
        ("terminal", "darwin", True, ["terminal"]),
        ("terminal", "linux", True, ["terminal"]),
        ("none", "darwin", True, []),
    ],
)
def test_who_asks(
    setting: PromptSetting, platform: str, on_terminal: bool, names: list[str], osascript: Osascript
) -> None:
    chosen = choose_approvers(setting, platform=platform, on_terminal=on_terminal, osascript=osascript.path)
    assert [approver.name for approver in chosen.approvers] == names
    assert chosen.problem is None


@pytest.mark.parametrize(
    "setting, platform, why",
    [
        ("macos", "linux", "no /nonexistent/osascript on this machine"),
        ("macos", "darwin", "no /nonexistent/osascript on this machine"),
        ("terminal", "linux", "does not run in one"),
    ],
)
def test_what_is_asked_for_and_missing_is_told_with_what_to_do(setting: PromptSetting, platform: str, why: str) -> None:
    chosen = choose_approvers(setting, platform=platform, on_terminal=False, osascript=NOWHERE)
    assert chosen.approvers == ()
    assert chosen.problem is not None
    assert f'pairing.prompt is "{setting}"' in chosen.problem
    assert why in chosen.problem
    assert "clawdis-bridge pending" in chosen.problem


def test_a_mac_without_the_program_still_has_its_terminal() -> None:
    chosen = choose_approvers("auto", platform="darwin", on_terminal=True, osascript=NOWHERE)
    assert [approver.name for approver in chosen.approvers] == ["terminal"]


def test_a_daemon_in_a_pipe_finds_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    assert choose_approvers("auto", platform="linux").approvers == ()
