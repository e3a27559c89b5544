"""The program as a whole: options that stand anywhere, exit statuses, and errors that say what mends them."""

from __future__ import annotations

import json

import pytest

from bridge import __version__
from bridge.cli import main
from bridge.cli.app import home_first
from bridge.errors import RefusedError
from tests.bridge.cli.program import Program, in_pipe, on_terminal
from tests.doubles.control_daemon import ControlDaemon

COMMANDS = [
    ["run"], ["status"], ["pair"], ["pending"], ["approve"], ["deny"], ["nodes"], ["nodes", "list"], ["nodes", "show"],
    ["nodes", "rename"], ["nodes", "permissions"], ["nodes", "revoke"], ["acl"], ["acl", "explain"], ["demo"],
    ["acl", "show"], ["acl", "check"], ["policy"], ["policy", "reload"],
    ["tokens"], ["tokens", "list"], ["tokens", "revoke"], ["certs"], ["certs", "show"], ["certs", "renew"],
    ["certs", "rotate"], ["certs", "reload"],
    ["backup"], ["restore"],
]  # fmt: skip
TALKING = [
    ["status"], ["pending"], ["approve", "abcd"], ["deny", "abcd"], ["nodes"], ["nodes", "list"],
    ["nodes", "show", "abcd"], ["nodes", "rename", "abcd", "x"], ["nodes", "permissions", "abcd", "voice"],
    ["nodes", "revoke", "abcd", "--yes"], ["acl", "explain", "abcd", "agent"], ["pair", "--qr"],
    ["acl", "show"], ["policy", "reload"],
    ["pair"], ["pair", "--qr", "--native"], ["approve", "abcd", "--yes"], ["approve", "abcd", "--code", "123456"],
    ["tokens"], ["tokens", "list"], ["tokens", "revoke", "abcd"], ["certs", "show"], ["certs", "renew", "--yes"],
    ["certs", "rotate"], ["certs", "rotate", "--commit"], ["certs", "reload"],
]  # fmt: skip


@pytest.mark.parametrize(
    "given, expected",
    [
        (["status", "--home", "H"], ["--home", "H", "status"]),
        (["status", "--home=H", "--json"], ["--home=H", "status", "--json"]),
        (["--home", "H", "status"], ["--home", "H", "status"]),
        (["nodes", "rename", "a", "--", "--home", "x"], ["nodes", "rename", "a", "--", "--home", "x"]),
        (["status", "--home"], ["--home"]),
        ([], []),
    ],
)
def test_home_may_stand_anywhere(given: list[str], expected: list[str]) -> None:
    assert home_first(given) == expected


def test_home_after_the_command_is_the_one_that_is_asked(
    daemon: ControlDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--home", str(daemon.home), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pid"] == 4242


def test_the_home_of_the_environment_is_used(
    daemon: ControlDaemon, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAWDIS_BRIDGE_HOME", str(daemon.home))
    assert main(["status"]) == 0
    assert "connected" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(program: Program, arguments: list[str]) -> None:
    result = program(*arguments, "--help")
    assert result.status == 0
    assert "Usage: clawdis-bridge " + " ".join(arguments) in result.out


@pytest.mark.parametrize("arguments", TALKING, ids=" ".join)
def test_without_a_daemon_every_command_ends_with_3_and_says_how_to_start_it(
    program: Program, arguments: list[str]
) -> None:
    result = program(*arguments)
    assert (result.status, result.out) == (3, "")
    assert "The bridge is not running" in result.err
    assert f"clawdis-bridge --home {program.home} run" in result.err


@pytest.mark.parametrize("arguments", TALKING, ids=" ".join)
def test_errors_are_documents_when_documents_are_asked_for(program: Program, arguments: list[str]) -> None:
    result = program(*arguments, "--json")
    assert (result.status, result.out) == (3, "")
    assert json.loads(result.err)["error"]["code"] == "DAEMON_NOT_RUNNING"


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["nonsense"], ["status", "extra"], ["status", "--nonsense"], ["approve"], ["approve", "--all"], ["deny"],
        ["approve", "a", "b"], ["approve", "abcd", "--permissions", ""], ["nodes", "--json", "list"], ["nodes", "show"],
        ["nodes", "rename", "abcd"], ["nodes", "revoke"], ["nodes", "revoke", "abcd", "--all"],
        ["nodes", "revoke", "--all", "--others", "abcd"], ["acl"], ["acl", "explain", "abcd"],
        ["policy"], ["acl", "check"],
        ["pair", "--native"], ["pair", "--out", "x.png"], ["pair", "--ttl", "5m"], ["tokens", "revoke"],
        ["tokens", "--json", "list"], ["certs"], ["certs", "nonsense"], ["approve", "abcd", "--code", "12345"],
        ["approve", "abcd", "--name", ""], ["nodes", "rename", "abcd", " "], ["pair", "--qr", "--ttl", "99h"],
        ["pair", "--qr", "--permissions", "root"], ["pair", "--qr", "--ttl", "soon"], ["pair", "--qr", "--ttl", "1s"],
        ["pair", "--qr", "--address", "example.com"],
        ["pair", "--qr", "--permissions", "voice", "--profile", "phone"], ["backup"], ["restore"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_misuse_ends_with_2_and_nothing_is_asked_of_the_daemon(
    daemon: ControlDaemon, program: Program, arguments: list[str]
) -> None:
    result = program(*arguments)
    assert result.status == 2
    assert result.err or "Usage:" in result.out
    assert daemon.operations.calls == []


@pytest.mark.parametrize(
    "arguments",
    [["status", "extra"], ["status", "--nonsense"], ["approve"], ["nodes", "show"], ["nonsense"], ["nodes", "rename"]],
    ids=" ".join,
)
def test_what_the_parser_refuses_is_a_document_when_documents_are_asked_for(
    program: Program, arguments: list[str]
) -> None:
    result = program(*arguments, "--json")
    assert (result.status, result.out) == (2, "")
    error = json.loads(result.err)["error"]
    assert error["code"] == "USAGE"
    assert error["fix"].endswith("--help")


@pytest.mark.parametrize("arguments", [["nodes", "--help"], ["status", "--help"]], ids=" ".join)
def test_help_is_help_with_json_too(program: Program, arguments: list[str]) -> None:
    result = program(*arguments, "--json")
    assert result.status == 0
    assert "Usage:" in result.out


def test_no_metavar_has_two_brackets(program: Program) -> None:
    for arguments in COMMANDS:
        assert "[[" not in program(*arguments, "--help").out


def test_the_help_names_permissions_and_profiles(program: Program) -> None:
    for arguments in (["approve"], ["pair"], ["nodes", "permissions"]):
        words = " ".join(program(*arguments, "--help").out.split())
        assert "screen, voice, camera, location, notify, device, personal, chat, nodes, system" in words
    assert "voice, voice+screen, phone, full" in " ".join(program("pair", "--help").out.split())


def test_the_version_is_printed(program: Program) -> None:
    assert program("--version").out == f"clawdis-bridge {__version__}\n"


def test_a_refusal_of_the_daemon_says_what_mends_it(daemon: ControlDaemon, program: Program) -> None:
    daemon.operations.break_with(RefusedError("It is\x1b[2J refused.", "Do this\nand that\r."))
    result = program("nodes")
    assert result.status == 1
    assert result.err == "Error: It is\\x1b[2J refused.\n  Do this\n  and that\\r.\n"


@pytest.mark.parametrize("option", [["--home", "{}"], ["--home={}"]], ids=["two words", "one word"])
def test_what_mends_it_is_aimed_at_the_home_that_was_asked(
    daemon: ControlDaemon, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    daemon.operations.break_with(RefusedError("It is refused.", "See: clawdis-bridge pending"))
    home = [each.format(daemon.home) for each in option]
    aim = f"See: clawdis-bridge --home {daemon.home} pending"
    assert main(["nodes", *home]) == main(["nodes", "--json", "--home", "/elsewhere", *home]) == 1
    assert capsys.readouterr().err.count(aim) == 2


def test_a_home_without_its_folder_is_what_is_missed(program: Program) -> None:
    program.capture.readouterr()
    assert main(["status", "--home"]) == 2
    assert "--home" in program.capture.readouterr().err.splitlines()[-1]


def test_on_a_terminal_a_refusal_is_broken_between_words(daemon: ControlDaemon) -> None:
    pin = "ab" * 32
    daemon.operations.break_with(RefusedError(f"Some words that fill the line and then {pin}."))
    status, shown = on_terminal(["--home", str(daemon.home), "nodes"], COLUMNS="60")
    assert status == 1
    assert shown.splitlines() == ["Error: Some words that fill the line and then", f"{pin}."]


def test_a_fault_of_the_daemon_ends_with_1(daemon: ControlDaemon, program: Program) -> None:
    daemon.operations.break_with(ZeroDivisionError())
    result = program("nodes")
    assert result.status == 1
    assert "log" in result.err


def test_asking_does_not_load_what_only_the_daemon_needs(daemon: ControlDaemon) -> None:
    script = (
        "import sys; from bridge.cli import main; status = main();"
        "print('HEAVY', sorted({'aiohttp', 'cryptography', 'websockets', 'zeroconf', 'structlog', 'keyring', 'uvloop',"
        " 'OpenSSL', 'asyncio'} & set(sys.modules))); sys.exit(status)"
    )
    for arguments in (["status"], ["nodes"], ["pending"], ["pair"], ["pair", "--qr"], ["tokens"], ["certs", "show"]):
        done = in_pipe(*arguments, "--home", str(daemon.home), script=script)
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout.decode().splitlines()[-1] == "HEAVY []"


def test_a_terminal_without_unicode_gets_escapes_and_no_traceback(daemon: ControlDaemon) -> None:
    daemon.operations.phone_is_paired("Anna\u2019s iPhone")
    home = ["--home", str(daemon.home)]
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = in_pipe(*home, "nodes", **ascii_only)
    assert done.returncode == 0, done.stderr.decode()
    assert b"Anna\\u2019s iPhone" in done.stdout
    done = in_pipe(*home, "pair", "--qr", **ascii_only)
    assert done.returncode == 0, done.stderr.decode()
    assert b"No QR code" in done.stdout


def test_an_exception_that_is_not_ours_keeps_its_traceback(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAWDIS_BRIDGE_HOME", "~nobody-of-this-name/x")
    program.capture.readouterr()
    assert main(["status"]) == 1
    captured = program.capture.readouterr()
    assert "Traceback" in captured.err
    assert "a fault of clawdis-bridge" in captured.err
