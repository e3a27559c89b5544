"""Pure: who may ask the gateway next. A few places for the calls of all nodes, and a bounded queue before them.

A call holds a place from the moment it may be sent until it gives it back, at the gateway's first answer. Nodes that
wait are served in turn, one call each, so that one which floods delays another by no more than one call.

Both bounds are shared in the same way: a node takes one more only while it has fewer than are left. Alone it gets half
of the places, two get a third each, and whoever comes next finds one, however long the others' answers take. `ALWAYS`
calls of a node find room in the queue even when a dozen others have filled it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

ALWAYS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """One call, from `enter` to `leave`.

    Attributes:
        owner: the node's id.
    """

    owner: str


@dataclass(slots=True)
class FairQueue:
    """See the module's text.

    Attributes:
        places: calls that the gateway is answering, of all nodes together; at least 1.
        calls: calls of all nodes together: those that wait, those that hold a place, and those that gave it back; more
            only by what every node finds room for.
        calls_of_owner: the same of one node.
    """

    places: int
    calls: int
    calls_of_owner: int
    _calls_of: dict[str, int] = field(default_factory=dict)
    _entered: dict[Ticket, None] = field(default_factory=dict)
    _held: dict[Ticket, None] = field(default_factory=dict)
    _held_of: dict[str, int] = field(default_factory=dict)
    _waiting: dict[str, deque[Ticket]] = field(default_factory=dict)
    """By node, in the order in which the nodes take their turns; none of them is empty."""

    @property
    def held(self) -> int:
        """How many places are taken."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """How many calls wait for a place."""
        return sum(len(line) for line in self._waiting.values())

    @property
    def entered(self) -> int:
        """How many calls there are."""
        return len(self._entered)

    def enter(self, owner: str) -> Ticket | None:
        """Begins a call of a node; None: there is no room for it."""
        own = self._calls_of.get(owner, 0)
        if own >= max(ALWAYS, min(self.calls_of_owner, self.calls - len(self._entered))):
            return None
        ticket = Ticket(owner)
        self._entered[ticket] = None
        self._calls_of[owner] = own + 1
        return ticket

    def line_up(self, ticket: Ticket) -> None:
        """The call waits for a place from now on."""
        self._waiting.setdefault(ticket.owner, deque()).append(ticket)

    def admit(self) -> list[Ticket]:
        """Returns the calls that have got a place now, in the order in which they may go on."""
        admitted: list[Ticket] = []
        passed_over = 0
        while passed_over < len(self._waiting) and len(self._held) < self.places:
            owner = next(iter(self._waiting))
            line = self._waiting.pop(owner)
            passed_over += 1
            own = self._held_of.get(owner, 0)
            if own < self.places - len(self._held):
                admitted.append(line.popleft())
                self._held[admitted[-1]] = None
                self._held_of[owner] = own + 1
                passed_over = 0
            if line:
                self._waiting[owner] = line  # behind the others: its turn is over
        return admitted

    def give_back(self, ticket: Ticket) -> None:
        """Gives the place back, or the turn; the call goes on. Harmless when it has neither."""
        if ticket in self._held:
            del self._held[ticket]
            _count_down(self._held_of, ticket.owner)
            return
        line = self._waiting.get(ticket.owner)
        if line is not None and ticket in line:
            line.remove(ticket)
            if not line:
                del self._waiting[ticket.owner]

    def leave(self, ticket: Ticket) -> None:
        """Ends a call; harmless when it has ended."""
        self.give_back(ticket)
        if ticket in self._entered:
            del self._entered[ticket]
            _count_down(self._calls_of, ticket.owner)


def _count_down(counts: dict[str, int], owner: str) -> None:
    left = counts.pop(owner) - 1
    if left:
        counts[owner] = left
