"""What a device offers and may not do is told by the permission that would change that."""

from __future__ import annotations

from acl.permissions import COMMANDS, Permission
from bridge.control.not_granted import not_granted


def test_commands_are_grouped_by_the_permission_they_need_in_the_table_s_order() -> None:
    offered = ["system.which", "screen.show", "camera.snap", "system.run", "camera.snap"]
    assert not_granted(offered, ["screen"]) == {"camera": ["camera.snap"], "system": ["system.which", "system.run"]}


def test_nothing_is_left_when_everything_is_granted() -> None:
    assert not_granted(COMMANDS, list(Permission)) == {}
    assert not_granted([], []) == {}


def test_what_nobody_could_grant_is_left_out() -> None:
    assert not_granted(["no.such.command", "camera.snap"], []) == {"camera": ["camera.snap"]}


def test_every_command_of_the_table_is_told_when_nothing_is_granted() -> None:
    told = not_granted(COMMANDS, [])
    assert sorted(name for names in told.values() for name in names) == sorted(COMMANDS)
