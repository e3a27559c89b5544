"""The dialog, the terminal and the prompter together: one answers, and the other's question is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bridge.log import silent_log
from bridge.pairing.approvers.approver import Approve, Deny
from bridge.pairing.approvers.macos import MacOsDialog
from bridge.pairing.approvers.panel import Panel
from bridge.pairing.prompt_rules import Ending, PromptRules
from bridge.pairing.prompter import Outcome, Prompter, Settled, WrongCode
from bridge.tasks import Tasks
from tests.bridge.pairing.approvers.prompts import APP, NATIVE
from tests.bridge.pairing.approvers.terminals import Terminal
from tests.doubles.osascript import Osascript, alive
from tests.support.waiting import eventually

CLOSED = "(This question is closed.)"


class Desk:
    """Carries decisions out: only one code is right."""

    def __init__(self) -> None:
        self.decided: list[tuple[str, Approve | Deny]] = []

    async def decide(self, request_id: str, answer: Approve | Deny) -> Outcome:
        """Note the answer."""
        self.decided.append((request_id, answer))
        return WrongCode(2) if answer == Approve("000000") else Settled()

    @asynccontextmanager
    async def asking(self, osascript: Osascript, terminal: Terminal) -> AsyncIterator[Prompter]:
        """Ask both for a block."""
        panel = Panel([MacOsDialog(osascript.path, {}), terminal.approver], silent_log())
        prompter = Prompter(panel, self.decide, PromptRules(), silent_log())
        async with Tasks(silent_log()) as tasks:
            tasks.spawn("prompter", prompter.run())
            yield prompter


async def both_asked(osascript: Osascript, terminal: Terminal, times: int = 1) -> None:
    """Wait until both ask."""
    await terminal.until_asked(times)
    await eventually(lambda: len(osascript.calls()) == times, step_s=0.005, what="the dialog is shown")


async def test_the_terminal_answers_and_the_dialog_goes(osascript: Osascript, terminal: Terminal) -> None:
    desk = Desk()
    osascript.tell(waits=True)
    async with desk.asking(osascript, terminal) as prompter:
        prompter.offer(NATIVE)
        await both_asked(osascript, terminal)
        terminal.type("123 456\n")
        await eventually(lambda: desk.decided)
        assert not alive(osascript.call().pids[0])
    assert desk.decided == [("r1", Approve("123456"))]


async def test_the_dialog_answers_and_the_terminal_is_told(osascript: Osascript, terminal: Terminal) -> None:
    desk = Desk()
    osascript.tell("approve:\n")
    async with desk.asking(osascript, terminal) as prompter:
        prompter.offer(APP)
        await eventually(lambda: CLOSED in terminal.shown)
        await eventually(lambda: desk.decided)
    assert desk.decided == [("r1", Approve(None))]


async def test_a_wrong_code_is_asked_again_in_both_places(osascript: Osascript, terminal: Terminal) -> None:
    desk = Desk()
    osascript.tell(waits=True)
    async with desk.asking(osascript, terminal) as prompter:
        prompter.offer(NATIVE)
        await both_asked(osascript, terminal)
        terminal.type("000000\n")
        await both_asked(osascript, terminal, 2)
        notice = "That code is wrong; 2 tries are left."
        assert notice in terminal.shown
        assert osascript.calls()[1].values[2].startswith(notice)
        terminal.type("123456\n")
        await eventually(lambda: len(desk.decided) == 2)
    assert desk.decided[1] == ("r1", Approve("123456"))


async def test_decided_elsewhere_closes_both(osascript: Osascript, terminal: Terminal) -> None:
    desk = Desk()
    osascript.tell(waits=True)
    async with desk.asking(osascript, terminal) as prompter:
        prompter.offer(APP)
        await both_asked(osascript, terminal)
        prompter.end("r1", Ending.APPROVED)
        await eventually(lambda: CLOSED in terminal.shown)
        await eventually(lambda: not alive(osascript.call().pids[0]))
    assert desk.decided == []


async def test_a_dialog_that_cannot_be_shown_leaves_the_terminal(osascript: Osascript, terminal: Terminal) -> None:
    desk = Desk()
    osascript.tell(status=1, complaint="execution error: No user interaction allowed. (-1713)")
    async with desk.asking(osascript, terminal) as prompter:
        prompter.offer(APP)
        await both_asked(osascript, terminal)
        terminal.type("no\n")
        await eventually(lambda: desk.decided)
    assert desk.decided == [("r1", Deny())]
