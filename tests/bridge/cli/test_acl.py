"""`acl explain`: the decision and the rule behind it."""

from __future__ import annotations

import json

from bridge.control.documents import Explanation
from tests.bridge.cli.program import Program
from tests.doubles.control_daemon import ControlDaemon


def test_the_decision_the_rule_and_the_reason_are_told(daemon: ControlDaemon, program: Program) -> None:
    node = daemon.operations.phone_is_paired()
    daemon.operations.verdict = Explanation(decision="allow", rule="to-node.screen", reason="granted: screen")
    result = program("acl", "explain", node.node_id[:6], "node.invoke", "screen.eval")
    assert result.status == 0
    lines = [line.split() for line in result.out.splitlines()]
    assert lines == [["Decision", "allow"], ["Rule", "to-node.screen"], ["Reason", "granted:", "screen"]]


def test_the_command_that_would_grant_it_is_told(daemon: ControlDaemon, program: Program) -> None:
    node = daemon.operations.phone_is_paired()
    fix = "clawdis-bridge nodes permissions abcd chat"
    daemon.operations.verdict = Explanation(decision="deny", rule="operator-write", reason="needs `chat`", fix=fix)
    assert program("acl", "explain", node.node_id, "chat.send").out.endswith(
        f"To grant it:\n  clawdis-bridge --home {daemon.home} nodes permissions abcd chat\n"
    )


def test_a_denial_is_an_answer_and_no_failure(daemon: ControlDaemon, program: Program) -> None:
    node = daemon.operations.phone_is_paired()
    result = program("acl", "explain", node.node_id, "exec.run", "--json")
    assert result.status == 0
    assert json.loads(result.out) == {"decision": "deny", "rule": "default", "reason": "no rule lists it"}


def test_a_node_that_is_not_there_is_refused(daemon: ControlDaemon, program: Program) -> None:
    assert program("acl", "explain", "abcd", "agent").status == 1
