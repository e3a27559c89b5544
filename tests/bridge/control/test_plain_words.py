"""Every permission is said in words."""

from __future__ import annotations

from acl.permissions import Permission
from bridge.control.plain_words import PLAIN_WORDS, in_plain_words


def test_every_permission_has_words() -> None:
    assert set(PLAIN_WORDS) == set(Permission)
    assert len(set(PLAIN_WORDS.values())) == len(PLAIN_WORDS)


def test_voice_is_said_to_give_orders() -> None:
    assert "may give orders to your agent" in PLAIN_WORDS[Permission.VOICE]


def test_the_order_is_that_of_the_table_whatever_was_given() -> None:
    assert [name for name, _ in in_plain_words(["voice", "screen", "voice"])] == ["screen", "voice"]
    assert in_plain_words([]) == []


def test_an_unknown_permission_is_shown_and_called_unknown() -> None:
    assert in_plain_words(["warp", "voice"]) == [
        ("voice", PLAIN_WORDS[Permission.VOICE]),
        ("warp", "unknown to this version"),
    ]
