"""What an admitted `connect` becomes: the offer to the gateway, and what is new in it."""

from __future__ import annotations

from acl.permissions import PROFILES, Permission
from bridge.lan.connect import read_connect
from bridge.lan.entry import enter
from bridge.lan.events import Join
from bridge.pairing.desk import Draft, Why
from bridge.pairing.records import NodeRecord, Role, Surface
from tests.bridge.lan.phones import IPHONE, PHONE, Json
from tests.bridge.lan.playbook import book


def join(record: NodeRecord, role: str = "node", **changes: object) -> Join:
    params: Json = {**IPHONE.params(role), **changes}
    return enter(read_connect(params), record, book()).join


def test_a_node_offers_what_it_declares_within_what_was_granted() -> None:
    offer = join(IPHONE.record(PROFILES["voice+screen"]), commands=["screen.show", "camera.snap", "device.info"]).offer
    assert offer == Surface(commands=("device.info", "screen.show"), caps=("device", "screen"))


def test_the_person_s_word_is_about_what_was_declared_then() -> None:
    seen = Surface(commands=("screen.show",), caps=("screen",))
    offer = join(IPHONE.record(frozenset(Permission), declared=seen)).offer
    assert offer == seen


def test_the_values_of_permissions_are_those_of_today() -> None:
    offer = join(IPHONE.record(frozenset({Permission.CAMERA})), permissions={"camera": False, "contacts": True}).offer
    assert offer.permissions == {"camera": False}


def test_what_no_table_lists_is_never_offered() -> None:
    declared = Surface(commands=("screen.show", "x.secret"), caps=("screen", "magic"))
    record = IPHONE.record(frozenset(Permission), declared=declared)
    offer = join(record, commands=["screen.show", "x.secret"], caps=["screen", "magic"]).offer
    assert (offer.commands, offer.caps) == (("screen.show",), ("screen",))


def test_more_than_before_is_a_request_for_both_together() -> None:
    record = IPHONE.record(PHONE, declared=Surface(commands=("screen.show",), caps=("screen",)))
    expected = Draft(
        IPHONE.node_id,
        record.public_key,
        record.labels,
        Surface(commands=("screen.show", "device.info"), caps=("screen", "device"), permissions={"camera": True}),
        PHONE,
        Why.WIDER,
    )
    assert join(record, commands=["screen.show", "device.info"]).wider == expected


def test_less_than_before_asks_for_nothing() -> None:
    assert join(IPHONE.record(), commands=["screen.show"]).wider is None


def test_a_command_that_no_permission_covers_asks_for_nothing() -> None:
    assert join(IPHONE.record(), commands=[*IPHONE.commands, "x.secret"]).wider is None


def test_an_operator_asks_for_nothing_wider() -> None:
    joined = join(IPHONE.record(), "operator", commands=["system.run"])
    assert (joined.role, joined.wider) == (Role.OPERATOR, None)


def test_scopes_come_from_the_store_and_can_only_be_narrowed() -> None:
    params = IPHONE.params("operator", scopes=["operator.write", "operator.admin", "operator.pairing"])
    entered = enter(read_connect(params), IPHONE.record(), book())
    assert entered.subject.scopes == {"operator.write"}
