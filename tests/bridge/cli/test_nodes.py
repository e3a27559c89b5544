"""`nodes`: what is paired, and its end."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from bridge.control.limit_documents import LimitUse
from tests.bridge.cli.program import Program, in_pipe, on_terminal
from tests.doubles.control_daemon import ControlDaemon


def test_nodes_are_listed_with_or_without_the_word(daemon: ControlDaemon, program: Program) -> None:
    node = daemon.operations.phone_is_paired(withheld=["screen.eval"], wants=["camera.snap", "camera.clip"])
    seen = datetime.now(UTC) - timedelta(hours=3)
    daemon.operations.phone_is_paired("Ben", state="offline", last_seen_at=seen)
    daemon.operations.phone_is_paired("Eve", state="revoked", last_seen_at=None)
    result = program("nodes")
    assert result.out == program("nodes", "list").out
    head, first, second, third = result.out.splitlines()
    assert head.split() == ["NAME", "ID", "STATE", "SEEN", "PERMISSIONS", "NOTE"]
    assert node.node_id[:12] in first
    assert "1 withheld, wants 2 more" in first
    assert "3 hours ago" in second
    assert "never" in third
    document = json.loads(program("nodes", "--json").out)
    assert document == json.loads(program("nodes", "list", "--json").out)
    assert [each["displayName"] for each in document] == ["Anna's iPhone", "Ben", "Eve"]


def test_no_node_says_how_to_get_one(daemon: ControlDaemon, program: Program) -> None:
    assert "pair --qr\n" in program("nodes").out


def test_show_tells_everything(daemon: ControlDaemon, program: Program) -> None:
    line = "openclaw config set gateway.nodes.commands.allow '[\"screen.eval\"]' --strict-json"
    node = daemon.operations.phone_is_paired(withheld=["screen.eval"], allow_line=line, wants=["camera.snap"])
    out = program("nodes", "show", node.node_id[:5]).out
    for fact in (node.node_id, node.gateway_node_id, "1 as node, 1 as operator", "its device key", line, "camera.snap"):
        assert fact in out
    assert json.loads(program("nodes", "show", node.node_id, "--json").out) == node.to_json()


def test_ids_stay_whole_on_eighty_columns(daemon: ControlDaemon) -> None:
    node = daemon.operations.phone_is_paired(not_granted={"system": ["system.run"]}, link_error="why")
    _, shown = on_terminal(["--home", str(daemon.home), "nodes", "show", node.node_id], COLUMNS="80", NO_COLOR="1")
    assert node.node_id in shown
    assert node.gateway_node_id in shown


def test_show_says_what_is_not_granted_and_why_it_is_not_linked(daemon: ControlDaemon, program: Program) -> None:
    node = daemon.operations.phone_is_paired(
        not_granted={"system": ["system.run", "system.which"]}, link_error="the key is missing; do this"
    )
    out = program("nodes", "show", node.node_id).out
    assert "Not granted  system.run, system.which (needs `system`)" in out
    assert f"nodes permissions {node.node_id[:12]} screen,voice,device,system\n" in out
    assert any(" ".join(line.split()) == "Not linked the key is missing; do this" for line in out.splitlines())


def test_show_says_which_limits_were_met_and_that_it_is_kept_out(daemon: ControlDaemon, program: Program) -> None:
    """Red when a limit that was never met is shown, too."""
    met, unmet = LimitUse(used=40, of=40, met=7), LimitUse(used=1, of=30, met=0)
    node = daemon.operations.phone_is_paired(limits={"calls": met, "voice": unmet}, refused={"role": 3}, penalty_s=42)
    shown = " ".join(program("nodes", "show", node.node_id).out.split())
    assert "Limited calls 7 times Refused role 3 Kept out for 42 s: it was refused or limited too often" in shown
    quiet = daemon.operations.phone_is_paired("Quiet", limits={"voice": unmet}, refused={"scope": 5})
    out = program("nodes", "show", quiet.node_id).out
    assert "Limited" not in out
    assert "Refused" not in out
    assert "Kept out" not in out


def test_what_would_link_it_again_is_aimed_at_the_home_that_was_asked(daemon: ControlDaemon, program: Program) -> None:
    node = daemon.operations.phone_is_paired(link_error="no key\nRevoke it: clawdis-bridge nodes revoke ab")
    assert f"clawdis-bridge --home {program.home} nodes revoke ab" in program("nodes", "show", node.node_id).out


def test_when_several_permissions_are_missing_none_is_proposed(daemon: ControlDaemon, program: Program) -> None:
    node = daemon.operations.phone_is_paired(not_granted={"camera": ["camera.snap"], "system": ["system.run"]})
    out = program("nodes", "show", node.node_id).out
    assert f"nodes permissions {node.node_id[:12]} LIST\n" in out


def test_what_it_wants_names_the_request_and_only_when_one_waits(daemon: ControlDaemon, program: Program) -> None:
    node = daemon.operations.phone_is_paired(wants=["camera.snap"], request="req-7f3a9c21")
    out = program("nodes", "show", node.node_id).out
    assert "It also wants to offer: camera.snap" in out
    assert "approve req-7f3a9c21\n" in out
    node = daemon.operations.phone_is_paired(wants=["camera.snap"])
    out = program("nodes", "show", node.node_id).out
    assert "Nothing is asked at the moment." in out
    assert "pending" not in out
    assert "approve" not in out


def test_a_revoked_node_may_do_nothing(daemon: ControlDaemon, program: Program) -> None:
    node = daemon.operations.phone_is_paired(state="revoked", wants=["camera.snap"], withheld=["screen.eval"])
    out = program("nodes", "show", node.node_id).out
    assert "It may do nothing" in out
    for word in ("show things on its screen", "withholds", "wants"):
        assert word not in out


@pytest.mark.parametrize("options", [[], ["--yes"]])
def test_revoking_a_revoked_node_says_that_it_is(daemon: ControlDaemon, program: Program, options: list[str]) -> None:
    node = daemon.operations.phone_is_paired(state="revoked")
    result = program("nodes", "revoke", node.node_id[:8], *options)
    assert result.status == 1
    assert "is revoked already" in result.err
    assert "Nothing has the id" not in result.err


def test_a_node_that_was_never_linked_and_holds_nothing_is_shown(daemon: ControlDaemon, program: Program) -> None:
    node = daemon.operations.phone_is_paired(gateway_node_id="", permissions=[], declared_commands=[], security="mtls")
    out = program("nodes", "show", node.node_id).out
    assert "not known there yet" in out
    assert "nothing" in out
    assert "its own client certificate" in out


def test_rename_and_permissions_change_it(daemon: ControlDaemon, program: Program) -> None:
    node = daemon.operations.phone_is_paired()
    id = node.node_id[:6]
    assert "is now called Kitchen" in program("nodes", "rename", id, "Kitchen").out
    assert json.loads(program("nodes", "rename", id, "Hall", "--json").out)["displayName"] == "Hall"
    assert "Hall may:" in program("nodes", "permissions", id).out
    assert "Hall may now:" in program("nodes", "permissions", id, "camera").out
    assert json.loads(program("nodes", "permissions", id, "none", "--json").out)["permissions"] == []
    assert daemon.operations.rows[node.node_id].permissions == []


def three(daemon: ControlDaemon) -> list[str]:
    return [daemon.operations.phone_is_paired(name).node_id for name in ("Anna", "Ben", "Eve")]


def revoked(daemon: ControlDaemon) -> list[str]:
    return [each.display_name for each in daemon.operations.rows.values() if each.state == "revoked"]


@pytest.mark.parametrize(
    "arguments, gone",
    [(["{0}"], ["Anna"]), (["--all"], ["Anna", "Ben", "Eve"]), (["--others", "{1}"], ["Anna", "Eve"])],
)
def test_revoke_ends_those_that_were_meant(
    daemon: ControlDaemon, program: Program, arguments: list[str], gone: list[str]
) -> None:
    ids = [each[:8] for each in three(daemon)]
    result = program("nodes", "revoke", *(each.format(*ids) for each in arguments), "--yes")
    assert result.status == 0
    assert revoked(daemon) == gone
    assert result.out.count("Revoked: ") == len(gone)


def test_revoke_of_one_prints_one_document_and_of_many_a_list(daemon: ControlDaemon, program: Program) -> None:
    ids = three(daemon)
    one = json.loads(program("nodes", "revoke", ids[0], "--yes", "--json").out)
    assert set(one) == {"nodeId", "revokedAt"}
    rest = json.loads(program("nodes", "revoke", "--all", "--yes", "--json").out)
    assert [each["nodeId"] for each in rest] == ids[1:]
    assert program("nodes", "revoke", "--all", "--yes").out == "There was nothing to revoke.\n"
    assert program("nodes", "revoke", "--all").out == "There was nothing to revoke.\n"


@pytest.mark.parametrize("arguments", [["--all"], ["--others", "{0}"], ["{0}"]])
def test_piped_without_yes_nothing_is_revoked(daemon: ControlDaemon, arguments: list[str]) -> None:
    ids = three(daemon)
    words = [each.format(*ids) for each in arguments]
    done = in_pipe("--home", str(daemon.home), "nodes", "revoke", *words, text="y\n" * 100)
    assert done.returncode == 2
    assert b"--yes" in done.stderr
    assert revoked(daemon) == []


def test_a_slip_in_the_one_to_keep_revokes_nothing(daemon: ControlDaemon, program: Program) -> None:
    three(daemon)
    assert program("nodes", "revoke", "--others", "ffff0000", "--yes").status == 1
    assert revoked(daemon) == []


@pytest.mark.parametrize("answer, gone", [("y\n", ["Anna", "Ben", "Eve"]), ("\n", []), ("n\n", [])])
def test_on_a_terminal_it_asks_and_no_is_the_default(daemon: ControlDaemon, answer: str, gone: list[str]) -> None:
    three(daemon)
    status, shown = on_terminal(["--home", str(daemon.home), "nodes", "revoke", "--all"], answer)
    assert "Revoke these 3 nodes?" in shown
    assert "Ben" in shown
    assert revoked(daemon) == gone
    assert status == (0 if gone else 1)


def test_on_a_narrow_terminal_ids_and_states_stay_whole(daemon: ControlDaemon) -> None:
    node = daemon.operations.phone_is_paired("A phone with a name that is rather long", wants=["camera.snap"])
    status, shown = on_terminal(["--home", str(daemon.home), "nodes"], COLUMNS="70", NO_COLOR="1")
    assert status == 0
    assert node.node_id[:12] in shown
    assert "connected" in shown
    assert max(len(re.sub(r"\x1b\[\d*m", "", line)) for line in shown.splitlines()) <= 70


def test_a_node_that_is_away_says_since_when(daemon: ControlDaemon, program: Program) -> None:
    seen = datetime.now(UTC) - timedelta(days=2, minutes=1)
    node = daemon.operations.phone_is_paired(state="offline", last_seen_at=seen)
    assert "offline, seen 2 days ago" in program("nodes", "show", node.node_id).out


@pytest.mark.parametrize("state", ["connected", "offline"])
def test_a_node_whose_link_is_being_made_says_so(daemon: ControlDaemon, program: Program, state: str) -> None:
    node = daemon.operations.phone_is_paired(state=state, linking=True)
    shown = " ".join(program("nodes", "show", node.node_id).out.split())
    assert "its connection to the gateway is being made" in shown
