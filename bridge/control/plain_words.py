"""Pure: permissions said in words that need no manual."""

from __future__ import annotations

from collections.abc import Iterable

from acl.permissions import Permission

PLAIN_WORDS: dict[Permission, str] = {
    Permission.SCREEN: "your agent may show things on its screen, and see what it shows",
    Permission.VOICE: "may give orders to your agent, by voice",
    Permission.CAMERA: "your agent may take pictures and videos with it, and record its screen",
    Permission.LOCATION: "your agent may ask where it is",
    Permission.NOTIFY: "your agent may send it notifications",
    Permission.DEVICE: "your agent may read its model, battery and storage",
    Permission.PERSONAL: "your agent may read its contacts, calendar, reminders, photos, messages, motion and health,"
    " and add to some of them",
    Permission.CHAT: "may read and write your chats with the agent",
    Permission.NODES: "may see your other nodes and use the ones the policy names",
    Permission.SYSTEM: "your agent may run commands and read and write files on it",
}
"""What each permission means, with the device as the subject or as "it"."""


def in_plain_words(permissions: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of permission and meaning, in the order of the table; unknown ones follow, and are called that."""
    given = set(permissions)
    known = [(each.value, words) for each, words in PLAIN_WORDS.items() if each.value in given]
    unknown = sorted(given.difference(each.value for each in Permission))
    return known + [(each, "unknown to this version") for each in unknown]
