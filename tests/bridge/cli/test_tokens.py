"""`tokens`: the one-time codes that were made, and their end."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.bridge.cli.program import Program, on_terminal
from tests.doubles.code_operations import SETUP_CODE
from tests.doubles.control_daemon import ControlDaemon

NODE = "ab" * 32


def test_codes_are_listed_newest_first_with_or_without_the_word(daemon: ControlDaemon, program: Program) -> None:
    codes, now = daemon.operations.codes, datetime.now(UTC)
    codes.code_was_made("aaaa1111", state="used", used_by=NODE, created_at=now - timedelta(hours=2))
    codes.code_was_made("bbbb2222", kind="native", permissions=["screen"], created_at=now - timedelta(minutes=3))
    result = program("tokens")
    assert result.status == 0
    assert result.out == program("tokens", "list").out
    head, second, first = [line.split() for line in result.out.splitlines()]
    assert head == ["ID", "FOR", "STATE", "MADE", "PERMITS", "USED", "BY"]
    assert (second[0], first[0]) == ("bbbb2222", "aaaa1111")
    assert "native node" in " ".join(second)
    assert "unused, ends in" in " ".join(second)
    assert "OpenClaw app used 2 hours ago" in " ".join(first)
    assert first[-1] == NODE[:12]


@pytest.mark.parametrize("state", ["unused", "used", "expired", "revoked"])
def test_every_state_is_shown(daemon: ControlDaemon, program: Program, state: str) -> None:
    daemon.operations.codes.code_was_made(state=state)
    assert state in program("tokens").out


def test_json_is_the_documents_of_the_contract(daemon: ControlDaemon, program: Program) -> None:
    row = daemon.operations.codes.code_was_made()
    assert json.loads(program("tokens", "--json").out) == [row.to_json()]
    assert json.loads(program("tokens", "list", "--json").out) == [row.to_json()]


def test_no_code_says_how_to_make_one(daemon: ControlDaemon, program: Program) -> None:
    assert "pair --qr\n" in program("tokens").out


def test_the_code_itself_is_never_listed(daemon: ControlDaemon, program: Program) -> None:
    program("pair", "--qr")
    for options in ([], ["--json"]):
        assert SETUP_CODE[:20] not in program("tokens", *options).out


def test_a_code_is_taken_back_by_the_beginning_of_its_id(daemon: ControlDaemon, program: Program) -> None:
    daemon.operations.codes.code_was_made("aaaa1111")
    assert program("tokens", "revoke", "aaaa").out == "Taken back: aaaa1111\n"
    assert daemon.operations.codes.rows["aaaa1111"].state == "revoked"
    assert json.loads(program("tokens", "revoke", "aaaa", "--json").out)["state"] == "revoked"


def test_taking_back_a_used_code_says_that_the_node_stays(daemon: ControlDaemon, program: Program) -> None:
    daemon.operations.codes.code_was_made("aaaa1111", state="used", used_by=NODE)
    out = program("tokens", "revoke", "aaaa1111").out
    assert "stays paired" in out
    assert f"nodes revoke {NODE[:12]}\n" in out


@pytest.mark.parametrize("id", ["bbbb", "aaaa", "a", "*"])
def test_an_id_that_fits_none_or_two_takes_nothing_back(daemon: ControlDaemon, program: Program, id: str) -> None:
    for each in ("aaaa1111", "aaaa2222"):
        daemon.operations.codes.code_was_made(each)
    result = program("tokens", "revoke", id)
    assert (result.status, result.out) == (1, "")
    assert {row.state for row in daemon.operations.codes.rows.values()} == {"unused"}


def test_on_a_narrow_terminal_ids_and_words_stay_whole(daemon: ControlDaemon) -> None:
    permits = ["chat", "device", "notify", "screen", "voice"]
    daemon.operations.codes.code_was_made("aaaa1111", permissions=permits)
    daemon.operations.codes.code_was_made("bbbb2222", state="used", used_by=NODE, permissions=permits)
    status, shown = on_terminal(["--home", str(daemon.home), "tokens"], COLUMNS="80", NO_COLOR="1")
    assert status == 0
    for whole in ("aaaa1111", "OpenClaw app", "unused", NODE[:12], *permits):
        assert whole in shown
