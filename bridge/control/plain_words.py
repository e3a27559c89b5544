"""Pure: permissions said in words that need no manual."""

from __future__ import annotations

from collections.abc import Iterable

from acl.permissions import Permission

PLAIN_WORDS: dict[Permission, str] = {
    Permission.SCREEN: "your agent may show pages on its screen, run scripts in them, and see what they show",
    Permission.VOICE: "may give orders to your agent, by voice; your agent may turn its microphone on to listen",
    Permission.CAMERA: "your agent may take pictures and videos with it, turn its camera, and record its screen",
    Permission.LOCATION: "your agent may ask where it is",
    Permission.NOTIFY: "your agent may send it notifications; what other apps notify on it may reach your agent and"
    " set it to work",
    Permission.DEVICE: "your agent may read its model, battery, storage and state, and what its apps are allowed",
    Permission.PERSONAL: "your agent may read its contacts, calendar, reminders, latest photos, motion and health,"
    " and add contacts, calendar entries and reminders",
    Permission.CHAT: "may read and write your chats with the agent, give it orders there, and read the gateway's"
    " settings",
    Permission.NODES: "may see your other nodes and use the ones the policy names",
    Permission.SYSTEM: "your agent may run commands on it, read and write its files, and see and operate its screen,"
    " browser and tools",
}
"""What each permission means, with the device as the subject or as "it"."""


def in_plain_words(permissions: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of permission and meaning, in the order of the table; unknown ones follow, and are called that."""
    given = set(permissions)
    known = [(each.value, words) for each, words in PLAIN_WORDS.items() if each.value in given]
    unknown = sorted(given.difference(each.value for each in Permission))
    return known + [(each, "unknown to this version") for each in unknown]
