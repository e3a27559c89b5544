"""`certs`: what is in force, and changes that break pairings only when a person says so."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from bridge.control.documents import NodeCertificateRow
from tests.bridge.cli.program import Program, in_pipe, on_terminal
from tests.doubles.certificate_operations import HOST
from tests.doubles.control_daemon import ControlDaemon
from tests.doubles.operations import PIN, SPKI


def node(name: str, *, knows_next: bool = False, days: int | None = 60) -> NodeCertificateRow:
    ends = None if days is None else datetime.now(UTC) + timedelta(days=days)
    return NodeCertificateRow(
        node_id=name.encode().hex().ljust(64, "0"), display_name=name, not_after=ends, knows_next=knows_next
    )


def test_the_page_tells_what_is_in_force(daemon: ControlDaemon, program: Program) -> None:
    certs = daemon.operations.certs
    certs.holds(node("Kitchen", knows_next=True), node("Hall", days=-1), node("Attic", days=None), apps=2)
    following = certs.next_is_prepared()
    result = program("certs", "show")
    assert result.status == 0
    for fact in (PIN, SPKI, HOST, following, certs.report.authority.spki, "in the keychain"):
        assert fact in result.out
    lines = {line.split()[0]: " ".join(line.split()) for line in result.out.splitlines() if line}
    assert lines["Apps"] == "Apps 2 that pin the certificate"
    assert "valid to" in lines["Kitchen"]
    assert lines["Kitchen"].endswith("known")
    assert "ran out" in lines["Hall"]
    assert "not fetched yet" in lines["Attic"]


def test_a_passphrase_in_a_file_and_no_native_node_are_said(daemon: ControlDaemon, program: Program) -> None:
    certs = daemon.operations.certs
    certs.report = certs.report.model_copy(update={"passphrase_place": "file"})
    out = program("certs", "show").out
    assert "in a file beside the keys" in out
    assert "none prepared" in out
    assert "No native node is paired." in out


def test_hashes_stay_whole_on_eighty_columns(daemon: ControlDaemon) -> None:
    following = daemon.operations.certs.next_is_prepared()
    _, shown = on_terminal(["--home", str(daemon.home), "certs", "show"], COLUMNS="80", NO_COLOR="1")
    for fact in (PIN, SPKI, following, daemon.operations.certs.report.authority.spki):
        assert fact in shown


def test_json_is_the_document_of_the_contract(daemon: ControlDaemon, program: Program) -> None:
    daemon.operations.certs.holds(node("Kitchen"), apps=1)
    document = daemon.operations.certs.report.to_json()
    assert json.loads(program("certs", "show", "--json").out) == document
    assert json.loads(program("certs", "reload", "--json").out) == document


CHANGES = [["renew"], ["rotate", "--commit"]]


@pytest.mark.parametrize("arguments", CHANGES, ids=" ".join)
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_without_a_terminal_nothing_that_breaks_pairings_is_done(
    daemon: ControlDaemon, arguments: list[str], options: list[str]
) -> None:
    """Guard out (`_confirm` returns at once): the certificate changes."""
    daemon.operations.certs.next_is_prepared()
    daemon.operations.certs.holds(apps=1)
    before = daemon.operations.certs.report
    done = in_pipe("--home", str(daemon.home), "certs", *arguments, *options, text="y\n" * 10)
    assert done.returncode == 2
    assert b"--yes" in done.stderr
    assert daemon.operations.certs.report == before


@pytest.mark.parametrize("arguments", CHANGES, ids=" ".join)
@pytest.mark.parametrize("answer, changed", [("y\n", True), ("n\n", False), ("\n", False)])
def test_on_a_terminal_it_is_said_who_loses_the_bridge_and_no_is_the_default(
    daemon: ControlDaemon, arguments: list[str], answer: str, changed: bool
) -> None:
    daemon.operations.certs.next_is_prepared()
    daemon.operations.certs.holds(node("Kitchen"), node("Hall", knows_next=True), apps=3)
    before = daemon.operations.certs.report
    status, shown = on_terminal(["--home", str(daemon.home), "certs", *arguments], answer)
    assert "have to forget the bridge and pair again" in shown
    assert "  3 OpenClaw clients" in shown
    assert ("Kitchen, which has not said that it knows it" in shown) == (arguments[0] == "rotate")
    assert "Hall" not in shown
    assert (status == 0, daemon.operations.certs.report != before) == (changed, changed)


def test_what_breaks_nothing_is_not_asked(daemon: ControlDaemon, program: Program) -> None:
    daemon.operations.certs.holds(node("Kitchen", knows_next=True))
    assert program("certs", "renew").status == 0
    daemon.operations.certs.next_is_prepared()
    assert program("certs", "rotate", "--commit").status == 0


def test_a_change_shows_the_new_pin_and_advises_a_backup(daemon: ControlDaemon, program: Program) -> None:
    out = program("certs", "renew", "--yes").out
    assert daemon.operations.certs.report.pin in out
    assert PIN not in out
    assert "backup FILE\n" in out


def test_rotate_prepares_first_and_says_what_comes_next(daemon: ControlDaemon, program: Program) -> None:
    daemon.operations.certs.holds(node("Kitchen"), node("Hall", knows_next=True))
    out = program("certs", "rotate").out
    assert daemon.operations.certs.report.next_spki is not None
    assert daemon.operations.certs.report.pin == PIN
    assert "Nothing has changed yet." in out
    assert "1 of 2 native nodes know of it" in out
    assert "certs rotate --commit\n" in out


def test_rotate_without_a_prepared_key_says_how_to_prepare_one(daemon: ControlDaemon, program: Program) -> None:
    result = program("certs", "rotate", "--commit", "--yes")
    assert result.status == 1
    assert "certs rotate\n" in result.err
    assert daemon.operations.certs.report.pin == PIN


def test_without_a_prepared_key_nobody_is_asked_whether_to_break_pairings(daemon: ControlDaemon) -> None:
    """Guard out (`before.next_spki is None` in `rotate`): the question comes first, and nobody answers: 2."""
    daemon.operations.certs.holds(apps=1)
    assert in_pipe("--home", str(daemon.home), "certs", "rotate", "--commit").returncode == 1


def test_reload_shows_what_is_in_force(daemon: ControlDaemon, program: Program) -> None:
    assert PIN in program("certs", "reload").out
    assert daemon.operations.calls == ["certs.reload"]
