"""An approver that the test answers for."""

from __future__ import annotations

import asyncio

from bridge.pairing.approvers.approver import Answer, Prompt


class Person:
    """An approver that answers when the test says so, and remembers how its questions ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[Prompt] = []
        self.closed = 0
        self.open = 0
        self._answers: asyncio.Queue[Answer | Exception] = asyncio.Queue()

    def say(self, answer: Answer | Exception) -> None:
        """Answer the question that is out, or the next one."""
        self._answers.put_nowait(answer)

    async def ask(self, prompt: Prompt) -> Answer:
        """Wait for the test."""
        self.asked.append(prompt)
        self.open += 1
        try:
            answer = await self._answers.get()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # taking a question away takes a moment
            self.closed += 1
            raise
        finally:
            self.open -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer
