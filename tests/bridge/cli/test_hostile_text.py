"""No page lets text from a peer reach the terminal as anything but text."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime

import pytest

from bridge.control.documents import Explanation, GatewayStatus
from bridge.errors import RefusedError
from tests.bridge.cli.hostile import HOSTILE
from tests.bridge.cli.program import Program, in_pipe, on_terminal
from tests.doubles.control_daemon import ControlDaemon

NAMES = {name: text for name, text in HOSTILE.items() if name != "surrogate"}  # JSON in UTF-8 cannot carry it


def hostile_daemon(daemon: ControlDaemon, text: str) -> list[list[str]]:
    """Plants the text wherever a peer can, and returns every command that shows some of it."""
    operations = daemon.operations
    operations.phone_asks(
        "req-1",
        text,
        platform=text,
        device_family=text,
        address=text,
        commands=[text],
        key_fingerprint=text,
        adds=[text],
    )
    node = operations.phone_is_paired(
        text, platform=text, gateway_node_id=text, wants=[text], withheld=[text], allow_line=text,
        declared_commands=[text], effective_commands=[text],
        link_error=text, not_granted={text: [text]}, last_seen_at=datetime.now(UTC), state="offline",
    )  # fmt: skip
    operations.gateway = GatewayStatus(url="ws://127.0.0.1:18789", state="connected", version=text, detail=text)
    operations.verdict = Explanation(decision="deny", rule=text, reason=text)
    pages = [
        ["status"], ["pending"], ["nodes"], ["nodes", "show", node.node_id], ["nodes", "permissions", node.node_id],
        ["acl", "explain", node.node_id, "m"], ["approve", "req-1", "--yes"],
    ]  # fmt: skip
    return [*pages, *([*page, "--json"] for page in pages[:-1])]


@pytest.mark.parametrize("text", NAMES.values(), ids=NAMES.keys())
def test_no_control_byte_reaches_standard_output(daemon: ControlDaemon, program: Program, text: str) -> None:
    for arguments in hostile_daemon(daemon, text):
        result = program(*arguments)
        assert result.status == 0, result.err
        assert result.err == ""
        shown = [each for each in result.out if each != "\n" and (each < " " or "\x7f" <= each <= "\x9f")]
        assert shown == [], arguments
        if "--json" not in arguments:
            assert "\u202e" not in result.out
            assert len(result.out.splitlines()) == result.out.count("\n")


def test_not_even_as_bytes(daemon: ControlDaemon) -> None:
    for arguments in hostile_daemon(daemon, "".join(NAMES[each] for each in ("clear screen", "C1 sequence", "tags"))):
        done = in_pipe("--home", str(daemon.home), *arguments)
        assert done.returncode == 0
        assert [each for each in done.stdout if each != 0x0A and (each < 0x20 or 0x7F <= each <= 0x9F)] == []


@pytest.mark.parametrize("text", NAMES.values(), ids=NAMES.keys())
def test_errors_are_as_harmless(daemon: ControlDaemon, program: Program, text: str) -> None:
    daemon.operations.break_with(RefusedError(text, text))
    for option in ([], ["--json"]):
        result = program("nodes", *option)
        assert result.status == 1
        assert [each for each in result.err if each != "\n" and (each < " " or "\x7f" <= each <= "\x9f")] == []


@pytest.mark.parametrize("name", ["clear screen", "window title", "clipboard", "report cursor", "C1 sequence", "tags"])
def test_a_terminal_gets_no_sequence_but_colours(daemon: ControlDaemon, name: str) -> None:
    pages = [page for page in hostile_daemon(daemon, NAMES[name]) if page[0] in ("pending", "nodes")]
    for arguments in pages[:2]:
        status, shown = on_terminal(["--home", str(daemon.home), *arguments])
        assert status == 0
        plain = re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r\n", "\n")
        assert [each for each in plain if each != "\n" and unicodedata.category(each)[0] == "C"] == []
