"""A prompter, a person that the test answers for, and a note of what was decided."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from bridge.log import make_log
from bridge.pairing.approvers.approver import Approve, Deny, Prompt
from bridge.pairing.prompt_rules import PromptRules
from bridge.pairing.prompter import Outcome, Prompter, Settled
from bridge.tasks import Tasks
from tests.bridge.pairing.approvers.people import Person
from tests.bridge.pairing.approvers.prompts import NATIVE
from tests.support.waiting import eventually

LONG_S = 30.0
CODE = Approve("123456")


@dataclass(eq=False)
class Office:
    """A prompter, the person that it asks, and what was decided."""

    timeout_s: float = LONG_S
    pause_s: float = 0.0
    decide_s: float = LONG_S
    outcomes: list[Outcome | Exception] = field(default_factory=list)
    decided: list[tuple[str, Approve | Deny]] = field(default_factory=list)
    person: Person = field(default_factory=lambda: Person("person"))
    log: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        log = make_log("debug", "json", self.log)
        rules = PromptRules(self.timeout_s, self.pause_s)
        self.prompter = Prompter(self.person, self._decide, rules, log, decide_s=self.decide_s)
        self.during: Callable[[], Awaitable[None]] | None = None

    async def _decide(self, request_id: str, answer: Approve | Deny) -> Outcome:
        self.decided.append((request_id, answer))
        if self.during is not None:
            await self.during()
        outcome = self.outcomes.pop(0) if self.outcomes else Settled()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run the prompter for a block."""
        async with Tasks(make_log("debug", "json", self.log)) as tasks:
            tasks.spawn("prompter", self.prompter.run())
            yield
        assert "task-failed" not in self.log.getvalue(), self.log.getvalue()

    async def asked(self, times: int) -> Prompt:
        """Wait until so many questions were asked in all, and return the last."""
        await eventually(lambda: len(self.person.asked) >= times, step_s=0.001, what=f"{times} questions")
        assert len(self.person.asked) == times
        return self.person.asked[-1]

    async def closed(self) -> None:
        """Wait until no question is out."""
        await eventually(lambda: not self.person.open, step_s=0.001, what="no question is out")

    async def settle(self) -> None:
        """Let everything happen that is going to happen at once."""
        for _ in range(30):
            await asyncio.sleep(0)

    def events(self) -> list[str]:
        """Return what was logged, by name."""
        return [json.loads(line)["event"] for line in self.log.getvalue().splitlines()]


def request(name: str, of: Prompt = NATIVE) -> Prompt:
    return replace(of, id=name)
