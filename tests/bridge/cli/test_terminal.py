"""Text from others cannot move the cursor, and cannot hide."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cli.terminal import terminal_safe
from tests.bridge.cli.hostile import HOSTILE


@pytest.mark.parametrize(
    "text, shown",
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("\x1b]0;t\x07", "\\x1b]0;t\\x07"),
        ("\x9b6n", "\\x9b6n"),
        ("a\rb\nc\td", "a\\rb\\nc\\td"),
        ("a\bb\x7f", "a\\x08b\\x7f"),
        ("\u202eabc", "\\u202eabc"),
        ("a\u200bb", "a\\u200bb"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("\u3164", "\\u3164"),
        ("\U000e0100", "\\U000e0100"),
        ("[red]", "[red]"),
        ("e" + "\u0301" * 5, "e" + "\u0301" * 4 + "\\u0301"),
    ],
)
def test_what_a_terminal_would_obey_is_spelled_out(text: str, shown: str) -> None:
    assert terminal_safe(text) == shown


@pytest.mark.parametrize(
    "name",
    [
        "Anna's iPhone",
        "Anna\u2019s iPhone",
        "J\u00fcrgen",
        "\u6771\u4eac",
        "\u05d0\u05d1",
        "\U0001f4f1 Ben",
        "a b",
        "e\u0301",
    ],
)
def test_ordinary_names_of_any_script_are_left_alone(name: str) -> None:
    assert terminal_safe(name) == name


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_hostile_is_left(text: str) -> None:
    assert not [each for each in terminal_safe(text) if unicodedata.category(each)[0] == "C"]


@given(st.text(st.characters(codec=None)))
def test_any_text_becomes_one_visible_line_and_stays_so(text: str) -> None:
    shown = terminal_safe(text)
    assert all(unicodedata.category(each) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for each in shown)
    assert len(shown.splitlines()) <= 1
    assert terminal_safe(shown) == shown


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_printable_ascii_is_left_alone(text: str) -> None:
    assert terminal_safe(text) == text
