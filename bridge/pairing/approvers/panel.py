"""Asks everybody at once; the first answer counts, and the others' questions go away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bridge.log import Log
from bridge.pairing.approvers.approver import Answer, Approver, NoAnswer, Prompt
from bridge.tasks import Tasks


class Panel:
    """Several approvers as one.

    Args:
        approvers: who is asked; none is allowed, and then nobody ever answers.
        log: where an approver that fails is noted.
    """

    name = "panel"

    def __init__(self, approvers: Sequence[Approver], log: Log) -> None:
        self._approvers = tuple(approvers)
        self._log = log

    @property
    def names(self) -> tuple[str, ...]:
        """Who is asked."""
        return tuple(approver.name for approver in self._approvers)

    async def ask(self, prompt: Prompt) -> Answer:
        """Asks all; returns when one has answered and the others have gone, or when nobody can answer any more."""
        answers: asyncio.Queue[Answer] = asyncio.Queue()
        async with Tasks(self._log) as tasks:
            for approver in self._approvers:
                tasks.spawn(f"ask-{approver.name}", self._ask_one(approver, prompt, answers))
            for _ in self._approvers:
                answer = await answers.get()
                if not isinstance(answer, NoAnswer):
                    return answer
        return NoAnswer()

    async def _ask_one(self, approver: Approver, prompt: Prompt, answers: asyncio.Queue[Answer]) -> None:
        try:
            answer = await approver.ask(prompt)
        except Exception as exc:  # whatever goes wrong with one of them, it is no answer
            self._log.warning("approver-failed", approver=approver.name, request=prompt.id, error=str(exc))
            answer = NoAnswer()
        answers.put_nowait(answer)
