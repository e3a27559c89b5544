"""Shows pairing requests to a person, one at a time, and has the answers carried out.

The rules are those of `prompt_rules`; this shell brings them time, the approvers, and whoever carries decisions out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from bridge import clock
from bridge.log import Log
from bridge.pairing.approvers.approver import Again, Answer, Approve, Approver, Deny, Later, NoAnswer, Prompt
from bridge.pairing.desk import Why
from bridge.pairing.prompt_rules import Candidate, Close, Command, Ending, PromptRules, Show
from bridge.tasks import Tasks

DECIDE_S = 60.0  # seconds for a decision to be carried out; an approval writes files and makes a key
CLOSE_S = 5.0  # seconds for a question to be taken away
_NO_CODE = "This device shows a code; it has to be typed."
_NOT_IN_TIME = "The bridge did not finish this in time."
_FAILED = "The bridge failed to do this; the reason is in its log."


@dataclass(frozen=True, slots=True)
class Settled:
    """The request is decided, by this answer or by somebody else's."""


@dataclass(frozen=True, slots=True)
class WrongCode:
    """The code was wrong, and the request is still pending.

    Attributes:
        tries_left: how many more codes may be tried, at least one.
    """

    tries_left: int


@dataclass(frozen=True, slots=True)
class NotDone:
    """The answer could not be carried out, and the request is still pending.

    Attributes:
        why: a whole sentence for the person.
    """

    why: str


Outcome: TypeAlias = Settled | WrongCode | NotDone
Decide: TypeAlias = Callable[[str, Approve | Deny], Awaitable[Outcome]]


@dataclass(eq=False)
class _Asking:
    """The one question that is out.

    Attributes:
        show: what the rules wanted shown.
        task: asks, and has the answer carried out.
        deciding: whether there is an answer, so that nothing may interrupt it.
    """

    show: Show
    task: asyncio.Task[None] | None = None
    deciding: bool = False


class Prompter:
    """Asks about requests while `run` runs; what is offered before is shown then.

    All methods are called in the loop that `run` runs in. `end` may be called from inside `decide`.
    Where there is nobody to ask, leave `run` out.

    Args:
        approver: who is asked, as a rule a `Panel`.
        decide: carries an answer out; gets the request's id and the answer.
        rules: which request is shown when.
        log: where it is noted what was shown and what came of it.
        now: monotonic seconds; None: the loop's clock.
        decide_s: seconds for a decision to be carried out.
    """

    def __init__(
        self,
        approver: Approver,
        decide: Decide,
        rules: PromptRules,
        log: Log,
        now: Callable[[], float] | None = None,
        *,
        decide_s: float = DECIDE_S,
    ) -> None:
        self._approver = approver
        self._decide = decide
        self._rules = rules
        self._log = log
        self._now = now or (lambda: clock.now().mono)
        self._decide_s = decide_s
        self._prompts: dict[str, Prompt] = {}
        self._notices: dict[str, str] = {}
        self._wanted: Show | None = None
        self._asking: _Asking | None = None
        self._told_stopped = False
        self._changed = asyncio.Event()

    def offer(self, prompt: Prompt, *, invited: bool = False) -> None:
        """A request waits for a person. Called again for a retry it changes nothing but `invited`.

        Args:
            prompt: the question; `others_waiting`, `notice` and `timeout_s` are filled in here.
            invited: whether a person has opened the window.
        """
        stranger = prompt.why is not Why.WIDER
        candidate = Candidate(prompt.id, prompt.code_less, invited, stranger)
        commands = self._rules.offer(candidate, self._now())
        if self._rules.knows(prompt.id):
            self._prompts.setdefault(prompt.id, prompt)
        self._apply(commands)

    def end(self, request_id: str, how: Ending) -> None:
        """A request is pending no more, whoever decided it: its prompt closes. Unknown ids are ignored."""
        self._prompts.pop(request_id, None)
        self._notices.pop(request_id, None)
        self._apply(self._rules.end(request_id, how, self._now()))

    def open_window(self) -> None:
        """A person invites devices: prompts without a code are shown again."""
        self._apply(self._rules.open_window(self._now()))

    async def run(self) -> None:
        """Shows prompts until it is cancelled; then none is left on screen."""
        async with Tasks(self._log) as tasks:
            while True:
                self._apply(self._rules.tick(self._now()))
                self._changed.clear()
                await self._show_what_is_wanted(tasks)
                await self._something_happens()

    def _apply(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Show():
                    self._wanted = command
                case Close():
                    self._wanted = None
                case _:
                    assert_never(command)
        if self._rules.stopped and not self._told_stopped:
            self._log.warning("prompts-stopped", fix="Invite the device: clawdis-bridge pair")
        self._told_stopped = self._rules.stopped
        self._changed.set()

    async def _something_happens(self) -> None:
        deadline = self._rules.next_deadline()
        left = None if deadline is None else max(0.0, deadline - self._now())
        with suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._changed.wait()

    async def _show_what_is_wanted(self, tasks: Tasks) -> None:
        """Take away what is not wanted any more, wait until it has gone, and show what is wanted."""
        asking = self._asking
        if asking is not None and asking.show is not self._wanted and not asking.deciding and asking.task is not None:
            asking.task.cancel()
            await asyncio.wait({asking.task}, timeout=CLOSE_S)
            self._asking = None
        if self._asking is None and self._wanted is not None:
            self._asking = new = _Asking(self._wanted)
            new.task = tasks.spawn("prompt", self._ask(new, self._question(new.show)))
            new.task.add_done_callback(lambda _: self._finished(new))

    def _question(self, show: Show) -> Prompt:
        return replace(
            self._prompts[show.id],
            others_waiting=show.others,
            notice=self._notices.pop(show.id, ""),
            timeout_s=max(0.0, show.until - self._now()),
        )

    def _finished(self, asking: _Asking) -> None:
        if self._asking is asking:
            self._asking = None
        self._changed.set()

    async def _ask(self, asking: _Asking, prompt: Prompt) -> None:
        show = asking.show
        self._log.info("prompt-shown", request=show.id, others=show.others)
        answer = await self._answer(prompt)
        if self._wanted is None or self._wanted.id != show.id:
            return  # it was decided elsewhere in the same moment
        asking.deciding = True
        match answer:
            case Approve(code=None) if not prompt.code_less:
                self._again(show.id, _NO_CODE)
            case Approve() | Deny():
                await self._carry_out(show.id, answer)
            case Again(notice=notice):
                self._again(show.id, notice)
            case Later() | NoAnswer():
                self._log.info("prompt-put-off", request=show.id)
                self._apply(self._rules.put_off(show.id, self._now()))
            case _:
                assert_never(answer)

    async def _answer(self, prompt: Prompt) -> Answer:
        try:
            return await self._approver.ask(prompt)
        except Exception:  # it is no answer, and it must not be asked over and over
            self._log.exception("approver-failed", request=prompt.id)
            return NoAnswer()

    def _again(self, request_id: str, notice: str) -> None:
        commands = self._rules.ask_again(request_id, self._now())
        if commands:
            self._notices[request_id] = notice
        self._apply(commands)

    async def _carry_out(self, request_id: str, answer: Approve | Deny) -> None:
        self._rules.hold(request_id)
        self._changed.set()  # there is another deadline now
        outcome = await self._outcome(request_id, answer)
        match outcome:
            case Settled():
                self.end(request_id, Ending.APPROVED if isinstance(answer, Approve) else Ending.DENIED)
            case WrongCode(tries_left=left):
                self._again(request_id, f"That code is wrong; {left} {'try is' if left == 1 else 'tries are'} left.")
            case NotDone(why=why):
                self._again(request_id, why)
            case _:
                assert_never(outcome)

    async def _outcome(self, request_id: str, answer: Approve | Deny) -> Outcome:
        try:
            async with asyncio.timeout(self._decide_s):
                return await self._decide(request_id, answer)
        except TimeoutError:
            return NotDone(_NOT_IN_TIME)
        except Exception:
            self._log.exception("decision-failed", request=request_id)
            return NotDone(_FAILED)
