"""What a person is told when a code let somebody in: a constant script, values as arguments, nothing that stays."""

from __future__ import annotations

import asyncio
import io

import pytest

from bridge.pairing.approvers.notice import SCRIPT, MacOsNotice, TerminalNotice, words_for
from tests.bridge.pairing.approvers.prompts import NAMES
from tests.bridge.pairing.samples import labels, record
from tests.doubles.osascript import Osascript, alive
from tests.support.waiting import eventually


def test_the_words_name_the_device_and_how_to_take_it_back() -> None:
    node = record(labels=labels("Anna's iPhone"))
    assert words_for(node) == (
        "Anna's iPhone was paired by a one-time code. "
        f"To take that back: clawdis-bridge nodes revoke {node.node_id[:12]}"
    )


@pytest.mark.parametrize("name", NAMES)
async def test_a_hostile_name_is_an_argument_and_no_script(osascript: Osascript, name: str) -> None:
    text = words_for(record(labels=labels(name)))
    await MacOsNotice(osascript.path, {"SECRET": "x"}).tell(text)
    call = osascript.call()
    assert call.script == list(SCRIPT)
    assert call.values == ["Clawdis Bridge", text]
    assert "SECRET" not in call.environment


async def test_one_that_fails_is_an_error_of_the_system(osascript: Osascript) -> None:
    with pytest.raises(OSError, match="No such file"):
        await MacOsNotice(osascript.path.parent / "nothing", {}).tell("x")


async def test_one_that_hangs_does_not_outlive_its_caller(osascript: Osascript) -> None:
    """Guard out (`process.kill` left out): the process stays."""
    osascript.tell(waits=True)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(MacOsNotice(osascript.path, {}).tell("x"))
        await eventually(osascript.calls, what="it is handed to the system")
        pid = osascript.call().pids[0]
        task.cancel()
    assert not alive(pid)


@pytest.mark.parametrize("name", NAMES)
async def test_on_the_terminal_it_is_one_line_of_visible_characters(name: str) -> None:
    out = io.StringIO()
    await TerminalNotice(out).tell(words_for(record(labels=labels(name))))
    written = out.getvalue()
    assert written.startswith("\n--- Clawdis Bridge: ")
    assert written.count("\n") == 2
    assert all(character.isprintable() for character in written.replace("\n", ""))
