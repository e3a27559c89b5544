"""How much is under way in the whole bridge at this moment, read from the parts that know."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from bridge.hub import Hub
from bridge.lan.allowance import LIMITED, REFUSED
from bridge.lan.inflow import Pool
from bridge.lan.outflow import Outflow
from bridge.lan.relay import Relay
from bridge.metrics import Levels, Metrics
from bridge.upstream.node_link import NodeLink


@dataclass(frozen=True, slots=True)
class Flow:
    """What all sockets share.

    Attributes:
        pool: the budget of large messages of phones.
        outflow: what waits for phones.
        metrics: counts what they do.
    """

    pool: Pool = field(default_factory=Pool)
    outflow: Outflow[Relay] = field(default_factory=Outflow)
    metrics: Metrics = field(default_factory=Metrics)


def levels(hub: Hub, flow: Flow) -> Levels:
    """Returns what is so now."""
    queue, tally = hub.switchboard.forwarding.queue, hub.allowances.tally
    return Levels(
        nodes=hub.roster.connected(),
        gateway=hub.switchboard.operator.state,
        links=Counter(_state(link) for link in hub.switchboard.links()),
        calls=queue.entered,
        calls_waiting=queue.waiting,
        places=queue.held,
        bytes_in_flight=flow.pool.budget.held,
        sockets_held=flow.pool.budget.waiting,
        bytes_buffered=flow.outflow.total,
        refused=tally.of(REFUSED),
        limited=tally.of(LIMITED),
        audit_lines=hub.reception.trail.written,
    )


def _state(link: NodeLink) -> str:
    if link.ready.is_set():
        return "ready"
    return "failed" if link.error is not None else "making"
