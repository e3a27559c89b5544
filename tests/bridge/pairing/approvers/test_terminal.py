"""The prompt on a terminal, on a real pseudo-terminal: what it shows, what it reads, and what it leaves behind."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import termios
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.pairing.approvers.approver import Again, Answer, Approve, Deny, Later, NoAnswer, Prompt
from bridge.pairing.approvers.terminal import TerminalFailed, TerminalPrompt
from bridge.pairing.approvers.wording import in_words
from tests.bridge.pairing.approvers.prompts import APP, NAMES, NATIVE, PIN, named
from tests.bridge.pairing.approvers.terminals import Terminal
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[4]


class TestAnswers:
    @pytest.mark.parametrize(
        "typed, meant",
        [
            ("123456\n", Approve("123456")),
            ("123 456\n", Approve("123456")),
            ("  123456  \n", Approve("123456")),
            ("d\n", Deny()),
            ("deny\n", Deny()),
            ("No\n", Deny()),
            ("\n", Later()),
            ("   \n", Later()),
            ("\x04", NoAnswer()),
        ],
    )
    async def test_a_prompt_with_a_code(self, typed: str, meant: Answer, terminal: Terminal) -> None:
        assert await terminal.answer(NATIVE, typed) == meant

    @pytest.mark.parametrize(
        "typed", ["yes\n", "y\n", "12345\n", "x\n", "\x1b[A\n", "123456 123456\n", "1" * 2000 + "\n"]
    )
    async def test_what_is_no_code_is_asked_again(self, typed: str, terminal: Terminal) -> None:
        assert isinstance(await terminal.answer(NATIVE, typed), Again)

    @pytest.mark.parametrize(
        "typed, meant",
        [("yes\n", Approve(None)), (" YES \n", Approve(None)), ("no\n", Deny()), ("n\n", Deny()), ("\n", Later())],
    )
    async def test_a_prompt_without(self, typed: str, meant: Answer, terminal: Terminal) -> None:
        assert await terminal.answer(APP, typed) == meant

    @pytest.mark.parametrize("typed", ["y\n", "ye\n", "yes please\n", "123456\n", "ok\n", "approve\n"])
    async def test_only_the_whole_word_approves(self, typed: str, terminal: Terminal) -> None:
        assert isinstance(await terminal.answer(APP, typed), Again)

    async def test_a_line_may_be_corrected_before_it_is_sent(self, terminal: Terminal) -> None:
        assert await terminal.answer(NATIVE, "123457\x7f6\n") == Approve("123456")

    async def test_it_waits_for_the_end_of_the_line(self, terminal: Terminal) -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(terminal.approver.ask(NATIVE))
            await terminal.until_asked()
            terminal.type("123")
            await eventually(lambda: terminal.shown.endswith("123"))
            terminal.type("456")
            await eventually(lambda: terminal.shown.endswith("123456"))
            assert not task.done()
            terminal.type("\n")
            assert await task == Approve("123456")


class TestTypedBefore:
    async def test_what_was_typed_before_the_question_is_no_answer(self, terminal: Terminal) -> None:
        """Guard: `tcflush` before asking. Without it an impatient `yes` approves whatever comes."""
        terminal.type("yes\n")
        await eventually(lambda: "yes" in terminal.shown)
        assert await terminal.answer(APP, "no\n") == Deny()

    async def test_half_an_answer_is_none_for_the_next_question(self, terminal: Terminal) -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(terminal.approver.ask(APP))
            await terminal.until_asked()
            terminal.type("y")
            await eventually(lambda: terminal.shown.endswith("y"))
            task.cancel()
        async with asyncio.TaskGroup() as group:
            again = group.create_task(terminal.approver.ask(APP))
            await terminal.until_asked(2)
            terminal.type("es\n")
            assert isinstance(await again, Again)


class TestScreen:
    async def test_the_whole_question(self, terminal: Terminal) -> None:
        await terminal.answer(APP, "\n")
        lines = terminal.shown.replace("\r\n", "\n").split("\n")
        assert lines[1:4] == ["--- Clawdis Bridge ---", "A device asks to be let in.", ""]
        assert lines[4] == "Name: Anna's iPhone"
        assert PIN in lines
        assert lines[-2] == "Type yes to approve, no to deny, or press Return to leave it: "

    @pytest.mark.parametrize(
        "columns, first, second",
        [
            (0, "  - your agent may take pictures and videos with it, turn its camera, and record", "    its screen"),
            (40, "  - your agent may take pictures and", "    videos with it, turn its camera, and"),
        ],
    )
    async def test_what_it_would_grant_is_broken_between_words(
        self, columns: int, first: str, second: str, terminal: Terminal
    ) -> None:
        termios.tcsetwinsize(terminal.ours, (24, columns))
        await terminal.answer(replace(APP, permissions=in_words(["camera"])), "\n")
        assert f"{first}\n{second}\n" in terminal.shown.replace("\r\n", "\n")

    @pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
    async def test_hostile_names_are_seen_and_not_obeyed(self, name: str, terminal: Terminal, tmp_path: Path) -> None:
        """I6 and I7: no byte below space but the line's end, no DEL, no C1, and no line that is not ours."""
        await terminal.answer(named(APP, name.format(file=tmp_path / "made")), "\n")
        shown = terminal.shown
        assert not [each for each in shown.replace("\r\n", "") if ord(each) < 0x20 or 0x7F <= ord(each) <= 0x9F]
        usual = Terminal()
        await usual.answer(APP, "\n")
        assert shown.count("\n") == usual.shown.count("\n")
        usual.close()
        assert not (tmp_path / "made").exists()

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
    async def test_a_terminal_that_lacks_the_letters_is_asked_all_the_same(self, encoding: str) -> None:
        terminal = Terminal(encoding)
        assert await terminal.answer(named(NATIVE, "\u6771\u4eac"), "123456\n") == Approve("123456")
        assert ("\u6771" in terminal.shown) == (encoding == "utf-8")
        terminal.close()

    async def test_a_question_that_was_answered_elsewhere_is_closed_in_words(self, terminal: Terminal) -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(terminal.approver.ask(APP))
            await terminal.until_asked()
            task.cancel()
        assert "(This question is closed.)" in terminal.shown

    async def test_marks_cannot_climb_into_other_lines(self, terminal: Terminal) -> None:
        """Guard: `terminal_safe`. The notice is the bridge's own, and may quote what others said."""
        await terminal.answer(replace(APP, notice="Z" + "\u0321" * 20), "\n")
        assert "\u0321" * 5 not in terminal.shown

    async def test_nothing_is_read_after_it(self, terminal: Terminal) -> None:
        await terminal.answer(APP, "no\n")
        assert not asyncio.get_running_loop().remove_reader(terminal.theirs)
        terminal.type("for somebody else\n")
        await eventually(lambda: "for somebody else" in terminal.shown)
        assert os.read(terminal.theirs, 100) == b"for somebody else\n"


class TestNoTerminal:
    async def test_a_pipe_is_not_asked(self) -> None:
        read, write = os.pipe()
        with pytest.raises(termios.error):
            await TerminalPrompt(read, io.StringIO()).ask(APP)
        os.close(read)
        os.close(write)

    async def test_one_that_is_gone_has_no_answer(self, terminal: Terminal) -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_failure(terminal.approver, APP))
            await terminal.until_asked()
            terminal.hang_up()
            assert await task in ("OSError", "NoAnswer")


async def _failure(approver: TerminalPrompt, prompt: Prompt) -> str:
    """Return what came out of asking: the name of the exception or of the answer."""
    try:
        return type(await approver.ask(prompt)).__name__
    except (OSError, TerminalFailed) as exc:
        return type(exc).__name__


DAEMON = """
import asyncio, fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from bridge.pairing.approvers.terminal import TerminalPrompt
from tests.bridge.pairing.approvers.prompts import APP
class Screen:
    encoding = "utf-8"
    write = sys.stdout.write
    def flush(self):
        sys.stdout.flush()
        if sys.argv[1] == "sent back":
            os.setpgid(0, 0)
if os.fork() == 0:
    if sys.argv[1] == "background":
        os.setpgid(0, 0)
    try:
        answer = asyncio.run(TerminalPrompt(0, Screen()).ask(APP))
    except Exception as exc:
        answer = exc
    os.write(2, repr(answer).encode())
    os._exit(0)
_, status = os.waitpid(-1, os.WUNTRACED)
os.write(2, b" stopped" if os.WIFSTOPPED(status) else b" ended")
"""


async def as_daemon(where: str, terminal: Terminal, typed: str) -> str:
    """Ask in a process whose controlling terminal this is, in its foreground or background; return what came of it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DAEMON, where, stdin=terminal.theirs, stdout=terminal.theirs, stderr=subprocess.PIPE,
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True,
    )  # fmt: skip
    if typed:
        await terminal.until_asked()
        terminal.type(typed)
    _, said = await process.communicate()
    return said.decode()


async def test_in_the_foreground_of_its_terminal_it_asks(terminal: Terminal) -> None:
    assert await as_daemon("foreground", terminal, "no\n") == "Deny() ended"


async def test_in_the_background_it_fails_instead_of_stopping_the_daemon(terminal: Terminal) -> None:
    """Guard: `_require_foreground`. Without it the kernel stops the whole process (SIGTTIN)."""
    said = await as_daemon("background", terminal, "")
    assert said == "TerminalFailed('the bridge is not in the foreground of its terminal') ended"


async def test_sent_to_the_background_while_it_asks_it_fails_instead_of_stopping_the_daemon(terminal: Terminal) -> None:
    """Guard: `_require_foreground` before reading, as `bg` after Ctrl-Z does. Without it the process is stopped."""
    said = await as_daemon("sent back", terminal, "no\n")
    assert said == "TerminalFailed('the bridge is not in the foreground of its terminal') ended"
