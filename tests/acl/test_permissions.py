"""The table of permissions: every name once, every word exact."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acl import permissions
from acl.model import Direction
from acl.permissions import (
    CAPABILITIES,
    COMMANDS,
    OS_PERMISSIONS,
    PROFILES,
    SYSTEM_CLASS,
    Permission,
    UnknownPermissionError,
    needs_foreground,
    read_permissions,
)
from tests.acl.reference import LISTED

ALL = {"screen", "voice", "camera", "location", "notify", "device", "personal", "chat", "nodes", "system"}


def test_there_are_these_permissions() -> None:
    assert {permission.value for permission in Permission} == ALL


def test_every_command_has_one_permission() -> None:
    written = [name for names in permissions._COMMANDS_OF.values() for name in names.split()]
    assert [name for name, count in Counter(written).items() if count > 1] == []
    expected = {name: grant for (way, name), (grant, _) in LISTED.items() if way is Direction.TO_NODE}
    assert {name: str(permission) for name, permission in COMMANDS.items()} == expected


def test_what_no_command_may_do_is_no_capability_either() -> None:
    assert not {"callLog", "sms"} & CAPABILITIES.keys()
    assert set(CAPABILITIES.values()) <= set(COMMANDS.values())


def test_names_are_plain_ascii() -> None:
    for name in {*COMMANDS, *CAPABILITIES, *OS_PERMISSIONS}:
        assert name.isascii()
        assert all(part.replace("-", "").isalnum() for part in name.split(".")), name


def test_nothing_that_runs_or_writes_on_a_host_hides_under_a_harmless_permission() -> None:
    for name, permission in COMMANDS.items():
        if name.startswith(
            ("system.run", "system.exec", "system.which", "fs.", "file.", "dir.", "browser.", "mcp.", "terminal.")
        ):
            assert permission is Permission.SYSTEM, name
    assert set(SYSTEM_CLASS) <= COMMANDS.keys()
    assert {COMMANDS[name] for name in SYSTEM_CLASS} == {Permission.SYSTEM}
    assert COMMANDS["screen.record"] is Permission.CAMERA


@pytest.mark.parametrize(
    "name, words",
    [
        ("voice", {"voice"}),
        ("voice+screen", {"voice", "screen", "device"}),
        ("phone", {"voice", "screen", "device", "notify", "chat"}),
        ("full", ALL - {"system"}),
    ],
)
def test_a_profile_grants_exactly_this(name: str, words: set[str]) -> None:
    assert PROFILES[name] == words


def test_system_is_in_no_profile() -> None:
    assert set(PROFILES) == {"voice", "voice+screen", "phone", "full"}
    assert not any(Permission.SYSTEM in grants for grants in PROFILES.values())


@given(st.sets(st.sampled_from(sorted(ALL))))
def test_words_are_read_as_they_are(words: set[str]) -> None:
    assert read_permissions(sorted(words)) == words
    assert read_permissions(sorted(words) * 2) == words


LOOKALIKES = [
    "", " ", "*", "all", "Screen", "SCREEN", "screen ", " screen", "screen\n", "screen\x00", "screen.", "screen.*",
    "\u200bscreen",
    "scr\u200deen", "\u0455creen", "\u017fcreen", "\uff53creen", "screen,voice", "notif\u0443", "no\ufb01fy", "sys",
    "admin", "Permission.SCREEN",
]  # fmt: skip


@pytest.mark.parametrize("word", LOOKALIKES)
def test_no_other_word_is_a_permission(word: str) -> None:
    with pytest.raises(UnknownPermissionError) as caught:
        read_permissions(["voice", word])
    assert caught.value.word == word
    assert repr(word) in str(caught.value)


@pytest.mark.parametrize("word", [name.upper() for name in sorted(ALL)] + [f"{name}s" for name in sorted(ALL)])
def test_no_spelling_of_a_permission_is_another(word: str) -> None:
    with pytest.raises(UnknownPermissionError):
        read_permissions([word])


@pytest.mark.parametrize(
    "command, answer",
    [
        ("screen.show", True), ("canvas.eval", True), ("camera.snap", True), ("talk.ptt.start", True), ("screen.record",
        True),
        ("location.get", False), ("device.info", False), ("screenshot.take", False), ("system.notify", False),
        ("Screen.show", False),
    ],
)  # fmt: skip
def test_what_needs_the_app_in_front(command: str, answer: bool) -> None:
    assert needs_foreground(command) is answer
