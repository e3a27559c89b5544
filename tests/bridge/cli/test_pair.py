"""`pair`: the window; a code, what it is good for, and for how long."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bridge.cli.qr import qr_lines
from tests.bridge.cli.program import Program, on_terminal
from tests.doubles.code_operations import NATIVE_LINK
from tests.doubles.control_daemon import ControlDaemon
from tests.doubles.operations import PIN


def test_the_page_has_the_code_the_link_and_what_it_permits(daemon: ControlDaemon, program: Program) -> None:
    result = program("pair", "--qr")
    assert result.status == 0
    link = re.findall(r"^  (oc-pair://\S+)$", result.out, re.MULTILINE)[0]
    assert "\n".join(qr_lines(link, dark_ink=False)) in result.out
    assert f"  openclaw node run --pair-if-needed {link}\n" in result.out
    assert "may give orders to your agent" in result.out
    assert "may read and write your chats" in result.out
    assert re.search(r"Expires +in (5|4) minutes, at (\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d", result.out)
    assert PIN in result.out
    assert "It works once." in result.out


def test_json_is_the_document_of_the_contract(daemon: ControlDaemon, program: Program) -> None:
    document = json.loads(program("pair", "--qr", "--json").out)
    assert set(document) == {"id", "setupCode", "link", "url", "permissions", "expiresAt", "pin"}


@pytest.mark.parametrize(
    "options, minted",
    [
        ([], (None, None, 300, None)),
        (["--permissions", "screen,voice"], (["screen", "voice"], None, 300, None)),
        (["--profile", "phone", "--ttl", "90s"], (None, "phone", 90, None)),
        (["--ttl", "1h", "--address", "192.168.1.20"], (None, None, 3600, "192.168.1.20")),
    ],
)
def test_the_options_reach_the_daemon(
    daemon: ControlDaemon, program: Program, options: list[str], minted: tuple[object, ...]
) -> None:
    assert program("pair", "--qr", *options).status == 0
    assert daemon.operations.codes.minted == [minted]


def test_a_native_link_is_made_and_told_apart(daemon: ControlDaemon, program: Program) -> None:
    result = program("pair", "--qr", "--native", "--permissions", "screen", "--ttl", "90s")
    assert result.status == 0
    assert daemon.operations.codes.minted_native == [(["screen"], None, 90, None)]
    assert f"\n  {NATIVE_LINK}\n" in result.out
    assert "\n".join(qr_lines(NATIVE_LINK, dark_ink=False)) in result.out
    assert "openclaw" not in result.out.lower()
    document = json.loads(program("pair", "--qr", "--native", "--json").out)
    assert set(document) == {"id", "link", "url", "permissions", "expiresAt", "pin", "spki"}


def test_the_page_says_how_the_code_is_taken_back(daemon: ControlDaemon, program: Program) -> None:
    out = program("pair", "--qr").out
    (row,) = daemon.operations.codes.rows.values()
    assert f"tokens revoke {row.id}" in out


def test_a_computer_is_told_which_permission_it_needs(daemon: ControlDaemon, program: Program) -> None:
    out = program("pair", "--qr").out
    assert "pair --qr --permissions system\n" in out
    out = program("pair", "--qr", "--permissions", "system").out
    assert "--permissions system" not in out


def test_without_qr_the_window_is_opened(daemon: ControlDaemon, program: Program) -> None:
    result = program("pair")
    assert result.status == 0
    assert daemon.operations.calls == ["open_window"]
    assert "Devices may ask to be paired." in result.out
    assert re.search(r"Open until (\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d\.", result.out)
    for line in ("pending\n", "pair --qr\n"):
        assert line in result.out
    assert set(json.loads(program("pair", "--json").out)) == {"openUntil"}


@pytest.mark.parametrize(
    "options",
    [
        ["--native"],
        ["--permissions", "voice"],
        ["--profile", "x"],
        ["--ttl", "5m"],
        ["--address", "::1"],
        ["--out", "x"],
    ],
)
def test_what_belongs_to_a_code_is_refused_without_one(
    daemon: ControlDaemon, program: Program, options: list[str]
) -> None:
    result = program("pair", *options)
    assert result.status == 2
    assert f"{options[0]} belongs to a one-time code" in result.err
    assert daemon.operations.calls == []


def test_the_picture_is_written_for_its_owner_only(daemon: ControlDaemon, program: Program, tmp_path: Path) -> None:
    file = tmp_path / "code.svg"
    result = program("pair", "--qr", "--out", str(file))
    assert result.status == 0
    assert str(file) in result.out
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["code.jpg", "code", "missing/code.png", "there.png"])
def test_a_file_that_cannot_be_written_is_told_before_a_code_is_made(
    daemon: ControlDaemon, program: Program, tmp_path: Path, name: str
) -> None:
    (tmp_path / "there.png").write_text("mine")
    result = program("pair", "--qr", "--out", str(tmp_path / name))
    assert result.status in {1, 2}
    assert result.out == ""
    assert daemon.operations.calls == []
    assert (tmp_path / "there.png").read_text() == "mine"


def test_a_coloured_terminal_gets_black_on_white(daemon: ControlDaemon) -> None:
    status, shown = on_terminal(["--home", str(daemon.home), "pair", "--qr"], COLORTERM="truecolor")
    assert status == 0
    link = re.findall(r"oc-pair://[\w-]+", shown)[0]
    first, *_, last = qr_lines(link, dark_ink=True)
    assert shown.count(f"\x1b[38;2;0;0;0;48;2;255;255;255m{first}\x1b[0m") >= 2
    assert f"\x1b[38;2;0;0;0;48;2;255;255;255m{last}\x1b[0m" in shown


def test_a_terminal_that_is_too_narrow_is_told_so_and_gets_the_link(daemon: ControlDaemon) -> None:
    status, shown = on_terminal(["--home", str(daemon.home), "pair", "--qr"], COLUMNS="60")
    assert status == 0
    assert "this terminal has 60" in shown
    assert "oc-pair://" in shown
    assert "\u2588" not in shown


def test_the_code_is_written_nowhere(daemon: ControlDaemon, program: Program, home: Path) -> None:
    program("pair", "--qr")
    assert [each.name for each in home.iterdir()] == ["bridge.sock"]
