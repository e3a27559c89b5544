"""Of every method that the gateway has, those pass that the golden table names: no other, with no profile."""

from __future__ import annotations

import pytest

from tests.bridge.lan.every_method import GOLDEN, GRANTS, every_name, outcome, table

pytestmark = pytest.mark.real  # the official schema is installed with the gateway


def test_what_passes_is_what_the_golden_table_names() -> None:
    """Red when a rule of the built-in table gains or loses a name, a permission or a scope.

    A change that is meant: `python -m tests.bridge.lan.every_method > tests/bridge/lan/every_method.txt`, and a look
    at the difference.
    """
    found = list(table())
    print("\n".join(found))  # noqa: T201 - the list itself, for whoever runs it with -s
    assert len(every_name()) > 400
    assert found == GOLDEN.read_text(encoding="utf-8").splitlines()


def test_what_nobody_may_is_refused_with_everything_granted() -> None:
    for method in ("config.set", "exec.approval.resolve", "device.pair.approve", "node.pair.approve", "chat.inject"):
        assert method in every_name()
        assert outcome("node", GRANTS["everything"], method) == "refused"
        assert outcome("operator", GRANTS["everything"], method) == "refused"
