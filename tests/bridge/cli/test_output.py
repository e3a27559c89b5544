"""Pages and documents, apart from what is on them."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from bridge.cli.output import advise, commands, fields, json_text, page, permission_lines, print_json, safe, table
from bridge.control.documents import Denial
from tests.bridge.cli.hostile import HOSTILE


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_json_is_printable_ascii_and_loses_nothing(text: str) -> None:
    printed = json_text({"name": text})
    assert all(each == "\n" or " " <= each <= "~" for each in printed)
    assert json.loads(printed) == {"name": text}


def test_documents_are_printed_one_or_many(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(Denial(id="a"))
    assert json.loads(shown(capsys)) == {"id": "a"}
    print_json([Denial(id="a"), Denial(id="b")])
    assert json.loads(shown(capsys)) == [{"id": "a"}, {"id": "b"}]
    print_json([])
    assert json.loads(shown(capsys)) == []


@pytest.mark.parametrize("name", ["rich markup", "broken markup", "emoji code", "percent and braces"])
def test_nothing_is_markup_wherever_it_stands(capsys: pytest.CaptureFixture[str], name: str) -> None:
    console, text = page(), HOSTILE[name]
    console.print(safe(text))
    console.print(fields([("label", safe(text)), ("plain", text)]))
    console.print(table(["H"], [[safe(text)], [text]]))
    console.print(text)
    advise(console, text)
    assert shown(capsys).count(text) == 7


def test_a_page_in_a_pipe_is_wide_and_has_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    page().print(fields([("label", safe("x" * 150, "bold red"))]))
    out = shown(capsys)
    assert "x" * 150 in out
    assert "\x1b" not in out


def test_a_command_to_copy_is_never_broken_into_lines(capsys: pytest.CaptureFixture[str]) -> None:
    advise(Console(width=40), "openclaw " + "word " * 40)
    assert len(shown(capsys).strip().splitlines()) == 1


def test_a_list_of_nothing_says_none() -> None:
    assert commands([]).plain == "none"
    assert commands(["a", "b\x1b"]).plain == "a, b\\x1b"


def test_no_permission_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    page().print(permission_lines([]))
    assert "nothing" in shown(capsys)
    page().print(permission_lines(["voice"]))
    assert "may give orders to your agent" in shown(capsys)
