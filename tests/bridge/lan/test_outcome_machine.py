"""Random lives of a node socket: whatever happens, every dispatch has one outcome and no key is done twice."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bridge.lan.events import Answered, Fault, Forward, LinkLost, Lost, Unanswered
from bridge.upstream.idempotency import KEPT_S, Ledger
from tests.bridge.lan.invokes import asked, invoked, result, told
from tests.bridge.lan.phones import IPHONE
from tests.bridge.lan.playbook import good, node_in

COMMANDS = ["screen.show", "screen.hide"]


class OutcomeMachine(RuleBasedStateMachine):
    """Whatever happens: every dispatch has exactly one outcome, and no key is done twice within its time."""

    @initialize()
    def begin(self) -> None:
        self.ledger = Ledger()
        self.talk = node_in(IPHONE, ledger=self.ledger)
        self.count = 0
        self.open: set[str] = set()
        self.outcomes: list[str] = []
        self.done_by_gateway: set[str] = set()
        self.asked: list[str] = []
        self.at_phone: dict[str, tuple[str, str] | None] = {}
        self.keys: dict[str, tuple[str, str] | None] = {}
        self.forwards: dict[str, Forward] = {}
        self.deeds: list[tuple[tuple[str, str], float]] = []

    def note(self) -> None:
        for name in asked(self.talk):
            self.at_phone[name] = self.keys[name]
            if (key := self.keys[name]) is not None:
                self.deeds.append((key, self.talk.now.mono))
        self.outcomes += [name for name, _ in told(self.talk) if name not in self.resent()]
        for one in self.talk.did:
            if isinstance(one, Forward) and one.method == "node.invoke.result":
                self.forwards[one.key] = one

    def resent(self) -> set[str]:
        return {str(one.params["id"]) for one in self.talk.did if isinstance(one, Forward) and one.delay_s}

    @rule(
        key=st.sampled_from(["a", "b", "c", None]),
        what=st.sampled_from(["screen.show", "screen.hide"]),
        wait=st.integers(1, 40),
    )
    def comes(self, key: str | None, what: str, wait: int) -> None:
        self.count += 1
        name = f"i{self.count}"
        self.open.add(name)
        self.keys[name] = (key, what) if key is not None else None
        members = {"idempotencyKey": key} if key is not None else {}
        invoked(self.talk, what, name, timeoutMs=wait * 1000, **members)
        self.note()

    @precondition(lambda self: self.at_phone)
    @rule(data=st.data(), kind=st.sampled_from(["ok", "failed", "not-ready"]))
    def answers(self, data: st.DataObject, kind: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.at_phone)))
        key = self.at_phone.pop(name)
        self.count += 1
        code = "NODE_NOT_READY" if kind == "not-ready" else "UNAVAILABLE"
        error = {} if kind == "ok" else {"error": {"code": code, "message": "x"}}
        self.talk.asks("node.invoke.result", result(name, ok=kind == "ok", **error), f"r{self.count}")
        if kind == "not-ready" and key is not None:
            self.deeds = [(one, at) for one, at in self.deeds if one[0] != key[0]]
        self.note()

    @rule(pick=st.integers(0, 80))
    def cancels(self, pick: int) -> None:
        self.talk.gateway_says("node.invoke.cancel", {"invokeId": f"i{max(1, self.count - pick)}"})
        self.note()

    @precondition(lambda self: self.forwards)
    @rule(data=st.data(), fault=st.sampled_from([None, Fault.BUSY, Fault.GONE]))
    def takes(self, data: st.DataObject, fault: Fault | None) -> None:
        key = data.draw(st.sampled_from(sorted(self.forwards)))
        del self.forwards[key]
        taken = Answered(key, good({"ok": True})) if fault is None else Unanswered(key, fault)
        self.talk.gets(taken)
        # One that is not taken for want of room is sent again, or ended by a report in its place: the same outcome.
        name = [one for one in self.talk.reports if one.invoke_id in self.outcomes]
        self.outcomes = [one for one in self.outcomes if one not in {report.invoke_id for report in name}]
        self.note()

    @rule(seconds=st.integers(0, 30))
    def waits(self, seconds: int) -> None:
        self.talk.after(float(seconds))
        self.note()

    @rule()
    def gateway_goes(self) -> None:
        self.talk.gets(LinkLost())
        self.done_by_gateway |= self.open - set(self.outcomes)
        self.note()

    @rule()
    def reconnects(self) -> None:
        self.talk.gets(Lost())
        self.note()
        now = self.talk.now
        self.at_phone.clear()
        self.forwards.clear()
        self.talk = node_in(IPHONE, ledger=self.ledger)
        self.talk.now = now

    @invariant()
    def one_outcome_at_the_most(self) -> None:
        assert len(self.outcomes) == len(set(self.outcomes)), self.outcomes
        assert not self.done_by_gateway & set(self.outcomes)

    @invariant()
    def no_key_is_done_twice(self) -> None:
        last: dict[str, float] = {}
        for (key, _), at in self.deeds:
            assert key not in last or at - last[key] >= KEPT_S, self.deeds
            last[key] = at

    def teardown(self) -> None:
        """In the end every dispatch has had its one outcome."""
        if not hasattr(self, "talk"):
            return
        self.talk.gets(Lost())
        self.note()
        assert set(self.outcomes) | self.done_by_gateway == self.open
        self.one_outcome_at_the_most()


TestOutcomes = OutcomeMachine.TestCase
TestOutcomes.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
