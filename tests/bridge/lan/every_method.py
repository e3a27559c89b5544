"""Every method of the official schema, tried by a node and by an operator socket with each profile: what passes.

`python -m tests.bridge.lan.every_method` prints the table; its golden copy is `every_method.txt` beside this file:

    python -m tests.bridge.lan.every_method > tests/bridge/lan/every_method.txt
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from acl.model import Direction, Subject
from acl.permissions import PROFILES, Permission, Permissions
from acl.rules import listed_names
from bridge.lan.events import Forward
from bridge.lan.node_traffic import NodeTraffic
from bridge.lan.operator_traffic import OperatorTraffic
from bridge.lan.traffic import Refused, Traffic
from bridge.pairing.records import NodeRecord
from gateway_client.frames import Json, Request
from tests.bridge.lan.phones import IPHONE
from tests.bridge.lan.playbook import START, book
from tests.support import schema

GOLDEN = Path(__file__).with_suffix(".txt")
GRANTS: dict[str, Permissions] = {"nothing": frozenset(), **PROFILES, "everything": frozenset(Permission)}
PARAMS: dict[str, dict[str, Json]] = {  # the least with which a method does something
    "node.event": {"event": "node.presence.alive", "payload": {"trigger": "manual"}},
    "node.invoke.result": {"id": "i", "nodeId": IPHONE.node_id, "ok": True},
    "node.invoke.progress": {"invokeId": "i", "nodeId": IPHONE.node_id, "seq": 0, "chunk": ""},
    "node.pending.ack": {"ids": ["a"]},
    "node.invoke": {"nodeId": IPHONE.node_id, "command": "screen.show", "idempotencyKey": "k"},
    "agent": {"message": "hi", "idempotencyKey": "k"},
    "agent.wait": {"runId": "r"},
    "chat.history": {"sessionKey": "main"},
    "chat.send": {"sessionKey": "main", "message": "hi", "idempotencyKey": "k"},
    "chat.abort": {"sessionKey": "main"},
    "sessions.preview": {"keys": ["main"]},
    "sessions.messages.subscribe": {"key": "main"},
    "sessions.messages.unsubscribe": {"key": "main"},
    "sessions.branches.list": {"sessionKey": "main"},
    "progressCard.get": {"sessionKey": "main"},
    "artifacts.download": {"sessionKey": "main", "artifactId": "a"},
    "tools.effective": {"sessionKey": "main"},
}


def every_name() -> list[str]:
    """Return the methods of the schema, and those of the table that it does not list."""
    ours = listed_names(Direction.FROM_NODE) | listed_names(Direction.FROM_OPERATOR)
    return sorted(schema.known_methods() | ours)


def _traffic(role: str, record: NodeRecord) -> Traffic:
    directory = book(record)
    if role == "operator":
        return OperatorTraffic(Subject(record.node_id, record.granted, record.operator_scopes), directory)
    return NodeTraffic(Subject(record.node_id, record.granted), record, frozenset(), directory)


def outcome(role: str, permissions: Permissions, method: str) -> str:
    """Return what becomes of a call: `refused`, `bridge` (answered here) or `gateway` (forwarded)."""
    request = Request("r", method, PARAMS.get(method, {}))
    result = _traffic(role, IPHONE.record(permissions)).on_request(request, START)
    if isinstance(result, Refused):
        return "refused"
    return "gateway" if any(isinstance(command, Forward) for command in result) else "bridge"


def table() -> Iterator[str]:
    """Yield one line for each call that passes, and one for each socket with the number of those that do not."""
    names = every_name()
    for role in ("node", "operator"):
        for grant, permissions in GRANTS.items():
            outcomes = {name: outcome(role, permissions, name) for name in names}
            passing = {name: how for name, how in outcomes.items() if how != "refused"}
            yield f"{role} {grant}: {len(passing)} pass"
            yield from (f"{role} {grant} {name} -> {how}" for name, how in passing.items())


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in table())
