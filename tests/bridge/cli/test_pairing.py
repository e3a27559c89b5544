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


def test_a_native_request_shows_no_pin_to_compare_and_how_the_code_is_given(
    daemon: ControlDaemon, program: Program
) -> None:
    request = daemon.operations.phone_asks(kind="native")
    out = program("pending").out
    assert "Pin" not in out
    assert "six digits, shown on the device" in out
    assert f"approve {request.id} --code 123456\n" in out


def test_pending_says_what_is_not_granted_and_what_it_would_need(daemon: ControlDaemon, program: Program) -> None:
    offered = ["screen.show", "system.run", "system.which", "fs.listDir", "dir.list", "file.stat", "camera.snap"]
    daemon.operations.phone_asks(commands=offered)
    lines = [" ".join(line.split()) for line in program("pending").out.splitlines()]
    assert "Not granted camera.snap (needs `camera`)" in lines
    assert "system.run, system.which, fs.listDir, dir.list and 1 more (needs `system`)" in lines


def test_a_paired_node_that_offers_more_does_not_look_like_a_stranger(daemon: ControlDaemon, program: Program) -> None:
    request = daemon.operations.phone_asks(reason="wider", adds=["camera.snap"])
    out = program("pending").out
    assert "It is paired already, and offers more than you approved." in out
    assert any(line.split() == ["New", "camera.snap"] for line in out.splitlines())
    for word in ("Pin", "Trust", "expires", "--code"):
        assert word not in out
    assert f"approve {request.id}\n" in out


@pytest.mark.parametrize(
    "reason, words",
    [
        ("repair", "has lost its token"),
        ("changed", "was another kind of device"),
        ("return", "was paired before, and was revoked"),
    ],
)
def test_a_known_key_that_asks_again_is_said_to_be_one_and_still_needs_the_pin(
    daemon: ControlDaemon, program: Program, reason: str, words: str
) -> None:
    daemon.operations.phone_asks(reason=reason)
    out = program("pending").out
    assert words in out
    assert PIN in out
    assert program("approve", "req-7").status == 2


def test_nothing_pending_is_said(daemon: ControlDaemon, program: Program) -> None:
    assert program("pending").out == "No pairing request waits.\n"
    assert json.loads(program("pending", "--json").out) == []


def test_pending_as_json_is_the_document(daemon: ControlDaemon, program: Program) -> None:
    request = daemon.operations.phone_asks()
    assert json.loads(program("pending", "--json").out) == [request.to_json()]


def test_approve_grants_what_was_asked_for_and_says_it(daemon: ControlDaemon, program: Program) -> None:
    request = daemon.operations.phone_asks()
    result = program("approve", request.id[:6], "--yes")
    assert result.status == 0
    (node,) = daemon.operations.rows.values()
    assert node.permissions == request.permissions
    assert "Paired: Anna's iPhone" in result.out
    assert "openclaw config set gateway.nodes.commands.allow '[\"screen.navigate\"]' --strict-json" in result.out
    assert f"nodes revoke {node.node_id[:12]}" in result.out


def test_approve_says_what_stays_ungranted_and_how_to_grant_it(daemon: ControlDaemon, program: Program) -> None:
    daemon.operations.phone_asks(commands=["system.run"], platform="macos")
    out = program("approve", "req-7", "--yes").out
    (node,) = daemon.operations.rows.values()
    assert "Not granted  system.run (needs `system`)" in out
    assert f"nodes permissions {node.node_id[:12]} screen,voice,device,system\n" in out


def test_approve_can_grant_less_and_name_it(daemon: ControlDaemon, program: Program) -> None:
    daemon.operations.phone_asks()
    result = program("approve", "req-7f3a9c21", "--permissions", "voice", "--name", "Kitchen", "--yes", "--json")
    document = json.loads(result.out)
    assert set(document) == {"nodeId", "displayName", "permissions", "security", "withheld", "allowLine", "notGranted"}
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
    assert program(command, "aaaa1", *(["--yes"] if command == "approve" else [])).status == 0
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


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_without_a_terminal_the_pin_has_to_be_vouched_for(
    daemon: ControlDaemon, program: Program, options: list[str]
) -> None:
    """Guard out (`_require_no_question` not called): the phone is paired."""
    daemon.operations.phone_asks()
    result = program("approve", "req-7", *options)
    assert (result.status, result.out, daemon.operations.rows) == (2, "", {})
    assert PIN in result.err
    assert "--yes" in result.err
    assert daemon.operations.requests
    assert program("approve", "req-7", "--yes", *options).status == 0


@pytest.mark.parametrize("kind, last", [("openclaw", "--yes"), ("native", "--code 123456")])
@pytest.mark.parametrize(
    "options, shown",
    [
        (["--permissions", "voice, screen", "--name", "Anna's"], "--permissions voice,screen --name 'Anna'\"'\"'s'"),
        (["--permissions", "none"], "--permissions none"),
    ],
)
def test_the_advice_to_approve_grants_what_was_asked_for(
    daemon: ControlDaemon, program: Program, kind: str, last: str, options: list[str], shown: str
) -> None:
    daemon.operations.phone_asks("req-7", kind=kind)
    assert f"approve req-7 {shown} {last}\n" in program("approve", "req-7", *options).err


def test_json_does_not_skip_the_pin_on_a_terminal(daemon: ControlDaemon) -> None:
    daemon.operations.phone_asks()
    status, shown = on_terminal(["--home", str(daemon.home), "approve", "req-7", "--json"], "y\n")
    assert (status, daemon.operations.rows) == (2, {})
    assert '"code": "USAGE"' in shown


def test_what_adds_to_a_paired_node_needs_no_pin(daemon: ControlDaemon, program: Program) -> None:
    daemon.operations.phone_asks(reason="wider", adds=["camera.snap"])
    assert program("approve", "req-7").status == 0
    daemon.operations.phone_asks("req-8", reason="wider", adds=["camera.snap"], kind="native")
    status, shown = on_terminal(["--home", str(daemon.home), "approve", "req-8"], "y\n")
    assert status == 0
    assert "Shall it offer these as well?" in shown
    assert "tapped Trust" not in shown


def test_yes_on_a_terminal_asks_nothing(daemon: ControlDaemon) -> None:
    daemon.operations.phone_asks()
    status, shown = on_terminal(["--home", str(daemon.home), "approve", "req-7", "--yes"])
    assert status == 0
    assert "tapped Trust" not in shown


# The code of a native node.


@pytest.mark.parametrize("digits", ["123456", "123 456", "123-456"])
def test_a_code_on_the_command_line_approves(daemon: ControlDaemon, program: Program, digits: str) -> None:
    daemon.operations.phone_asks(kind="native")
    result = program("approve", "req-7", "--code", digits)
    assert result.status == 0
    assert "its own client certificate" in result.out


@pytest.mark.parametrize("options", [[], ["--json"], ["--yes"]])
def test_without_a_code_and_a_terminal_a_native_node_is_not_approved(
    daemon: ControlDaemon, program: Program, options: list[str]
) -> None:
    daemon.operations.phone_asks(kind="native")
    result = program("approve", "req-7", *options)
    assert (result.status, daemon.operations.rows) == (2, {})
    assert "code" in result.err


@pytest.mark.parametrize("digits", ["12345", "1234567", "12345a", "", "\u0661\u0662\u0663\u0664\u0665\u0666"])
def test_what_is_no_code_is_not_sent(daemon: ControlDaemon, program: Program, digits: str) -> None:
    daemon.operations.phone_asks(kind="native")
    assert program("approve", "req-7", "--code", digits).status == 2
    assert daemon.operations.calls == []


def test_a_wrong_code_is_refused_and_the_third_ends_the_request(daemon: ControlDaemon, program: Program) -> None:
    daemon.operations.phone_asks(kind="native")
    for left in (2, 1, 0):
        result = program("approve", "req-7", "--code", "000000")
        assert result.status == 1
        assert f"Tries left: {left}" in result.err
    assert program("approve", "req-7", "--code", "123456").status == 1
    assert daemon.operations.rows == {}


@pytest.mark.parametrize(
    "typed, paired",
    [("123456\n", 1), ("12345\n123 456\n", 1), ("000000\n123456\n", 1), ("0\n" + "000000\n" * 3, 0), ("\x04", 0)],
    ids=["right", "too short first", "wrong first", "three wrong", "end of input"],
)
def test_on_a_terminal_the_code_is_asked_for_until_it_is_right_or_the_request_ends(
    daemon: ControlDaemon, typed: str, paired: int
) -> None:
    daemon.operations.phone_asks(kind="native")
    status, shown = on_terminal(["--home", str(daemon.home), "approve", "req-7"], typed)
    assert "The six digits that the device shows" in shown
    assert "tapped Trust" not in shown
    assert (status == 0, len(daemon.operations.rows)) == (paired == 1, paired)


def test_a_code_for_a_device_that_shows_none_is_refused(daemon: ControlDaemon, program: Program) -> None:
    daemon.operations.phone_asks()
    assert program("approve", "req-7", "--code", "123456").status == 2
    assert daemon.operations.rows == {}
