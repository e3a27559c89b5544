"""Pure: what the gateway is told for a node that is away while its link lingers (design §11).

A phone drops its sockets half a minute after it went to the background, so being away is its normal state. The gateway
still counts it as connected: what needs the foreground is answered as for a phone in the background, so that it may be
kept there until the phone is back; the rest as disconnected. What was done before under the same key is told again.
"""

from __future__ import annotations

from dataclasses import dataclass

from acl.model import Allow, Subject
from bridge.lan import answers
from bridge.lan.directory import Directory
from bridge.lan.events import Command, Instant, Note, Report
from bridge.lan.node_calls import needs_foreground
from bridge.lan.node_invokes import decision_on, denial, look_up, memo_for, not_granted
from bridge.lan.wakefulness import RETRY_MS
from bridge.upstream.outcomes import Invoke, read_invoke
from gateway_client.frames import ErrorShape, Event

AWAY = ErrorShape("NODE_DISCONNECTED", "NODE_DISCONNECTED: the node is not connected")


@dataclass(frozen=True, slots=True)
class Absence:
    """One node that is away.

    Attributes:
        subject: whom the ACL sees.
        offered: the commands that its link offers.
        directory: what may be looked up.
    """

    subject: Subject
    offered: frozenset[str]
    directory: Directory

    def told(self, event: Event, now: Instant) -> list[Command]:
        """Returns what follows from an event of the gateway; only an invoke wants an answer."""
        invoke = read_invoke(event.payload, now.mono) if event.event == "node.invoke.request" else None
        if invoke is None:
            return []
        memo = memo_for(self.subject.node_id, invoke)
        decision = decision_on(self.directory, self.subject, self.offered, invoke.command)
        if not isinstance(decision, Allow):
            return [denial(invoke.command, decision), Report(invoke.id, not_granted(invoke.command))]
        if memo is not None:
            before = look_up(invoke, memo, self.directory, now)
            if before:
                return before
        why = _away(invoke)
        return [Note("invoke-refused", {"command": invoke.command, "code": why.code}), Report(invoke.id, why)]


def _away(invoke: Invoke) -> ErrorShape:
    return answers.background(invoke.command, RETRY_MS) if needs_foreground(invoke.command) else AWAY
