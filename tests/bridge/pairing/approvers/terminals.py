"""A pseudo-terminal with a person at it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import pty

from bridge.pairing.approvers.approver import Answer, Prompt
from bridge.pairing.approvers.terminal import TerminalPrompt
from tests.support.waiting import eventually

ASKED = "to leave it: "


class Terminal:
    """A terminal with a person at it."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.ours, self.theirs = pty.openpty()
        os.set_blocking(self.ours, False)
        self.out = io.TextIOWrapper(io.FileIO(os.dup(self.theirs), "w"), encoding=encoding)
        self.approver = TerminalPrompt(self.theirs, self.out)
        self.seen = b""

    def type(self, text: str) -> None:
        """Type."""
        os.write(self.ours, text.encode())

    @property
    def shown(self) -> str:
        """Everything on the screen so far, what was typed included."""
        while True:
            try:
                piece = os.read(self.ours, 65536)
            except OSError:  # nothing more now
                return self.seen.decode()
            self.seen += piece

    async def answer(self, prompt: Prompt, typed: str) -> Answer:
        """Ask, and type when the question is on the screen."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.approver.ask(prompt))
            await self.until_asked()
            self.type(typed)
            return await task

    async def until_asked(self, times: int = 1) -> None:
        """Wait for the question."""
        await eventually(lambda: self.shown.count(ASKED) >= times, step_s=0.002, what="the question is asked")

    def hang_up(self) -> None:
        """Close the window that the terminal is in."""
        os.close(self.ours)
        self.ours = -1

    def close(self) -> None:
        """Let go of it."""
        with contextlib.suppress(OSError):
            self.out.close()
        for descriptor in {self.ours, self.theirs} - {-1}:
            os.close(descriptor)
