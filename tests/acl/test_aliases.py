"""Which commands may stand for others, and when they do."""

from __future__ import annotations

from acl.aliases import STANDS_FOR, in_force, is_known
from acl.permissions import COMMANDS

EVERY = {name: sorted(others)[0] for name, others in STANDS_FOR.items()}


def test_only_what_a_node_lacks_is_given_to_it_by_what_it_declares() -> None:
    assert in_force(["canvas.navigate"], EVERY) == {"screen.navigate": "canvas.navigate"}
    assert in_force(["canvas.navigate", "screen.navigate"], EVERY) == {}
    assert in_force(["screen.show"], EVERY) == {}
    assert in_force(["canvas.navigate"], {}) == {}


def test_a_pair_that_cannot_be_translated_is_left_out() -> None:
    assert (
        in_force(["canvas.eval", "system.run"], {"screen.navigate": "canvas.eval", "screen.show": "system.run"}) == {}
    )
    assert not is_known("screen.setMode", "canvas.navigate")
    assert is_known("screen.navigate", "canvas.present")


def test_an_alias_never_crosses_a_permission() -> None:
    assert all(COMMANDS[name] is COMMANDS[other] for name, others in STANDS_FOR.items() for other in others)
