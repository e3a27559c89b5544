"""Open dispatches: each leaves exactly once, in order, and no flood makes the table grow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bridge.upstream.dispatches import LATE, PLACES, RUNNING, SHARERS, WAITING, WAITING_CHARS, Dispatches
from bridge.upstream.idempotency import Memo
from bridge.upstream.outcomes import Invoke


def invoke(name: str, deadline: float = 30.0) -> Invoke:
    return Invoke(name, "screen.show", "{}", 30_000, "k", deadline)


def large(name: str, chars: int) -> Invoke:
    return replace(invoke(name), params_json="x" * chars)


def memo(name: str) -> Memo:
    return Memo("to:a", name, "f")


def begun(table: Dispatches, now: float = 0.0) -> list[str]:
    ids = []
    while (turn := table.next_job(now)) is not None:
        ids.append(turn[1].id)
    return ids


class TestOrder:
    def test_eight_run_and_the_next_one_begins_when_one_has_ended(self) -> None:
        table = Dispatches()
        for number in range(PLACES):
            assert table.has_room(invoke(f"i{number}"), 0)
            table.add(invoke(f"i{number}"), None)
        assert not table.has_room(invoke("i"), 0)
        assert begun(table) == [f"i{number}" for number in range(RUNNING)]
        assert table.settle("i5") is not None
        assert begun(table) == [f"i{RUNNING}"]

    def test_results_that_are_not_taken_hold_their_places(self) -> None:
        assert Dispatches().has_room(invoke("i"), PLACES - 1)
        assert not Dispatches().has_room(invoke("i"), PLACES)

    def test_what_waits_keeps_so_many_characters_of_parameters_and_no_more(self) -> None:
        """Red without the sum in `has_room`: a gateway's largest messages, 32 of them for each node, would be kept."""
        table, each = Dispatches(), WAITING_CHARS // 5
        for number in range(RUNNING):
            assert table.has_room(large(f"r{number}", 5 * WAITING_CHARS), 0)  # what need not wait is not kept
            table.add(large(f"r{number}", each), None)
            begun(table)
        waiting = 0
        for number in range(WAITING):
            if table.has_room(large(f"w{number}", each), 0):
                table.add(large(f"w{number}", each), None)
                waiting += 1
        assert waiting == 5
        assert table.has_room(large("small", WAITING_CHARS - 5 * each), 0)
        assert table.settle("r0") is not None
        assert begun(table) == ["w0"]
        assert table.has_room(large("next", each), 0)

    def test_one_that_waits_alone_may_be_as_large_as_a_message(self) -> None:
        table = Dispatches()
        for number in range(RUNNING):
            table.add(invoke(f"r{number}"), None)
            begun(table)
        assert table.has_room(large("w", 3 * WAITING_CHARS), 0)
        table.add(large("w", 3 * WAITING_CHARS), None)
        assert not table.has_room(large("x", 1), 0)

    def test_what_runs_keeps_no_parameters(self) -> None:
        table = Dispatches()
        table.add(invoke("i"), memo("m"))
        turn = table.next_job(5.0)
        assert turn is not None
        job, asked = turn
        assert (asked.params_json, job.invoke.params_json, job.sent_at) == ("{}", None, 5.0)

    def test_an_id_is_open_once(self) -> None:
        table = Dispatches()
        table.add(invoke("i"), memo("m"))
        job = table.job_of("i")
        assert job is not None
        with pytest.raises(ValueError, match="open"):
            table.add(invoke("i"), None)
        with pytest.raises(ValueError, match="open"):
            table.share(job, invoke("i"))


class TestSharing:
    def test_those_of_one_key_share_a_job_and_leave_with_it(self) -> None:
        table = Dispatches()
        table.add(invoke("i"), memo("m"))
        job = table.known(memo("m"))
        assert job is not None
        for number in range(SHARERS):
            assert table.has_room_beside(0)
            table.share(job, invoke(f"s{number}"))
        assert not table.has_room_beside(0)
        assert begun(table) == ["i"]
        settled = table.settle("i")
        assert settled is not None
        assert list(settled.callers) == ["i", *(f"s{number}" for number in range(SHARERS))]
        assert (table.known(memo("m")), table.drain(), table.next_deadline()) == (None, [], None)

    def test_a_job_goes_on_for_those_who_still_wait(self) -> None:
        table = Dispatches()
        table.add(invoke("i", 10.0), memo("m"))
        job = table.known(memo("m"))
        assert job is not None
        table.share(job, invoke("s", 20.0))
        begun(table)
        assert [ended.id for ended in table.overdue(10.0)] == ["i"]
        assert table.has("i")  # the node still works under this id
        settled = table.settle("i")
        assert settled is not None
        assert list(settled.callers) == ["s"]


class TestLate:
    def test_what_nobody_waits_for_any_more_is_known_when_the_node_answers(self) -> None:
        table = Dispatches()
        table.add(invoke("i"), memo("m"))
        begun(table)
        [ended] = table.overdue(30.0)
        assert ended.was_sent
        assert table.settle("i") is None
        assert table.settle_late("i") == memo("m")
        assert table.settle_late("i") is None

    def test_what_was_never_sent_is_not(self) -> None:
        table = Dispatches()
        table.add(invoke("i"), memo("m"))
        [ended] = table.drain()
        assert not ended.was_sent
        assert table.settle_late("i") is None

    def test_there_is_a_cap(self) -> None:
        """Red without the loop of `_note_late`: the flood of five times the cap would all be kept."""
        table = Dispatches()
        for number in range(5 * LATE):
            table.add(invoke(f"i{number}"), memo(f"m{number}"))
            begun(table)
            table.drain()
        found = [number for number in range(5 * LATE) if table.settle_late(f"i{number}") is not None]
        assert found == list(range(4 * LATE, 5 * LATE))


class DispatchMachine(RuleBasedStateMachine):
    """Every dispatch that came in has left once, or is open."""

    @initialize()
    def begin(self) -> None:
        self.table, self.now, self.count = Dispatches(), 0.0, 0
        self.open: set[str] = set()
        self.left: list[str] = []

    @rule(key=st.sampled_from(["a", "b", None]), wait=st.floats(0.1, 20.0))
    def comes(self, key: str | None, wait: float) -> None:
        self.count += 1
        name = f"i{self.count}"
        known = self.table.known(memo(key)) if key else None
        if known is not None:
            self.table.share(known, invoke(name, self.now + wait))
        elif self.table.has_room(invoke("i"), 0):
            self.table.add(invoke(name, self.now + wait), memo(key) if key else None)
        else:
            return
        self.open.add(name)

    @rule()
    def begins(self) -> None:
        begun(self.table, self.now)

    @rule(pick=st.integers(0, 60))
    def answers(self, pick: int) -> None:
        job = self.table.settle(f"i{max(1, self.count - pick)}")
        self.left += list(job.callers) if job is not None else []

    @rule(pick=st.integers(0, 60))
    def cancels(self, pick: int) -> None:
        ended = self.table.leave(f"i{max(1, self.count - pick)}")
        self.left += [ended.id] if ended is not None else []

    @rule(seconds=st.floats(0.0, 15.0))
    def waits(self, seconds: float) -> None:
        self.now += seconds
        self.left += [ended.id for ended in self.table.overdue(self.now)]

    @rule()
    def ends(self) -> None:
        self.left += [ended.id for ended in self.table.drain()]

    @invariant()
    def each_leaves_once(self) -> None:
        assert len(self.left) == len(set(self.left))
        assert all(self.table.has(name) for name in self.open - set(self.left))
        assert all(self.table.job_of(name) is None for name in self.left)
        assert len(self.table) <= PLACES


TestMachine = DispatchMachine.TestCase
