"""Words of the command line."""

from __future__ import annotations

import pytest

from acl.permissions import PROFILES
from bridge.cli.values import parse_duration, parse_permissions
from bridge.errors import UsageError


@pytest.mark.parametrize(
    "text, expected",
    [
        ("screen", ["screen"]),
        ("screen,voice", ["screen", "voice"]),
        (" screen , voice,", ["screen", "voice"]),
        ("voice,voice", ["voice"]),
        ("none", []),
    ],
)
def test_permissions_are_read(text: str, expected: list[str]) -> None:
    assert parse_permissions(text) == expected


@pytest.mark.parametrize("text", ["", " ", ",", "root", "Screen", "screen voice", "none,screen", "*", "all"])
def test_other_words_are_no_permissions(text: str) -> None:
    with pytest.raises(UsageError):
        parse_permissions(text)


def test_a_profile_in_the_wrong_place_is_recognised() -> None:
    with pytest.raises(UsageError) as caught:
        parse_permissions("phone")
    assert caught.value.fix is not None
    listed = caught.value.fix.rpartition(": ")[2]
    assert set(parse_permissions(listed)) == PROFILES["phone"]


@pytest.mark.parametrize("text, seconds", [("90", 90), ("90s", 90), ("5m", 300), ("1h", 3600), ("0", 0)])
def test_durations_are_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "5 m", "-5m", "1.5h", "5d", "5M", "9999999", "\u0665m", "5m5s"])
def test_other_words_are_no_durations(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration(text)
