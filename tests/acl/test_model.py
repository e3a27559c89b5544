"""The vocabulary: values that cannot be changed after a decision, and that keep words out of logs."""

import dataclasses

import pytest

from acl.model import Allow, Call, Deny, Direction, Policy, Reason, Subject
from acl.permissions import Permission

CALL = Call(Direction.FROM_NODE, "agent", text="what I said at home")
VALUES = [
    (CALL, "name"),
    (Allow("node-agent", CALL), "call"),
    (Deny("default-deny", Reason.UNLISTED), "reason"),
    (Subject("n", frozenset({Permission.VOICE})), "permissions"),
    (Policy(), "agent_commands"),
]


@pytest.mark.parametrize("value, name", VALUES, ids=[type(value).__name__ for value, _ in VALUES])
def test_what_was_decided_on_stays_as_it_was(value: object, name: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, None)


def test_the_words_of_a_person_are_not_printed() -> None:
    assert "home" not in repr(CALL)
    assert "home" not in repr(Allow("node-agent", CALL))


def test_the_policy_starts_narrow() -> None:
    assert Policy() == Policy(frozenset({"main"}), False, frozenset(), ("screen.*", "device.*"))
