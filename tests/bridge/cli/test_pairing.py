"""`pending`, `approve` and `deny`: nobody gets in by a slip."""

from __future__ import annotations

import json

import pytest

from tests.bridge.cli.program import Program, in_pipe, on_terminal
from tests.doubles.control_daemon import ControlDaemon
from tests.doubles.operations import PIN


def test_pending_shows_what_a_decision_needs(daemon: ControlDaemon, program: Program) -> None:
    request = daemon.operations.phone_asks(previously_revoked=True)
    out = program("pending").out
    for fact in (request.id, request.address, request.key_fingerprint, PIN, "iOS 19.1 iPhone", "screen.navigate"):
        assert fact in out
    assert "may give orders to your agent" in out
    assert "was revoked" in out
    assert f"approve {request.id}\n" in out
    assert f"deny {request.id}\n" in out


def test_a_native_request_shows_no_pin_to_compare(daemon: ControlDaemon, program: Program) -> None:
    daemon.operations.phone_asks(kind="native")
    assert "Pin" not in program("pending").out


def test_nothing_pending_is_said(daemon: ControlDaemon, program: Program) -> None:
    assert program("pending").out == "No pairing request waits.\n"
    assert json.loads(program("pending", "--json").out) == []


def test_pending_as_json_is_the_document(daemon: ControlDaemon, program: Program) -> None:
    request = daemon.operations.phone_asks()
    assert json.loads(program("pending", "--json").out) == [request.to_json()]


def test_approve_grants_what_was_asked_for_and_says_it(daemon: ControlDaemon, program: Program) -> None:
    request = daemon.operations.phone_asks()
    result = program("approve", request.id[:6])
    assert result.status == 0
    (node,) = daemon.operations.rows.values()
    assert node.permissions == request.permissions
    assert "Paired: Anna's iPhone" in result.out
    assert "openclaw config set gateway.nodes.commands.allow '[\"screen.navigate\"]' --strict-json" in result.out
    assert f"nodes revoke {node.node_id[:12]}" in result.out


def test_approve_can_grant_less_and_name_it(daemon: ControlDaemon, program: Program) -> None:
    daemon.operations.phone_asks()
    result = program("approve", "req-7f3a9c21", "--permissions", "voice", "--name", "Kitchen", "--json")
    document = json.loads(result.out)
    assert set(document) == {"nodeId", "displayName", "permissions", "security", "withheld", "allowLine"}
    assert (document["displayName"], document["permissions"]) == ("Kitchen", ["voice"])


@pytest.mark.parametrize("command", ["approve", "deny"])
def test_an_id_that_fits_two_or_none_or_was_decided_is_refused(
    daemon: ControlDaemon, program: Program, command: str
) -> None:
    daemon.operations.phone_asks("aaaa1111")
    daemon.operations.phone_asks("aaaa2222")
    for id in ("aaaa", "a", "1", "0", "bbbb", "*", "../x"):
        result = program(command, id)
        assert (result.status, result.out) == (1, ""), id
    assert len(daemon.operations.requests) == 2
    assert program(command, "aaaa1").status == 0
    result = program(command, "aaaa1")
    assert result.status == 1
    assert "decided before" in result.err


def test_deny_refuses_the_request(daemon: ControlDaemon, program: Program) -> None:
    daemon.operations.phone_asks("aaaa1111")
    assert program("deny", "aaaa").out == "Denied: aaaa1111\n"
    daemon.operations.phone_asks("bbbb1111")
    assert json.loads(program("deny", "bbbb", "--json").out) == {"id": "bbbb1111"}


@pytest.mark.parametrize("arguments", [["approve"], ["approve", "--all"], ["approve", "aaaa"]])
def test_a_piped_yes_approves_nothing_that_was_not_named(daemon: ControlDaemon, arguments: list[str]) -> None:
    daemon.operations.phone_asks("aaaa1111")
    daemon.operations.phone_asks("aaaa2222")
    done = in_pipe(*arguments, "--home", str(daemon.home), text="y\n" * 100)
    assert done.returncode in (1, 2)
    assert daemon.operations.rows == {}


@pytest.mark.parametrize("answer, paired", [("y\n", 1), ("n\n", 0), ("\n", 0), ("\x04", 0)])
def test_on_a_terminal_the_pin_has_to_be_confirmed(daemon: ControlDaemon, answer: str, paired: int) -> None:
    daemon.operations.phone_asks()
    status, shown = on_terminal(["--home", str(daemon.home), "approve", "req-7", "--permissions", "location"], answer)
    assert PIN in shown
    assert "your agent may ask where it is" in shown
    assert "Did the phone show this pin when you tapped Trust" in shown
    assert (status == 0, len(daemon.operations.rows)) == (paired == 1, paired)


@pytest.mark.parametrize("kind, option", [("native", []), ("openclaw", ["--yes"])])
def test_where_there_is_no_pin_or_it_was_confirmed_nothing_is_asked(
    daemon: ControlDaemon, kind: str, option: list[str]
) -> None:
    daemon.operations.phone_asks(kind=kind)
    status, shown = on_terminal(["--home", str(daemon.home), "approve", "req-7", *option])
    assert status == 0
    assert "tapped Trust" not in shown
