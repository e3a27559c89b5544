"""The dialog, with a stand-in for osascript: what it is called with, what its words mean, and that it never stays."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.pairing.approvers.approver import Again, Answer, Approve, Deny, Later, NoAnswer, Prompt
from bridge.pairing.approvers.macos import MAX_OUTPUT_BYTES, SCRIPT, DialogFailed, MacOsDialog
from bridge.pairing.approvers.wording import full_text
from tests.bridge.pairing.approvers.prompts import APP, NAMES, NATIVE, named
from tests.doubles.osascript import Osascript, alive
from tests.support.waiting import eventually

SCRIPT_TEXT = """\
on run argv
if item 1 of argv is "--" then set argv to rest of argv
set {theKind, theTitle, theText, theSeconds} to argv
try
activate
end try
if theKind is "code" then
set theReply to display dialog theText with title theTitle default answer "" \
buttons {"Deny", "Not Now", "Approve"} default button "Not Now" giving up after (theSeconds as integer)
else
set theReply to display dialog theText with title theTitle \
buttons {"Deny", "Not Now", "Approve"} default button "Not Now" giving up after (theSeconds as integer)
end if
if gave up of theReply then return "nobody:"
set theTyped to ""
if theKind is "code" then set theTyped to text returned of theReply
set theButton to button returned of theReply
if theButton is "Approve" then return "approve:" & theTyped
if theButton is "Deny" then return "deny:"
return "later:" & theTyped
end run
"""


def dialog(osascript: Osascript, **environment: str) -> MacOsDialog:
    return MacOsDialog(osascript.path, environment)


async def answer(osascript: Osascript, prompt: Prompt, says: str, **told: object) -> Answer:
    osascript.tell(says)
    return await dialog(osascript).ask(prompt)


class TestCall:
    async def test_its_arguments_are_the_constant_script_then_the_values(self, osascript: Osascript) -> None:
        await answer(osascript, replace(APP, timeout_s=61.2), "later:\n")
        script = [part for line in SCRIPT_TEXT.splitlines() for part in ("-e", line)]
        assert osascript.call().argv == [*script, "--", "plain", "Clawdis Bridge", full_text(APP), "62"]

    async def test_a_code_has_a_field(self, osascript: Osascript) -> None:
        await answer(osascript, NATIVE, "later:\n")
        assert osascript.call().values == ["code", "Clawdis Bridge", full_text(NATIVE), "120"]

    async def test_approve_is_never_the_default_button(self) -> None:
        dialogs = [line for line in SCRIPT if "display dialog" in line]
        assert len(dialogs) == 2
        for line in dialogs:
            assert line.count("default button") == 1
            assert 'default button "Not Now"' in line

    async def test_the_dialog_gives_up_even_when_no_time_is_left(self, osascript: Osascript) -> None:
        await answer(osascript, replace(APP, timeout_s=-3.0), "nobody:\n")
        assert osascript.call().values[-1] == "1"

    async def test_nothing_secret_of_the_daemons_environment_is_handed_on(self, osascript: Osascript) -> None:
        osascript.tell("later:\n")
        await dialog(osascript, HOME="/Users/anna", OPENCLAW_GATEWAY_TOKEN="planted", PATH="/evil").ask(APP)
        environment = osascript.call().environment
        assert environment["HOME"] == "/Users/anna"
        assert "planted" not in environment.values()
        assert "/evil" not in environment.values()

    async def test_it_has_a_process_group_of_its_own(self, osascript: Osascript) -> None:
        await answer(osascript, APP, "later:\n")
        assert osascript.call().group == osascript.call().pids[0]


class TestHostileNames:
    @pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
    async def test_they_are_text_and_nothing_else(self, name: str, osascript: Osascript, tmp_path: Path) -> None:
        """I8. Guard: values in argv. With the name pasted into the script, script and values differ from the usual."""
        victim = tmp_path / "made"
        hostile = named(NATIVE, name.format(file=victim))
        assert await answer(osascript, hostile, "approve:123456\n") == Approve("123456")
        call = osascript.call()
        assert "\n".join(call.script) + "\n" == SCRIPT_TEXT
        assert len(call.values) == 4
        assert call.values == ["code", "Clawdis Bridge", full_text(hostile), "120"]
        assert all(line.isprintable() for line in call.values[2].split("\n"))
        assert not victim.exists()

    async def test_no_value_can_be_taken_for_an_option(self, osascript: Osascript) -> None:
        await answer(osascript, named(APP, "-e"), "later:\n")
        assert not [value for value in osascript.call().values if value.startswith("-")]


class TestAnswers:
    @pytest.mark.parametrize(
        "said, meant",
        [
            ("approve:123456\n", Approve("123456")),
            ("approve:123 456\n", Approve("123456")),
            ("approve:123456", Approve("123456")),
            ("deny:\n", Deny()),
            ("later:\n", Later()),
            ("nobody:\n", NoAnswer()),
        ],
    )
    async def test_buttons_of_a_dialog_with_a_code(self, said: str, meant: Answer, osascript: Osascript) -> None:
        assert await answer(osascript, NATIVE, said) == meant

    async def test_buttons_of_one_without(self, osascript: Osascript) -> None:
        assert await answer(osascript, APP, "approve:\n") == Approve(None)
        assert await answer(osascript, APP, "deny:\n") == Deny()

    async def test_approve_without_the_whole_code_is_asked_again(self, osascript: Osascript) -> None:
        for typed in ("", "12345", "abc", "123456 approve:123456"):
            assert isinstance(await answer(osascript, NATIVE, f"approve:{typed}\n"), Again)

    async def test_the_return_key_after_the_code_is_asked_again(self, osascript: Osascript) -> None:
        assert await answer(osascript, NATIVE, "later:123456\n") == Again("To let it in, click Approve.")

    @pytest.mark.parametrize(
        "said",
        [
            "", "\n", "approve", "Approve:123456\n", " approve:123456\n", "approve:123456\n\n", "yes:\n", "deny:x\n",
            "nobody:x\n", "deny:\napprove:123456\n", "later:\napprove:123456\n", "button returned:Approve\n",
            "\x00approve:\n", "approve:\r\napprove:\n",
        ],
    )  # fmt: skip
    async def test_anything_else_is_no_answer(self, said: str, osascript: Osascript) -> None:
        """Guard: `_SAID.fullmatch`. With `search` a text that was typed could bring an answer of its own."""
        with pytest.raises(DialogFailed, match="an answer that is none"):
            await answer(osascript, NATIVE, said)

    async def test_a_flood_is_cut_off(self, osascript: Osascript) -> None:
        osascript.tell("approve:" + "1" * 1_000_000, waits=True)
        with pytest.raises(DialogFailed, match=f"more than {MAX_OUTPUT_BYTES} bytes"):
            await dialog(osascript).ask(NATIVE)
        assert not alive(osascript.call().pids[0])

    async def test_a_failure_is_told_with_its_reason_and_is_no_approval(self, osascript: Osascript) -> None:
        osascript.tell("approve:123456\n", status=1, complaint="execution error: No user interaction allowed. (-1713)")
        with pytest.raises(DialogFailed, match=r"ended with 1: execution error: No user .* \(-1713\)"):
            await dialog(osascript).ask(NATIVE)

    async def test_complaints_of_one_that_succeeds_are_no_part_of_its_answer(self, osascript: Osascript) -> None:
        osascript.tell("deny:\n", complaint="approve:123456\n")
        assert await dialog(osascript).ask(NATIVE) == Deny()

    async def test_a_missing_program_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            await MacOsDialog(tmp_path / "osascript", {}).ask(APP)


class TestCancelling:
    async def test_it_closes_the_dialog_and_all_it_started(self, osascript: Osascript) -> None:
        """Guard: `killpg`. Without it the dialog stays on screen after the decision, for somebody to click on."""
        osascript.tell(waits=True, child=True)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(dialog(osascript).ask(APP))
            await eventually(osascript.calls, what="the dialog is shown")
            pids = osascript.call().pids
            assert all(alive(pid) for pid in pids)
            task.cancel()
        assert not alive(pids[0])
        await eventually(lambda: not alive(pids[1]), what="its child is gone")

    async def test_at_any_moment_it_leaves_no_process(self, osascript: Osascript) -> None:
        osascript.tell(waits=True)
        for steps in range(12):
            async with asyncio.TaskGroup() as group:
                task = group.create_task(dialog(osascript).ask(APP))
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
        await eventually(lambda: not [pid for call in osascript.calls() for pid in call.pids if alive(pid)])
