"""Pure: what an admitted `connect` becomes: whom the ACL sees, what is offered to the gateway, what is new."""

from __future__ import annotations

from dataclasses import dataclass

from acl.model import Subject
from bridge.lan.connect import Connect
from bridge.lan.directory import Directory
from bridge.lan.events import Join
from bridge.lan.node_traffic import NodeTraffic
from bridge.lan.offer import offer_of
from bridge.lan.operator_traffic import OperatorTraffic
from bridge.lan.traffic import Traffic
from bridge.pairing.desk import Draft, Why
from bridge.pairing.records import NodeRecord, Role, Surface


@dataclass(frozen=True, slots=True)
class Entry:
    """An open socket's beginnings.

    Attributes:
        subject: whom the ACL sees.
        traffic: what the socket does from now on.
        join: what the shell has to be told.
    """

    subject: Subject
    traffic: Traffic
    join: Join


def enter(connect: Connect, record: NodeRecord, directory: Directory) -> Entry:
    """Makes the entry of an admitted socket; scopes and surface come from the store and can only be narrowed."""
    connect = connect.with_aliases(directory.policy.aliases)
    record = record.model_copy(update={"labels": record.labels.refreshed(connect.labels())})
    if connect.role is Role.OPERATOR:
        subject = Subject(record.node_id, record.granted, record.operator_scopes & frozenset(connect.scopes))
        join = Join(record, connect.role, Surface())
        return Entry(subject, OperatorTraffic(subject, directory), join)
    offer = offer_of(connect.surface(), record, directory.policy)
    subject = Subject(record.node_id, record.granted)
    traffic = NodeTraffic(subject, record, frozenset(offer.commands), directory, connect.aliases)
    return Entry(subject, traffic, Join(record, connect.role, offer, _wider(connect, record)))


def _wider(connect: Connect, record: NodeRecord) -> Draft | None:
    if not connect.surface().beyond(record.declared):
        return None
    declared = record.declared.joined(connect.surface())
    return Draft(record.node_id, record.public_key, record.labels, declared, record.granted, Why.WIDER)
