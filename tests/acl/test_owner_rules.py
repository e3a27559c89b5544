"""Rules of the owner's: asked before the table, in order; an allow stands for a permission and for nothing else."""

import pytest

from acl.engine import DEFAULT_DENY, allowed_names, decide
from acl.model import Allow, Call, Deny, Direction, OwnerRule, Policy, Reason, Subject
from acl.permissions import Permission
from acl.rules import RULES
from tests.acl.reference import LISTED, SESSIONED

EVERYTHING = frozenset(Permission)
SCOPES = frozenset({"operator.read", "operator.write"})
ME = Subject("me", EVERYTHING, SCOPES)
NOBODY = Subject("me", frozenset(), SCOPES)


def rule(
    direction: Direction, name: str, *, allow: bool = False, node: str | None = "me", id: str = "mine"
) -> OwnerRule:
    return OwnerRule(id, direction, name, node, allow)


def call(direction: Direction, name: str) -> Call:
    return Call(direction, name, target="me", command="screen.show", text="hello")


@pytest.mark.parametrize("direction, name", LISTED, ids=str)
def test_a_deny_closes_any_listed_name_to_one_node_or_to_all(direction: Direction, name: str) -> None:
    """Red when the table is asked before the owner, or a rule's node is not compared."""
    for node in ("me", None):
        policy = Policy(rules=(rule(direction, name, node=node),))
        denied = decide(policy, ME, call(direction, name))
        assert isinstance(denied, Deny)
        assert (denied.rule, denied.reason) == ("mine", Reason.OWNER)
        assert name not in allowed_names(policy, ME, direction)
    elsewhere = Policy(rules=(rule(direction, name, node="you"),))
    assert isinstance(decide(elsewhere, ME, call(direction, name)), Allow)
    assert name in allowed_names(elsewhere, ME, direction)


@pytest.mark.parametrize("direction, name", LISTED, ids=str)
def test_an_allow_stands_for_the_permission_and_not_for_the_scope(direction: Direction, name: str) -> None:
    """Red when an allow of the owner's returns before the scope is looked at."""
    policy = Policy(rules=(rule(direction, name, allow=True),))
    lent = decide(policy, NOBODY, call(direction, name))
    assert lent == Allow("mine", call(direction, name))
    assert name in allowed_names(policy, NOBODY, direction)
    assert isinstance(decide(policy, Subject("you", frozenset(), SCOPES), call(direction, name)), Allow) is (
        LISTED[direction, name][0] == "everyone"
    )
    if LISTED[direction, name][1]:
        unscoped = decide(policy, Subject("me", EVERYTHING), call(direction, name))
        assert isinstance(unscoped, Deny)
        assert unscoped.reason is Reason.MISSING_SCOPE


@pytest.mark.parametrize("name", ["config.set", "exec.approval.resolve", "Health", "screen.*", "", "vendor.x"])
@pytest.mark.parametrize("direction", Direction)
def test_an_allow_opens_no_name_that_the_table_does_not_know(direction: Direction, name: str) -> None:
    policy = Policy(rules=(rule(direction, name, allow=True),))
    assert decide(policy, ME, call(direction, name)).rule == DEFAULT_DENY
    assert allowed_names(policy, ME, direction) == allowed_names(Policy(), ME, direction)


def test_an_allow_lifts_neither_targets_nor_sessions_nor_orders() -> None:
    turn, invoke = (Direction.FROM_NODE, "agent"), (Direction.FROM_NODE, "node.invoke")
    policy = Policy(rules=(rule(*turn, allow=True), rule(*invoke, allow=True, id="other")))
    assert decide(policy, NOBODY, Call(*turn, session="kitchen")) == Deny("node-agent", Reason.SESSION)
    assert decide(policy, NOBODY, Call(*turn, text="/new")) == Deny("node-agent", Reason.COMMAND_TEXT)
    assert decide(policy, NOBODY, Call(*invoke, "you", "screen.show")) == Deny("node-invoke", Reason.TARGET)
    assert decide(policy, NOBODY, Call(*invoke, "me", "camera.snap")) == Deny("node-invoke", Reason.TARGET)
    assert isinstance(decide(policy, NOBODY, Call(*invoke, "me", "screen.show")), Allow)


def test_the_first_rule_that_fits_decides() -> None:
    way = (Direction.TO_NODE, "screen.eval")
    mine, all_of_them = rule(*way, allow=True, id="a"), rule(*way, node=None, id="b")
    assert decide(Policy(rules=(mine, all_of_them)), NOBODY, Call(*way)) == Allow("a", Call(*way))
    assert decide(Policy(rules=(all_of_them, mine)), ME, Call(*way)) == Deny("b", Reason.OWNER)
    assert decide(Policy(rules=(mine, all_of_them)), Subject("you", EVERYTHING), Call(*way)) == Deny("b", Reason.OWNER)


def test_an_operator_is_told_of_a_missing_scope_as_every_app_understands_it() -> None:
    for name, scope in [("chat.history", "operator.read"), ("health", "operator.admin")]:
        policy = Policy(rules=(rule(Direction.FROM_OPERATOR, name),))
        expected = Deny("mine", Reason.OWNER, scope)
        assert decide(policy, ME, Call(Direction.FROM_OPERATOR, name)) == expected


def test_nothing_is_allowed_to_every_node_at_once() -> None:
    with pytest.raises(ValueError, match="one node"):
        rule(Direction.TO_NODE, "screen.eval", allow=True, node=None)


@pytest.mark.parametrize("way, name", SESSIONED, ids=str)
def test_what_is_about_a_session_reaches_the_owners_sessions_only(way: str, name: str) -> None:
    """Red when one of these is left out of the engine's two sets, or stands in the wrong one."""
    asked = [Call(Direction(way), name, session=session) for session in (None, "", "main", "agent:main:main")]
    assert all(isinstance(decide(Policy(), ME, one), Allow) for one in asked)
    other = Call(Direction(way), name, session="kitchen")
    listed = next(entry for entry in RULES if entry.direction is Direction(way) and name in entry.names)
    assert decide(Policy(), ME, other) == Deny(listed.id, Reason.SESSION)
    kitchen = Policy(agent_sessions=frozenset({"kitchen"}))
    assert isinstance(decide(kitchen, ME, other), Allow)
    without = decide(kitchen, ME, Call(Direction(way), name))
    assert isinstance(without, Allow) is (SESSIONED[way, name] == "may")
