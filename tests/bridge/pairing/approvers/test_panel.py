"""Everybody is asked, the first answer counts, and whatever fails has no say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bridge.log import silent_log
from bridge.pairing.approvers.approver import Again, Answer, Approve, Deny, Later, NoAnswer, Prompt
from bridge.pairing.approvers.panel import Panel
from tests.bridge.pairing.approvers.people import Person
from tests.bridge.pairing.approvers.prompts import APP, NATIVE
from tests.support.waiting import eventually


async def answered(panel: Panel, prompt: Prompt, act: Callable[[], None]) -> Answer:
    """Ask, act when everybody has been asked, and return the answer."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(panel.ask(prompt))
        await asyncio.sleep(0.01)
        act()
        return await task


@pytest.mark.parametrize("answer", [Approve("123456"), Deny(), Later(), Again("Once more.")])
async def test_the_first_answer_counts_and_the_others_have_gone_when_it_comes(answer: Answer) -> None:
    """Guard: leaving `Tasks`. Without it a dialog stays on screen after the terminal has answered."""
    first, second = Person("first"), Person("second")
    said = await answered(Panel([first, second], silent_log()), NATIVE, lambda: second.say(answer))
    assert said == answer
    assert (first.asked, second.asked) == ([NATIVE], [NATIVE])
    assert (first.closed, second.closed) == (1, 0)


async def test_one_that_fails_is_out_and_the_others_decide() -> None:
    """Guard: `except Exception` in `_ask_one`."""
    broken, other = Person("broken"), Person("other")

    def act() -> None:
        broken.say(OSError("no display"))
        other.say(Deny())

    assert await answered(Panel([broken, other], silent_log()), APP, act) == Deny()


async def test_nobody_home_is_not_the_answer_of_the_others() -> None:
    absent, other = Person("absent"), Person("other")

    def act() -> None:
        absent.say(NoAnswer())
        other.say(Approve(None))

    assert await answered(Panel([absent, other], silent_log()), APP, act) == Approve(None)


async def test_when_all_fail_there_is_no_answer() -> None:
    people = [Person("one"), Person("two")]
    people[0].say(ValueError("broken"))
    people[1].say(NoAnswer())
    assert await Panel(people, silent_log()).ask(APP) == NoAnswer()
    assert await Panel([], silent_log()).ask(APP) == NoAnswer()


async def test_cancelling_takes_all_questions_away() -> None:
    people = [Person("one"), Person("two")]
    async with asyncio.TaskGroup() as group:
        task = group.create_task(Panel(people, silent_log()).ask(APP))
        await eventually(lambda: all(person.asked for person in people))
        task.cancel()
    assert [person.closed for person in people] == [1, 1]


async def test_two_at_once_are_one_answer() -> None:
    people = [Person("one"), Person("two")]

    def act() -> None:
        people[0].say(Deny())
        people[1].say(Approve("123456"))

    assert await answered(Panel(people, silent_log()), NATIVE, act) == Deny()


def test_it_tells_who_is_asked() -> None:
    assert Panel([Person("macos"), Person("terminal")], silent_log()).names == ("macos", "terminal")
