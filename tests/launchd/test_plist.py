"""The launchd agent as launchd reads it."""

import plistlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launchd.plist import render_agent

LABEL = "ai.clawdis.bridge"
ARGUMENTS = ["/opt/clawdis/bin/clawdis-bridge", "run"]
LOGS = "/Users/anna/Library/Application Support/Clawdis/bridge/logs"

printable = st.text(max_size=40).filter(str.isprintable)


def test_the_agent_is_exactly_this() -> None:
    assert plistlib.loads(render_agent(LABEL, ARGUMENTS, LOGS)) == {
        "Label": "ai.clawdis.bridge",
        "ProgramArguments": ["/opt/clawdis/bin/clawdis-bridge", "run"],
        "RunAtLoad": True,
        "KeepAlive": True,
        "ThrottleInterval": 10,
        "LimitLoadToSessionType": "Aqua",
        "StandardOutPath": f"{LOGS}/launchd.out.log",
        "StandardErrorPath": f"{LOGS}/launchd.err.log",
        "Umask": 0o077,
    }


def test_it_is_xml_and_the_same_every_time() -> None:
    first = render_agent(LABEL, ARGUMENTS, LOGS)
    assert first.startswith(b"<?xml")
    assert first == render_agent(LABEL, tuple(ARGUMENTS), LOGS + "/")


def test_the_interval_can_be_longer() -> None:
    assert plistlib.loads(render_agent(LABEL, ARGUMENTS, LOGS, throttle_s=60))["ThrottleInterval"] == 60


@given(st.lists(printable, max_size=4), printable)
def test_whatever_is_printable_comes_back_unchanged(arguments: list[str], folder: str) -> None:
    command = ["/bin/x", *arguments]
    agent = plistlib.loads(render_agent(LABEL, command, f"/logs/{folder}"))
    assert agent["ProgramArguments"] == command
    assert agent["StandardErrorPath"] == f"/logs/{folder}".rstrip("/") + "/launchd.err.log"


def test_markup_in_an_argument_stays_an_argument() -> None:
    hostile = "</string></array><key>Program</key><string>/bin/sh"
    agent = plistlib.loads(render_agent(LABEL, [*ARGUMENTS, hostile], LOGS))
    assert agent["ProgramArguments"] == [*ARGUMENTS, hostile]
    assert "Program" not in agent


@pytest.mark.parametrize("label", ["", "bridge", "ai..bridge", ".ai.bridge", "ai.bridge/", "ai.br idge", "ai.bridge\n"])
def test_a_label_that_is_no_reverse_dns_name_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="label"):
        render_agent(label, ARGUMENTS, LOGS)


@pytest.mark.parametrize("arguments", [[], ["clawdis-bridge"], ["./clawdis-bridge"], [""], "/bin/clawdis-bridge"])
def test_a_command_that_launchd_would_not_find_is_refused(arguments: list[str]) -> None:
    with pytest.raises(ValueError, match="program"):
        render_agent(LABEL, arguments, LOGS)


@pytest.mark.parametrize("folder", ["", "/", "logs", "~/logs"])
def test_a_log_folder_that_is_not_absolute_is_refused(folder: str) -> None:
    with pytest.raises(ValueError, match="log_folder"):
        render_agent(LABEL, ARGUMENTS, folder)


@pytest.mark.parametrize("character", ["\0", "\n", "\x1b", "\u202e", "\ud800"])
def test_invisible_characters_are_refused_everywhere(character: str) -> None:
    with pytest.raises(ValueError, match="invisible"):
        render_agent(LABEL, [*ARGUMENTS, f"a{character}"], LOGS)
    with pytest.raises(ValueError, match="invisible"):
        render_agent(LABEL, ARGUMENTS, f"{LOGS}{character}")


@pytest.mark.parametrize("seconds", [0, -1])
def test_an_interval_below_a_second_is_refused(seconds: int) -> None:
    with pytest.raises(ValueError, match="throttle_s"):
        render_agent(LABEL, ARGUMENTS, LOGS, throttle_s=seconds)
