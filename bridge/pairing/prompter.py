"""Shows pairing requests to a person, one at a time, and has the answers carried out.

The rules are those of `prompt_rules`; this shell brings them time, the approvers, and whoever carries decisions out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from bridge.log import Log
from bridge.pairing.approvers.approver import Again, Approve, Approver, Deny, Later, NoAnswer, Prompt
from bridge.pairing.desk import Why
from bridge.pairing.prompt_rules import Candidate, Close, Command, Ending, PromptRules, Show
from bridge.tasks import Tasks

DECIDE_S = 60.0  # seconds for a decision to be carried out; an approval writes files and makes a key
_NO_CODE = "This device shows a code; it has to be typed."
_NOT_IN_TIME = "The bridge did not finish this in time."


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


class Prompter:
    """Asks about requests while `run` runs; what is offered before is shown then.

    All methods are called in the loop that `run` runs in. `end` may be called from inside `decide`.

    Args:
        approver: who is asked, as a rule a `Panel`.
        decide: carries an answer out; gets the request's id and the answer.
        rules: which request is shown when.
        log: where it is noted what was shown and what came of it.
        now: monotonic seconds; None: the loop's clock.
    """

    def __init__(
        self,
        approver: Approver,
        decide: Decide,
        rules: PromptRules,
        log: Log,
        now: Callable[[], float] | None = None,
    ) -> None:
        raise NotImplementedError

    def offer(self, prompt: Prompt, *, invited: bool = False) -> None:
        """A request waits for a person. Called again for a retry it changes nothing but `invited`.

        Args:
            prompt: the question; `others_waiting`, `notice` and `timeout_s` are filled in here.
            invited: whether a person has opened the window.
        """

    def end(self, request_id: str, how: Ending) -> None:
        """A request is pending no more, whoever decided it: its prompt closes. Unknown ids are ignored."""

    def open_window(self) -> None:
        """A person invites devices: prompts without a code are shown again."""

    async def run(self) -> None:
        """Shows prompts until it is cancelled; then none is left on screen."""
