"""The prompter under harassment, and in a storm of everything at once."""

from __future__ import annotations

import asyncio
import random

from bridge.pairing.approvers.approver import Again, Answer, Approve, Deny, Later
from bridge.pairing.prompt_rules import Ending
from bridge.pairing.prompter import NotDone, Outcome, Settled, WrongCode
from tests.bridge.pairing.approvers.prompts import APP, NATIVE
from tests.bridge.pairing.offices import CODE, Office, request
from tests.support.scale import seed
from tests.support.waiting import eventually

OUTCOMES: list[Outcome] = [Settled(), WrongCode(1), NotDone("No.")]
ANSWERS: list[Answer] = [CODE, Approve(None), Deny(), Later(), Again("Again.")]


class TestHarassment:
    async def test_prompts_without_a_code_stop_and_the_log_says_once_what_to_do(self) -> None:
        office = Office()
        async with office.open():
            for number in range(1, 4):
                office.prompter.offer(request(f"r{number}", APP))
                await office.asked(number)
                office.person.say(Deny())
                await eventually(lambda: len(office.decided) == number, step_s=0.001)  # noqa: B023 - awaited here
                await office.settle()
            office.prompter.offer(request("r4", APP))
            office.prompter.offer(request("r5", APP))
            await office.settle()
            assert len(office.person.asked) == 3
            assert office.events().count("prompts-stopped") == 1
            assert "clawdis-bridge pair" in office.log.getvalue()
            office.prompter.open_window()
            assert (await office.asked(4)).id == "r4"


async def test_whatever_happens_one_question_is_out_at_most() -> None:
    """A seeded storm of requests, ends and answers."""
    chance = random.Random(seed())  # noqa: S311 - a test's dice
    office = Office(timeout_s=0.02)
    async with office.open():
        for step in range(400):
            name = f"r{chance.randrange(12)}"
            match chance.randrange(5):
                case 0 | 1:
                    office.prompter.offer(request(name, chance.choice([APP, NATIVE])), invited=chance.random() < 0.3)
                case 2:
                    office.prompter.end(name, chance.choice(list(Ending)))
                case 3 if office.person.open:
                    office.outcomes = [chance.choice(OUTCOMES)]
                    office.person.say(chance.choice(ANSWERS))
                case _:
                    office.prompter.open_window()
            await asyncio.sleep(0.001 if step % 10 == 0 else 0)
            assert office.person.open <= 1
    assert len(office.person.asked) > 10
