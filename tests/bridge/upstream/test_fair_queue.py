"""The queue before the gateway: as many at once as there are places, and every node in its turn."""

from __future__ import annotations

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bridge.upstream.fair_queue import ALWAYS, FairQueue, Ticket

PLACES, CALLS, OWN = 32, 480, 64


def queue() -> FairQueue:
    return FairQueue(PLACES, CALLS, OWN)


def lined_up(line: FairQueue, owner: str, count: int = 1) -> list[Ticket]:
    tickets = []
    for _ in range(count):
        ticket = line.enter(owner)
        assert ticket is not None
        line.line_up(ticket)
        tickets.append(ticket)
    return tickets


def owners(tickets: list[Ticket]) -> str:
    return "".join(ticket.owner for ticket in tickets)


def test_one_node_alone_gets_half_of_the_places() -> None:
    line = queue()
    lined_up(line, "a", OWN)
    assert len(line.admit()) == PLACES // 2
    assert (line.held, line.waiting) == (16, 48)


def test_a_newcomer_has_a_place_at_once_whatever_the_others_wait_for() -> None:
    """Red when a node may take the last place although it holds others."""
    line = queue()
    for owner in "abcde":
        lined_up(line, owner, OWN)
        line.admit()
    [late] = lined_up(line, "z")
    assert line.admit() == [late]


def test_a_flood_delays_another_by_one_call() -> None:
    """Red when the queue is served in the order of arrival."""
    line = FairQueue(1, CALLS, OWN)
    flood = lined_up(line, "a", 40)
    lined_up(line, "b", 3)
    order, [now] = "", line.admit()
    for _ in range(8):
        order += now.owner
        line.leave(now)
        [now] = line.admit()
    assert order == "abababaa"
    assert now in flood


def test_turns_go_round_among_the_waiting() -> None:
    line = FairQueue(2, CALLS, OWN)
    for owner in "abc":
        lined_up(line, owner, 4)
    first = line.admit()
    for ticket in first:
        line.leave(ticket)
    assert owners(first + line.admit()) == "abca"


def test_a_place_given_back_is_taken_by_the_next_while_the_call_goes_on() -> None:
    line = FairQueue(1, CALLS, OWN)
    agent, call = lined_up(line, "a", 2)
    assert line.admit() == [agent]
    line.give_back(agent)
    assert line.admit() == [call]
    assert line.entered == 2
    line.leave(agent)
    line.leave(agent)
    assert (line.entered, line.held) == (1, 1)


def test_a_call_that_needs_no_place_only_counts() -> None:
    line = queue()
    tickets = [line.enter("a") for _ in range(OWN)]
    assert None not in tickets
    assert line.enter("a") is None
    assert (line.admit(), line.waiting) == ([], 0)


def test_who_gives_up_its_turn_is_not_admitted() -> None:
    line = FairQueue(1, CALLS, OWN)
    one, two, three = lined_up(line, "a", 3)
    assert line.admit() == [one]
    line.leave(two)
    line.leave(one)
    assert line.admit() == [three]


def test_room_for_calls_is_shared_too() -> None:
    """Red when `enter` counts a node's own calls alone: the eighth node and those after it find nothing left."""
    line = queue()
    got = Counter[str]()
    for owner in (f"n{number}" for number in range(20)):
        while line.enter(owner) is not None:
            got[owner] += 1
    assert got["n0"] == OWN
    assert min(got[f"n{number}"] for number in range(20)) >= ALWAYS
    assert line.entered <= CALLS + 20 * ALWAYS


class Machine(RuleBasedStateMachine):
    """Any order of beginnings, turns and ends."""

    def __init__(self) -> None:
        super().__init__()
        self.line = FairQueue(4, 24, 8)
        self.calls: list[Ticket] = []
        self.waiting: list[Ticket] = []
        self.placed: list[Ticket] = []

    @rule(owner=st.sampled_from("abcdef"), waits=st.booleans())
    def begin(self, owner: str, waits: bool) -> None:
        ticket = self.line.enter(owner)
        if ticket is None:
            return
        self.calls.append(ticket)
        if waits:
            self.line.line_up(ticket)
            self.waiting.append(ticket)

    @rule()
    def turn(self) -> None:
        for ticket in self.line.admit():
            self.waiting.remove(ticket)
            self.placed.append(ticket)
        if self.waiting:  # nobody waits while there is a place for it
            held = Counter(ticket.owner for ticket in self.placed)
            free = 4 - len(self.placed)
            assert free == 0 or all(held[ticket.owner] >= free for ticket in self.waiting)

    @rule(pick=st.integers(0), ends=st.booleans())
    def go(self, pick: int, ends: bool) -> None:
        if not self.calls:
            return
        ticket = self.calls[pick % len(self.calls)]
        (self.line.leave if ends else self.line.give_back)(ticket)
        if ends:
            self.calls.remove(ticket)
        for group in (self.waiting, self.placed):
            if ticket in group:
                group.remove(ticket)

    @invariant()
    def counts(self) -> None:
        assert self.line.held == len(self.placed) <= 4
        assert self.line.waiting == len(self.waiting)
        assert self.line.entered == len(self.calls) <= 24 + 6 * ALWAYS
        assert max(Counter(ticket.owner for ticket in self.calls).values(), default=0) <= 8


TestMachine = Machine.TestCase
