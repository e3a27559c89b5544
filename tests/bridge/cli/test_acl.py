"""`acl` and `policy`: the decision and the rule behind it, the policy, and files that are or are not one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from acl.rules import RULES
from bridge.control.documents import Explanation
from bridge.control.requests import ExplainBody
from bridge.errors import RefusedError
from bridge.policy_document import parse_policy
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


def test_what_else_is_said_of_the_call_is_asked(daemon: ControlDaemon, program: Program) -> None:
    node = daemon.operations.phone_is_paired()
    more = ("--target", "abcd", "--session", "kitchen", "--text", "/new", "--url", "https://a.example/")
    assert program("acl", "explain", node.node_id, "node.invoke", "screen.show", *more).status == 0
    assert daemon.operations.asked == ExplainBody(
        node=node.node_id,
        method="node.invoke",
        command="screen.show",
        target="abcd",
        session="kitchen",
        text="/new",
        url="https://a.example/",
    )


# The policy.


POLICY = """
[profiles.kiosk]
permissions = ["screen"]
[[rules]]
id = "no-eval-here"
when = { direction = "to-node", command = "screen.eval" }
decision = "deny"
"""


def test_the_rules_are_shown_in_the_order_in_which_they_are_asked(daemon: ControlDaemon, program: Program) -> None:
    fake = daemon.operations.policy
    fake.in_force = replace(fake.in_force, policy=parse_policy(POLICY, file="x"), file=Path("/h/policy.toml"))
    result = program("acl", "show")
    assert result.status == 0
    lines = result.out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("RULE"))
    assert lines[first + 1].split() == [
        "no-eval-here",
        "policy.toml",
        "to-node",
        "deny",
        "every",
        "node",
        "screen.eval",
    ]
    assert lines[first + 2].startswith("node-health")
    assert lines[0].startswith("Policy     /h/policy.toml, 1 rule, read ")
    assert any(line.split() == ["kiosk", "screen", "policy.toml"] for line in lines)
    assert lines[-1].endswith("what none names is denied (default-deny).")
    shown = json.loads(program("acl", "show", "--json").out)
    assert (shown["rules"][0]["id"], shown["rules"][0]["origin"]) == ("no-eval-here", "owner")
    assert len(shown["rules"]) == len(RULES) + 1


def test_a_file_is_checked_without_a_daemon(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "draft.toml"
    file.write_text(POLICY)
    good = program("acl", "check", str(file))
    assert (good.status, good.out) == (0, f"Right: {file}\n  1 rule, profiles: kiosk\n")
    assert json.loads(program("acl", "check", str(file), "--json").out) == {
        "ok": True, "file": str(file), "problems": [], "rules": 1, "profiles": ["kiosk"],
    }  # fmt: skip


def test_a_wrong_file_ends_with_1_and_says_where_why_and_what_to_write(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "draft.toml"
    file.write_text(POLICY.replace("screen.eval", "screen.evall") + "[agnt]\n")
    wrong = program("acl", "check", str(file))
    assert (wrong.status, wrong.err) == (1, "")
    assert wrong.out == (
        f"Wrong: {file}\n"
        "  rules[no-eval-here].when: no rule knows such a command.\n    Did you mean 'screen.eval'?\n"
        "  agnt: there is no such key.\n    Did you mean 'agent'?\n"
    )
    document = json.loads(program("acl", "check", str(file), "--json").out)
    assert (document["ok"], [each["key"] for each in document["problems"]]) == (
        False,
        ["rules[no-eval-here].when", "agnt"],
    )
    assert program("acl", "check", str(tmp_path / "none.toml")).status == 1


def test_a_reload_says_what_is_in_force_and_who_comes_again(daemon: ControlDaemon, program: Program) -> None:
    daemon.operations.policy.next = parse_policy(POLICY, file="x")
    daemon.operations.policy.reconnecting = 1
    result = program("policy", "reload")
    assert result.status == 0
    assert result.out.splitlines() == [
        "In force now:",
        "Policy  /home/policy.toml, 1 rule, read just now",
        "1 connection will come again, because it changed for them.",
    ]
    shown = json.loads(program("policy", "reload", "--json").out)
    assert (shown["reconnecting"], shown["policy"]["rules"], shown["policy"]["source"]) == (1, 1, "file")


def test_a_refused_reload_ends_with_1_and_aims_its_advice(daemon: ControlDaemon, program: Program) -> None:
    fix = "Check it: clawdis-bridge acl check /h/policy.toml"
    daemon.operations.break_with(RefusedError("The policy was not changed.", fix, code="POLICY_REFUSED"))
    result = program("policy", "reload")
    assert (result.status, result.out) == (1, "")
    assert f"Check it: clawdis-bridge --home {daemon.home} acl check /h/policy.toml" in result.err
