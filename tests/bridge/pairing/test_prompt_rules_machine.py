"""The prompts in any order of events: at most one on screen, and none a second time."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge.pairing.prompt_rules import (
    MAX_QUEUED,
    TIMEOUT_S,
    Candidate,
    Close,
    Command,
    Ending,
    PromptRules,
    Show,
)

NAMES = [f"r{number}" for number in range(8)]


class PromptMachine(RuleBasedStateMachine):
    """Any order of events leaves at most one prompt on screen, and shows no request a second time."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts = PromptRules()
        self.now = 0.0
        self.screen: str | None = None
        self.closed: set[str] = set()
        self.opened_at: dict[str, float] = {}

    def obey(self, commands: object) -> None:
        """Do what the rules say, and check that it may be said."""
        assert isinstance(commands, tuple | list)
        for command in commands:
            self.obey_one(command)

    def obey_one(self, command: Command) -> None:
        """Do one thing."""
        match command:
            case Close(id=name):
                assert self.screen == name
                self.screen = None
                self.closed.add(name)
            case Show(id=name, until=until):
                assert self.screen in (None, name)
                assert name not in self.closed
                self.opened_at.setdefault(name, self.now)
                assert until == self.opened_at[name] + TIMEOUT_S
                self.screen = name

    @rule(name=st.sampled_from(NAMES), code_less=st.booleans(), invited=st.booleans())
    def offer(self, name: str, code_less: bool, invited: bool) -> None:
        """A device tries."""
        self.obey(self.prompts.offer(Candidate(name, code_less, invited), self.now))

    @rule(name=st.sampled_from(NAMES), how=st.sampled_from(Ending))
    def end(self, name: str, how: Ending) -> None:
        """A request ends; its name stands for a new request afterwards."""
        self.obey(self.prompts.end(name, how, self.now))
        self.closed.discard(name)
        self.opened_at.pop(name, None)

    @rule()
    @precondition(lambda self: self.screen is not None)
    def put_off(self) -> None:
        """The person puts it off."""
        assert self.screen is not None
        self.obey(self.prompts.put_off(self.screen, self.now))

    @rule()
    @precondition(lambda self: self.screen is not None)
    def wrong(self) -> None:
        """A wrong code."""
        assert self.screen is not None
        self.prompts.hold(self.screen)
        self.obey(self.prompts.ask_again(self.screen, self.now))

    @rule(seconds=st.floats(0.0, 200.0))
    def wait(self, seconds: float) -> None:
        """Time passes, and every deadline is kept."""
        end = self.now + seconds
        while (deadline := self.prompts.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.obey(self.prompts.tick(self.now))
        self.now = end

    @rule()
    def open_window(self) -> None:
        """A person invites."""
        self.obey(self.prompts.open_window(self.now))

    @invariant()
    def bounded(self) -> None:
        """The queue holds three."""
        assert len(self.prompts.queued) <= MAX_QUEUED
        assert self.screen not in self.prompts.queued


TestPromptMachine = PromptMachine.TestCase
TestPromptMachine.settings = settings(stateful_step_count=40, deadline=None)
