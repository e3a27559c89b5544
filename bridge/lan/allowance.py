"""Pure: what one paired key may use up, over all of its sockets and reconnects (design §10)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from acl.buckets import TokenBucket
from acl.refusals import RefusalMeter
from bridge.config import LimitsTable
from bridge.tally import Tally

MINUTE_S = 60.0  # seconds
# Keys remembered, some 3 KiB each with ten buckets and twenty refusals, so 3 MiB. Only a paired key gets here.
MAX_KEYS = 1_024
# Frames of one key that are read per second, whatever they are: calls, the results of 50 invokes and as many pieces of
# their progress leave a third of it. Who sends more is read more slowly, and nothing of it is refused. A frame that is
# answered and no more costs some 0.2 ms of a small core, so that a flood of them costs a twentieth of it.
FRAMES_PER_SECOND = 200
FRAMES_BURST = 400
FRAME_BYTES = 64 * 1024  # each of these counts as one more: 12 MiB a second, and the largest message at once
FRAMES_AT_A_TIME = 20  # that may be read after a pause: waking up for each of them would cost more than it
BURSTS = 3  # the third burst of calls in a row ends a socket: one that passes, one that is answered, and one too many


REFUSED, LIMITED = "refused", "limited"  # names of counters


class Limit(StrEnum):
    """What is counted, by its name in `status` and in answers."""

    CALLS = "calls"
    EVENTS = "events"
    VOICE = "voice"
    AGENT = "agent"
    INVOKES = "invokes"
    SNAPSHOTS = "snapshots"
    SNAPSHOT_BYTES = "snapshot-bytes"


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a limit is used up at a moment.

    Attributes:
        used: tokens that are not there.
        of: tokens of a full bucket.
        met: how often something was over it since the start.
    """

    used: float
    of: float
    met: int


class Allowance:
    """What a key has left of each limit.

    Args:
        limits: the configured ones.
        refusals: what counts its refusals; None: a new meter.
        tally: where `REFUSED` and `LIMITED` of all keys are counted; None: nowhere.
    """

    def __init__(self, limits: LimitsTable, refusals: RefusalMeter | None = None, tally: Tally | None = None) -> None:
        self.limits = limits
        self._tally = tally or Tally(REFUSED, LIMITED)
        self.refusals = refusals or RefusalMeter(limits.refusals_per_minute)
        self.refused: Counter[str] = Counter()
        self._limited: Counter[Limit] = Counter()
        self._excess = TokenBucket(limits.calls_per_second, (BURSTS - 1) * limits.calls_burst)
        self._frames = TokenBucket(FRAMES_PER_SECOND, FRAMES_BURST)
        self._buckets: Mapping[Limit, TokenBucket] = {
            Limit.CALLS: TokenBucket(limits.calls_per_second, limits.calls_burst),
            Limit.EVENTS: _per_minute(limits.events_per_minute),
            Limit.VOICE: _per_minute(limits.voice_per_minute),
            Limit.AGENT: _per_minute(limits.agent_per_minute),
            Limit.INVOKES: TokenBucket(limits.invokes_per_second, limits.invokes_burst),
            Limit.SNAPSHOTS: _per_minute(limits.snapshots_per_minute),
            Limit.SNAPSHOT_BYTES: _per_minute(limits.snapshot_bytes_per_minute),
        }

    def take(self, limit: Limit, now: float, n: float = 1.0) -> float:
        """Takes of a limit; returns 0.0, or the seconds to wait when there is too little left.

        Args:
            limit: which.
            now: monotonic seconds.
            n: how much.
        """
        wait = self._buckets[limit].take(now, n)
        if wait > 0.0:
            self._limited[limit] += 1
            self._tally.add(LIMITED, limit.value)
        return wait

    def count_refusal(self, kind: str) -> None:
        """Counts an answer that refuses something; whether it ends the socket is another matter.

        Args:
            kind: of a closed set.
        """
        self.refused[kind] += 1
        self._tally.add(REFUSED, kind)

    def charge(self, limit: Limit, now: float, n: float) -> None:
        """Takes of a limit for what has happened already; what is not there is owed."""
        self._buckets[limit].charge(now, n)

    def is_too_much(self, now: float) -> bool:
        """Counts a call over its limit; returns whether it begins a burst too many (security 3F, F3)."""
        return self._excess.take(now) > 0.0

    def read(self, now: float, size: int = 0) -> None:
        """A frame of so many bytes was read, whatever it is."""
        self._frames.charge(now, 1 + size // FRAME_BYTES)

    def pause(self, now: float) -> float:
        """Returns the seconds until the next frame may be read, and some more after it; 0.0: now."""
        return self._frames.wait(now, FRAMES_AT_A_TIME) if self._frames.wait(now) > 0.0 else 0.0

    def uses(self, now: float) -> dict[Limit, Use]:
        """Returns how much of each limit is used up."""
        return {
            limit: Use(bucket.used(now), bucket.burst, self._limited[limit]) for limit, bucket in self._buckets.items()
        }

    def is_idle(self, now: float) -> bool:
        """Whether a new one would allow just as much."""
        buckets = (*self._buckets.values(), self._excess, self._frames)
        return self.refusals.recent(now) == self.refusals.row == 0 and all(each.used(now) == 0.0 for each in buckets)


def _per_minute(count: int) -> TokenBucket:
    return TokenBucket(count / MINUTE_S, count)


class Allowances:
    """The allowances of all keys, in a table with a cap.

    One that has everything left is forgotten without a loss, and before all others; of the others, the one that came in
    longest ago.

    Args:
        limits: the configured limits.
    """

    def __init__(self, limits: LimitsTable) -> None:
        self._limits = limits
        self._of: dict[str, Allowance] = {}
        self.tally = Tally(REFUSED, LIMITED)

    def __len__(self) -> int:
        return len(self._of)

    def __iter__(self) -> Iterator[Allowance]:
        return iter(self._of.values())

    def get(self, node_id: str) -> Allowance | None:
        """Returns the allowance of a key that has come in; None: it has not, or has nothing that counts."""
        return self._of.get(node_id)

    def of(self, node_id: str, now: float) -> Allowance:
        """Returns the allowance of a key: reconnecting does not make it a new one."""
        allowance = self._of.pop(node_id, None)
        if allowance is None:
            allowance = Allowance(self._limits, tally=self.tally)
            if len(self._of) >= MAX_KEYS:
                idle = (key for key, each in self._of.items() if each.is_idle(now))
                del self._of[next(idle, next(iter(self._of)))]
        self._of[node_id] = allowance
        return allowance
