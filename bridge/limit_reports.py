"""Pure: the limits in use as documents of local control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

from bridge.control.limit_documents import LimitsInUse, LimitUse, Penalty
from bridge.lan.allowance import LIMITED, REFUSED, Allowance
from bridge.lan.door import Door
from bridge.tally import Tally


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """What is to be told of one node's limits.

    Attributes:
        limits: by name.
        refused: by kind.
        penalty_s: seconds for which it is kept out; None: it is not.
    """

    limits: dict[str, LimitUse] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    penalty_s: int | None = None


def limits_in_use(tally: Tally, door: Door, penalties: Mapping[str, float]) -> LimitsInUse:
    """Returns what the limits stop.

    Args:
        tally: the counters of all keys.
        door: who may open a socket.
        penalties: the seconds for which each key is kept out.
    """
    return LimitsInUse(
        refused=dict(tally.of(REFUSED)),
        limited=dict(tally.of(LIMITED)),
        turned_away={why.value: count for why, count in door.turned.items()},
        strangers=door.count,
        penalties=[Penalty(node_id=node_id, seconds=ceil(left)) for node_id, left in penalties.items()],
    )


def node_limits(allowance: Allowance | None, penalty_left: float, now: float) -> NodeLimits:
    """Returns how much of its limits a node has used up.

    Args:
        allowance: what it has left; None: it has not come in.
        penalty_left: seconds for which it is kept out.
        now: monotonic seconds.
    """
    penalty_s = ceil(penalty_left) if penalty_left > 0 else None
    if allowance is None:
        return NodeLimits(penalty_s=penalty_s)
    uses = {
        limit.value: LimitUse(used=round(use.used), of=round(use.of), met=use.met)
        for limit, use in allowance.uses(now).items()
    }
    return NodeLimits(uses, dict(allowance.refused), penalty_s)
