"""What is offered to the gateway follows the policy, and a change of it concerns those sockets only that it changes."""

from __future__ import annotations

import pytest

from acl.model import Direction, OwnerRule, Policy
from acl.permissions import PROFILES, Permission
from bridge.lan.offer import is_concerned, offer_of
from bridge.pairing.records import Role, Surface
from tests.bridge.lan.phones import ANDROID, IPHONE

SEEN = Surface(commands=("screen.eval", "screen.show", "camera.snap"), caps=("screen", "camera"))
RECORD = IPHONE.record(PROFILES["phone"], declared=SEEN)


def rule(direction: Direction, name: str, *, allow: bool = False, node: str | None = None) -> Policy:
    return Policy(rules=(OwnerRule("mine", direction, name, node, allow),))


def commands(policy: Policy, declared: Surface = SEEN) -> tuple[str, ...]:
    return offer_of(declared, RECORD, policy).commands


def test_a_denied_command_is_not_offered() -> None:
    """Red when the offer is made from the permissions alone."""
    assert commands(Policy()) == ("screen.eval", "screen.show")
    assert commands(rule(Direction.TO_NODE, "screen.eval")) == ("screen.show",)
    assert commands(rule(Direction.TO_NODE, "screen.eval", node=ANDROID.node_id)) == ("screen.eval", "screen.show")


def test_a_lent_command_is_offered_if_the_person_saw_it_and_the_node_still_declares_it() -> None:
    lent = rule(Direction.TO_NODE, "camera.snap", allow=True, node=IPHONE.node_id)
    assert commands(lent) == ("screen.eval", "screen.show", "camera.snap")
    assert commands(lent, Surface(commands=("screen.show",))) == ("screen.show",)
    unseen = rule(Direction.TO_NODE, "location.get", allow=True, node=IPHONE.node_id)
    assert commands(unseen, Surface(commands=("location.get", "screen.show"))) == ("screen.show",)


def test_words_about_the_node_follow_the_permissions() -> None:
    lent = rule(Direction.TO_NODE, "camera.snap", allow=True, node=IPHONE.node_id)
    assert offer_of(SEEN, RECORD, lent).caps == ("screen",)


@pytest.mark.parametrize(
    "after, node, operator",
    [
        (Policy(), False, False),
        (Policy(agent_sessions=frozenset({"kitchen"}), snapshot_max_width=5), False, False),
        (rule(Direction.TO_NODE, "screen.eval"), True, False),
        (rule(Direction.TO_NODE, "canvas.eval"), False, False),
        (rule(Direction.TO_NODE, "screen.eval", node=ANDROID.node_id), False, False),
        (rule(Direction.FROM_NODE, "agent"), True, False),
        (rule(Direction.EVENT_TO_NODE, "chat"), True, False),
        (rule(Direction.FROM_OPERATOR, "chat.history"), False, True),
        (rule(Direction.EVENT_TO_OPERATOR, "chat"), False, True),
        (rule(Direction.TO_NODE, "camera.snap", allow=True, node=IPHONE.node_id), True, False),
        (rule(Direction.TO_NODE, "screen.show", allow=True, node=IPHONE.node_id), False, False),
        (rule(Direction.TO_NODE, "location.get", allow=True, node=IPHONE.node_id), False, False),
    ],
)  # fmt: skip
def test_only_those_are_concerned_to_whom_it_makes_a_difference(after: Policy, node: bool, operator: bool) -> None:
    assert is_concerned(RECORD, Role.NODE, Policy(), after) is node
    assert is_concerned(RECORD, Role.OPERATOR, Policy(), after) is operator
    assert is_concerned(RECORD, Role.NODE, after, Policy()) is node


def test_an_alias_concerns_those_who_declare_what_stands_for_it() -> None:
    """Red when aliases are left out: the node would go on offering what the owner took back."""
    older = IPHONE.record(PROFILES["phone"], declared=Surface(commands=("canvas.eval", "screen.eval")))
    after = Policy(aliases={"screen.eval": "canvas.eval"})
    assert is_concerned(older, Role.NODE, Policy(), after)
    assert is_concerned(older, Role.NODE, after, Policy())
    assert not is_concerned(RECORD, Role.NODE, Policy(), after)


def test_a_phone_without_chat_has_no_operator_methods_that_could_change() -> None:
    quiet = IPHONE.record(frozenset({Permission.VOICE}))
    assert not is_concerned(quiet, Role.OPERATOR, Policy(), rule(Direction.FROM_OPERATOR, "chat.history"))
    assert is_concerned(quiet, Role.OPERATOR, Policy(), rule(Direction.FROM_OPERATOR, "health"))
