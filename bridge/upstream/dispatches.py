"""Pure: the invokes that a node has not answered: eight that it works on, the rest in order, and who waits for each.

The gateway gives every dispatch an id of its own, also when the caller's idempotency key is the same. Those of one key
share one job here. Every dispatch leaves this table exactly once; whoever takes it out owes it its outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from bridge.upstream.idempotency import Memo
from bridge.upstream.outcomes import Invoke

RUNNING = 8  # jobs that a node works on at once (design §10)
WAITING = 32  # jobs that wait for one of those places
# Characters of their parameters together, at most four bytes each: 32 MiB. One that waits alone may have more, up to
# the 25 MiB of a message: without a bound in all, 32 of those would be 800 MiB for each node.
WAITING_CHARS = 8 * 1024 * 1024
PLACES = RUNNING + WAITING
SHARERS = 64  # dispatches that wait for a job which another has begun, about 200 bytes each
LATE = 64  # jobs that nobody waits for any more and that the node may still answer, about 400 bytes each


@dataclass(slots=True, eq=False)
class Job:
    """One command for the node.

    Attributes:
        invoke: what it is asked, under the id of the dispatch that began it; without its parameters once it was asked.
        memo: what the call is known by; None: it has no idempotency key.
        callers: the dispatches that wait for its outcome, and when each gives up, in monotonic seconds.
        sent_at: when the node was asked, likewise; None: it waits for its turn.
        rule: id of the rule that let the command go to the node.
    """

    invoke: Invoke
    memo: Memo | None
    callers: dict[str, float]
    sent_at: float | None = None
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """A dispatch that has left the table without the node's answer.

    Attributes:
        id: the dispatch.
        command: what it was about.
        was_sent: whether the node had been asked.
    """

    id: str
    command: str
    was_sent: bool


@dataclass(slots=True)
class Dispatches:
    """The open dispatches of one node socket."""

    _waiting: dict[str, Job] = field(default_factory=dict)
    _running: dict[str, Job] = field(default_factory=dict)
    _by_caller: dict[str, Job] = field(default_factory=dict)
    _by_digest: dict[str, Job] = field(default_factory=dict)
    _late: dict[str, Memo] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._waiting) + len(self._running)

    def has(self, dispatch_id: str) -> bool:
        """Whether this dispatch waits for its outcome, or the node works under its id."""
        return dispatch_id in self._by_caller or dispatch_id in self._running

    def expects(self, job_id: str) -> bool:
        """Whether the node may still answer this: it works on it, or is late with it."""
        return job_id in self._running or job_id in self._late

    def job_of(self, dispatch_id: str) -> Job | None:
        """Returns the job that a dispatch waits for."""
        return self._by_caller.get(dispatch_id)

    def running(self, job_id: str) -> Job | None:
        """Returns the job that the node works on under this id."""
        return self._running.get(job_id)

    def known(self, memo: Memo) -> Job | None:
        """Returns the open job of an idempotency key, whatever it is about."""
        return self._by_digest.get(memo.digest)

    def has_room(self, invoke: Invoke, held: int) -> bool:
        """Whether another job has a place.

        Args:
            invoke: what it would be.
            held: places that results hold which the gateway has not taken.
        """
        if len(self) + held >= PLACES:
            return False
        if len(self._running) < RUNNING or not self._waiting:
            return True  # it waits for nobody, or alone
        return sum(_chars(job.invoke) for job in self._waiting.values()) + _chars(invoke) <= WAITING_CHARS

    def has_room_beside(self, held: int) -> bool:
        """Whether another dispatch may share a job.

        Args:
            held: places that results hold which are for those that shared a job before, and which the gateway has not
                taken.
        """
        return len(self._by_caller) - len(self) + held < SHARERS

    def add(self, invoke: Invoke, memo: Memo | None) -> None:
        """A dispatch begins a job, which waits for its turn; the caller has made sure that there is room.

        Raises:
            ValueError: the id is in use.
        """
        if self.has(invoke.id):
            raise ValueError("a dispatch of this id is open")
        job = Job(invoke, memo, {invoke.id: invoke.deadline})
        self._waiting[invoke.id] = self._by_caller[invoke.id] = job
        if memo is not None:
            self._by_digest[memo.digest] = job

    def share(self, job: Job, invoke: Invoke) -> None:
        """A dispatch waits for a job that another has begun.

        Raises:
            ValueError: the id is in use.
        """
        if self.has(invoke.id):
            raise ValueError("a dispatch of this id is open")
        job.callers[invoke.id] = invoke.deadline
        self._by_caller[invoke.id] = job

    def next_job(self, now: float) -> tuple[Job, Invoke] | None:
        """Takes the job whose turn it is, and what the node has to be asked, which is not kept any longer.

        Returns None when nothing waits, or the node has its hands full.
        """
        if len(self._running) >= RUNNING or not self._waiting:
            return None
        job = self._waiting.pop(next(iter(self._waiting)))
        asked = job.invoke
        job.invoke, job.sent_at = replace(asked, params_json=None, idempotency_key=None), now
        self._running[asked.id] = job
        return job, asked

    def settle(self, job_id: str) -> Job | None:
        """The node has answered; returns what it has answered, or None: it was not asked, or nobody waits any more."""
        job = self._running.get(job_id)
        if job is not None:
            self._take_out(job)
        return job

    def settle_late(self, job_id: str) -> Memo | None:
        """The node has answered what nobody waits for; returns the key that stands for it."""
        return self._late.pop(job_id, None)

    def leave(self, dispatch_id: str) -> Ended | None:
        """A dispatch waits no more; a job that nobody waits for is not begun, or goes on unheeded."""
        job = self._by_caller.pop(dispatch_id, None)
        if job is None:
            return None
        del job.callers[dispatch_id]
        ended = Ended(dispatch_id, job.invoke.command, job.sent_at is not None)
        if not job.callers:
            self._take_out(job)
            if ended.was_sent and job.memo is not None:
                self._note_late(job.invoke.id, job.memo)
        return ended

    def overdue(self, now: float) -> list[Ended]:
        """Takes out the dispatches whose time is up."""
        return self._leave_all(lambda deadline: deadline <= now)

    def drain(self) -> list[Ended]:
        """Takes out all of them."""
        return self._leave_all(lambda _: True)

    def next_deadline(self) -> float | None:
        """Returns when the next dispatch is overdue, in monotonic seconds; None: none is open."""
        return min((job.callers[name] for name, job in self._by_caller.items()), default=None)

    def _leave_all(self, is_over: Callable[[float], bool]) -> list[Ended]:
        names = [name for name, job in self._by_caller.items() if is_over(job.callers[name])]
        return [ended for name in names if (ended := self.leave(name)) is not None]

    def _take_out(self, job: Job) -> None:
        self._waiting.pop(job.invoke.id, None)
        self._running.pop(job.invoke.id, None)
        if job.memo is not None and self._by_digest.get(job.memo.digest) is job:
            del self._by_digest[job.memo.digest]
        self._forget(job.callers)

    def _forget(self, dispatch_ids: Iterable[str]) -> None:
        for name in dispatch_ids:
            self._by_caller.pop(name, None)

    def _note_late(self, job_id: str, memo: Memo) -> None:
        while len(self._late) >= LATE:
            del self._late[next(iter(self._late))]
        self._late[job_id] = memo


def _chars(invoke: Invoke) -> int:
    return len(invoke.params_json or "")
