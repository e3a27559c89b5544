"""The rule table itself: well-formed, unambiguous, and the same as the design's."""

import re
from collections import Counter

from acl.model import Direction
from acl.rules import APPS_TRY, RULES, SCOPES_ELSEWHERE
from tests.acl.reference import EVERYONE, LISTED

GRANTABLE = {"operator.read", "operator.write"}  # design §9
NAME = re.compile(r"[a-z][a-zA-Z0-9]*(\.[a-zA-Z0-9]+)*")  # security.md E2


def test_the_table_says_what_the_design_says() -> None:
    written = {
        (rule.direction, name): (" ".join(sorted(rule.any_of)) or EVERYONE, rule.scope or "")
        for rule in RULES
        for name in rule.names
    }
    assert written == {key: (" ".join(sorted(grants.split())), scope) for key, (grants, scope) in LISTED.items()}


def test_no_name_stands_twice_in_one_direction() -> None:
    counted = Counter((rule.direction, name) for rule in RULES for name in rule.names)
    assert [key for key, count in counted.items() if count > 1] == []


def test_every_rule_has_its_own_id() -> None:
    ids = [rule.id for rule in RULES]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", rule_id) for rule_id in ids)


def test_names_are_of_the_one_grammar() -> None:
    for name in {name for rule in RULES for name in rule.names} | APPS_TRY | SCOPES_ELSEWHERE.keys():
        assert NAME.fullmatch(name), name


def test_scopes_are_asked_of_operator_sockets_only() -> None:
    for rule in RULES:
        if rule.scope is None:
            assert not rule.direction.endswith("-operator") or rule.names == {"health"}
        else:
            assert rule.direction in {Direction.FROM_OPERATOR, Direction.EVENT_TO_OPERATOR}
            assert rule.scope in GRANTABLE
            assert rule.any_of


def test_a_phone_is_never_admitted_with_more_than_reading_and_writing() -> None:
    assert {rule.scope for rule in RULES if rule.scope} == GRANTABLE
    assert not GRANTABLE & set(SCOPES_ELSEWHERE.values())


def test_what_apps_try_covers_what_they_may_and_what_has_its_own_scope() -> None:
    listed = {name for way, name in LISTED if way is Direction.FROM_OPERATOR}
    assert listed <= APPS_TRY
    assert SCOPES_ELSEWHERE.keys() <= APPS_TRY
    assert not SCOPES_ELSEWHERE.keys() & listed
    assert not APPS_TRY & {"node.invoke", "exec.approval.resolve", "config.set", "device.pair.approve", "agent"}
