"""The desk against a model: whatever keys and people do, it keeps its promises."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bridge.pairing.desk import DENIED_S, KEPT_S, MAX_PENDING, SILENT_S, Busy, Desk, Draft, Filed, Silenced
from bridge.pairing.records import Surface
from tests.bridge.pairing.samples import NOON, VOICE_SCREEN, labels

keys = st.integers(0, 5)
addresses = st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"])


class DeskMachine(RuleBasedStateMachine):
    """Plays clients and people; remembers what each request was filed with."""

    @initialize()
    def begin(self) -> None:
        numbers = itertools.count(1)
        self.desk = Desk(lambda: f"r{next(numbers)}")
        self.now = 0.0
        self.filed_with: dict[str, Draft] = {}
        self.last_try: dict[str, float] = {}
        self.denied_until: dict[str, float] = {}
        self.over: set[str] = set()

    def draft(self, key: int, name: str) -> Draft:
        return Draft(f"{key:064x}", "key", labels(name), Surface(), VOICE_SCREEN)

    @rule(key=keys, name=st.sampled_from(["a", "b"]), address=addresses)
    def ask(self, key: int, name: str, address: str) -> None:
        draft = self.draft(key, name)
        mine = next((one for one in self.desk.pending() if one.draft.node_id == draft.node_id), None)
        answer = self.desk.file(draft, address, self.now, NOON)
        silenced = self.denied_until.get(draft.node_id, self.now) > self.now
        assert isinstance(answer, Silenced) == silenced
        match answer:
            case Filed(request=request, fresh=fresh, ended=ended):
                assert fresh == (mine is None or mine.draft != draft)
                assert fresh or (mine is not None and request.id == mine.id)
                assert not fresh or request.id not in self.filed_with, "an id was used twice"
                self.filed_with.setdefault(request.id, draft)
                self.last_try[request.id] = self.now
                self.over |= {one.id for one in ended}
                assert mine is None or not fresh or mine in ended
            case Busy():
                assert mine is None or mine.draft != draft, "a retry is never turned away"

    @rule(seconds=st.sampled_from([1.0, 6.0, SILENT_S, KEPT_S - 1, KEPT_S, DENIED_S]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        gone = {request.id for request in self.desk.expire(self.now)}
        due = {name for name, seen in self.last_try.items() if name not in self.over and seen + KEPT_S <= self.now}
        assert gone == due
        self.over |= gone

    @rule(pick=st.integers(0, 10), approve=st.booleans())
    def decide(self, pick: int, approve: bool) -> None:
        waiting = self.desk.pending()
        if not waiting:
            return
        request = waiting[pick % len(waiting)]
        taken = self.desk.take(request.id) if approve else self.desk.deny(request.id, self.now)
        assert taken == request
        assert taken.draft == self.filed_with[request.id], "what was shown is what is granted"
        self.over.add(request.id)
        if not approve:
            self.denied_until[request.draft.node_id] = self.now + DENIED_S

    @rule()
    def invite(self) -> None:
        self.desk.invite(self.now)
        self.denied_until.clear()

    @rule(key=keys)
    def drop(self, key: int) -> None:
        ended = self.desk.drop_key(f"{key:064x}")
        if ended is not None:
            self.over.add(ended.id)

    @invariant()
    def one_per_key_and_address_and_none_that_is_over(self) -> None:
        waiting = self.desk.pending()
        assert len({request.draft.node_id for request in waiting}) == len(waiting) <= MAX_PENDING
        assert len({request.address for request in waiting}) == len(waiting)
        assert {request.id for request in waiting} == self.filed_with.keys() - self.over
        assert all(request.draft == self.filed_with[request.id] for request in waiting)
        assert all(self.desk.get(name) is None for name in self.over)


TestDesk = DeskMachine.TestCase
