"""Pure: what a node's declaration comes to under the policy, and which sockets a change of the policy concerns."""

from __future__ import annotations

from acl.aliases import is_known
from acl.engine import allowed_names
from acl.model import Direction, Policy, Subject
from bridge.pairing.records import NodeRecord, Role, Surface


def offer_of(declared: Surface, record: NodeRecord, policy: Policy) -> Surface:
    """Returns what is offered to the gateway: declared now, seen by the person who approved, and allowed.

    Commands follow the decision, so that a denied one is not offered and a lent one is; capabilities and what the
    phone's system allows follow the permissions.
    """
    seen = declared.within(record.declared)
    subject = Subject(record.node_id, record.granted)
    allowed = frozenset(allowed_names(policy, subject, Direction.TO_NODE))
    commands = tuple(name for name in seen.commands if name in allowed)
    return seen.granted(record.granted).model_copy(update={"commands": commands})


def is_concerned(record: NodeRecord, role: Role, before: Policy, after: Policy) -> bool:
    """Tells whether an open socket was told something that another policy makes untrue: it has to come again.

    Args:
        record: the node as it was admitted.
        role: the socket's.
        before: the policy that it was told by.
        after: the one that comes into force.
    """
    return _told(record, role, before) != _told(record, role, after)


def _told(record: NodeRecord, role: Role, policy: Policy) -> tuple[object, ...]:
    """What hello-ok and the offer say of the policy."""
    if role is Role.OPERATOR:
        subject = Subject(record.node_id, record.granted, record.operator_scopes)
        return tuple(
            allowed_names(policy, subject, way) for way in (Direction.FROM_OPERATOR, Direction.EVENT_TO_OPERATOR)
        )
    subject = Subject(record.node_id, record.granted)
    names = (allowed_names(policy, subject, way) for way in (Direction.FROM_NODE, Direction.EVENT_TO_NODE))
    own = record.declared.commands
    aliases = sorted(pair for pair in policy.aliases.items() if pair[1] in own and is_known(*pair))
    return (*names, offer_of(record.declared, record, policy), aliases)
