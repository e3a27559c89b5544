"""The prompter with a person that the test answers for: what is asked, what is carried out, and what is left alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bridge.pairing.approvers.approver import Again, Approve, Deny, Later, NoAnswer, Prompt
from bridge.pairing.desk import Why
from bridge.pairing.prompt_rules import Ending
from bridge.pairing.prompter import NotDone, WrongCode
from tests.bridge.pairing.approvers.prompts import APP, NATIVE
from tests.bridge.pairing.offices import CODE, LONG_S, Office, request
from tests.support.waiting import eventually


class TestAnswers:
    @pytest.mark.parametrize("prompt, answer", [(NATIVE, CODE), (APP, Approve(None)), (NATIVE, Deny()), (APP, Deny())])
    async def test_an_answer_is_carried_out_once(self, prompt: Prompt, answer: Approve | Deny) -> None:
        office = Office()
        async with office.open():
            office.prompter.offer(prompt)
            shown = await office.asked(1)
            assert replace(shown, timeout_s=prompt.timeout_s) == prompt
            assert LONG_S - 1.0 < shown.timeout_s <= LONG_S
            office.person.say(answer)
            await eventually(lambda: office.decided)
            await office.settle()
        assert office.decided == [("r1", answer)]
        assert len(office.person.asked) == 1

    async def test_a_wrong_code_is_asked_again_and_says_how_often_it_may_be_wrong(self) -> None:
        office = Office(outcomes=[WrongCode(2), WrongCode(1)])
        async with office.open():
            office.prompter.offer(NATIVE)
            for times, notice in enumerate(
                ["", "That code is wrong; 2 tries are left.", "That code is wrong; 1 try is left."], start=1
            ):
                assert (await office.asked(times)).notice == notice
                office.person.say(CODE)
            await eventually(lambda: len(office.decided) == 3)
        assert len(office.person.asked) == 3

    async def test_no_more_time_is_given_for_the_next_try(self) -> None:
        office = Office(outcomes=[WrongCode(2)])
        async with office.open():
            office.prompter.offer(NATIVE)
            first = await office.asked(1)
            office.person.say(CODE)
            assert (await office.asked(2)).timeout_s < first.timeout_s

    async def test_an_answer_that_cannot_be_taken_costs_no_try(self) -> None:
        office = Office()
        async with office.open():
            office.prompter.offer(NATIVE)
            await office.asked(1)
            office.person.say(Again("The code has 6 digits."))
            assert (await office.asked(2)).notice == "The code has 6 digits."
            assert office.decided == []

    async def test_a_device_with_a_code_is_never_approved_without_it(self) -> None:
        """Guard: `Approve(code=None)`. Without it an approver that forgot the field lets a man in the middle in."""
        office = Office()
        async with office.open():
            office.prompter.offer(NATIVE)
            await office.asked(1)
            office.person.say(Approve(None))
            assert "has to be typed" in (await office.asked(2)).notice
            assert office.decided == []

    @pytest.mark.parametrize("answer", [Later(), NoAnswer(), OSError("no display")])
    async def test_without_an_answer_nothing_is_decided_and_nothing_is_shown_again(
        self, answer: Later | NoAnswer | OSError
    ) -> None:
        """The approver that raises has a guard of its own: asked over and over it would be a busy loop."""
        office = Office()
        async with office.open():
            office.prompter.offer(NATIVE)
            await office.asked(1)
            office.person.say(answer)
            await office.closed()
            office.prompter.offer(NATIVE)
            await office.settle()
            assert len(office.person.asked) == 1
            office.prompter.offer(request("r2"))
            await office.asked(2)
        assert office.decided == []

    async def test_what_cannot_be_done_is_told_and_asked_again(self) -> None:
        office = Office(outcomes=[NotDone("The disk is full."), ZeroDivisionError("a bug")])
        async with office.open():
            office.prompter.offer(APP)
            await office.asked(1)
            office.person.say(Approve(None))
            assert (await office.asked(2)).notice == "The disk is full."
            office.person.say(Approve(None))
            assert (await office.asked(3)).notice == "The bridge failed to do this; the reason is in its log."
            assert "a bug" in office.log.getvalue()

    async def test_a_decision_that_hangs_is_given_up(self) -> None:
        office = Office(decide_s=0.02)
        office.during = asyncio.Event().wait  # type: ignore[assignment]  # it waits for ever; what for is no matter
        async with office.open():
            office.prompter.offer(APP)
            await office.asked(1)
            office.person.say(Deny())
            assert (await office.asked(2)).notice == "The bridge did not finish this in time."


class TestClosing:
    async def test_a_prompt_that_nobody_answers_closes_and_the_request_is_not_shown_again(self) -> None:
        office = Office(timeout_s=0.05)
        async with office.open():
            office.prompter.offer(NATIVE)
            await office.asked(1)
            await office.closed()
            office.prompter.offer(NATIVE, invited=True)
            await office.settle()
        assert office.person.closed == 1
        assert len(office.person.asked) == 1
        assert office.decided == []

    @pytest.mark.parametrize("how", Ending)
    async def test_a_request_that_was_decided_elsewhere_closes_its_prompt_and_the_next_one_comes(
        self, how: Ending
    ) -> None:
        office = Office()
        async with office.open():
            office.prompter.offer(NATIVE)
            office.prompter.offer(request("r2"))
            await office.asked(1)
            office.prompter.end("r1", how)
            assert (await office.asked(2)).id == "r2"
            assert (office.person.open, office.person.closed) == (1, 1)
        assert office.decided == []

    async def test_a_queued_request_that_has_ended_is_never_shown(self) -> None:
        office = Office()
        async with office.open():
            for name in ("r1", "r2", "r3"):
                office.prompter.offer(request(name))
            await office.asked(1)
            office.prompter.end("r2", Ending.WITHDRAWN)
            office.prompter.end("r1", Ending.APPROVED)
            assert (await office.asked(2)).id == "r3"

    async def test_a_request_may_end_at_any_moment(self) -> None:
        """Guards: the question is made with the task, and `_wanted` is looked at before an answer is carried out."""
        for steps in range(16):
            office = Office()
            office.person.say(Deny())
            async with office.open():
                office.prompter.offer(NATIVE)
                for _ in range(steps):
                    await asyncio.sleep(0)
                decided = list(office.decided)
                office.prompter.end("r1", Ending.APPROVED)
                await office.settle()
                assert office.decided == decided

    async def test_what_is_being_carried_out_is_not_interrupted_by_its_own_end(self) -> None:
        """Guard: `deciding`. Without it an approval cancels itself half-way, as its own news closes the prompt."""
        office = Office()
        finished = asyncio.Event()

        async def approve() -> None:
            office.prompter.end("r1", Ending.APPROVED)
            await office.settle()
            finished.set()

        office.during = approve
        async with office.open():
            office.prompter.offer(NATIVE)
            office.prompter.offer(request("r2"))
            await office.asked(1)
            office.person.say(CODE)
            await asyncio.wait_for(finished.wait(), 5.0)
            office.during = None
            assert (await office.asked(2)).id == "r2"

    async def test_nor_does_it_time_out(self) -> None:
        office = Office(timeout_s=0.05)
        go = asyncio.Event()

        async def slow() -> None:
            await go.wait()

        office.during = slow
        async with office.open():
            office.prompter.offer(APP)
            await office.asked(1)
            office.person.say(Approve(None))
            await eventually(lambda: office.decided)
            deadline = asyncio.get_running_loop().time() + 0.1
            await eventually(lambda: asyncio.get_running_loop().time() > deadline)
            go.set()
            await office.settle()
        assert "prompt-put-off" not in office.events()

    async def test_the_end_of_the_daemon_takes_the_question_away(self) -> None:
        office = Office()
        async with office.open():
            office.prompter.offer(NATIVE)
            await office.asked(1)
        assert (office.person.open, office.person.closed) == (0, 1)

    async def test_what_is_offered_before_the_start_is_shown_then(self) -> None:
        office = Office()
        office.prompter.offer(NATIVE)
        office.prompter.end("unknown", Ending.DENIED)
        async with office.open():
            await office.asked(1)


class TestOthers:
    async def test_the_person_is_told_once_that_another_device_is_trying(self) -> None:
        office = Office()
        async with office.open():
            office.prompter.offer(NATIVE)
            assert (await office.asked(1)).others_waiting == 0
            office.prompter.offer(request("r2"))
            again = await office.asked(2)
            assert (again.id, again.others_waiting, office.person.open) == ("r1", 1, 1)
            office.prompter.offer(request("r3"))
            await office.settle()
            assert len(office.person.asked) == 2

    async def test_a_paired_node_that_wants_more_is_not_another_device(self) -> None:
        office = Office()
        async with office.open():
            office.prompter.offer(NATIVE)
            office.prompter.offer(replace(request("r2", APP), why=Why.WIDER))
            await office.asked(1)
            await office.settle()
            assert len(office.person.asked) == 1

    async def test_an_invited_device_comes_first(self) -> None:
        office = Office()
        async with office.open():
            for name in ("r1", "r2", "r3"):
                office.prompter.offer(request(name))
            await office.asked(1)
            office.prompter.offer(request("guest"), invited=True)
            office.prompter.end("r1", Ending.APPROVED)
            assert (await office.asked(2)).id == "guest"
