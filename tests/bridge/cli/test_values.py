"""Words of the command line."""

from __future__ import annotations

import pytest

from acl.permissions import PROFILES, Permission
from bridge.cli.values import (
    PERMISSIONS_HELP,
    PROFILES_HELP,
    parse_address,
    parse_code,
    parse_name,
    parse_permissions,
    parse_ttl,
)
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


@pytest.mark.parametrize("text, seconds", [("90", 90), ("90s", 90), ("5m", 300), ("1h", 3600), ("30", 30)])
def test_lengths_of_time_are_read(text: str, seconds: int) -> None:
    assert parse_ttl(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "m", "5 m", "-5m", "1.5h", "5d", "5M", "9999999", "\u0665m", "5m5s", "0", "29s", "3601", "99h"]
)
def test_other_lengths_are_refused_in_plain_words(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_ttl(text)
    assert "Input should" not in caught.value.message
    assert "ttlS" not in caught.value.message
    assert caught.value.fix


@pytest.mark.parametrize("text", ["Anna\u2019s iPhone", " x ", "n" * 64])
def test_names_are_taken_without_the_spaces_around_them(text: str) -> None:
    assert parse_name(text) == text.strip()


@pytest.mark.parametrize("text, words", [("", "empty"), ("  ", "empty"), ("n" * 65, "65 characters")])
def test_a_name_that_is_none_is_refused_in_plain_words(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_name(text)


@pytest.mark.parametrize("text, code", [("123456", "123456"), (" 012 345 ", "012345"), ("123-456", "123456")])
def test_codes_are_read_with_and_without_a_gap(text: str, code: str) -> None:
    assert parse_code(text) == code


@pytest.mark.parametrize("text", ["", "12345", "1234567", "12345x", "\u0661" * 6, "1 " * 40, "123456" + " " * 60 + "7"])
def test_other_words_are_no_codes(text: str) -> None:
    with pytest.raises(UsageError, match="six digits"):
        parse_code(text)


@pytest.mark.parametrize("text, address", [("192.168.1.20", "192.168.1.20"), ("FE80::1", "fe80::1")])
def test_addresses_are_read(text: str, address: str) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["example.com", "", "fe80::1%en0", "192.168.1", "192.168.1.20:18794"])
def test_other_words_are_no_addresses(text: str) -> None:
    with pytest.raises(UsageError):
        parse_address(text)


def test_the_help_names_every_permission_and_profile() -> None:
    assert set(PERMISSIONS_HELP.removeprefix("Permissions: ").rstrip(".").split(", ")) == set(Permission)
    assert set(PROFILES_HELP.removeprefix("Profiles: ").partition(";")[0].split(", ")) == set(PROFILES)
