"""Prompts to ask, and names that want to be more than names."""

from __future__ import annotations

from dataclasses import replace

from acl.permissions import Permission
from bridge.control.plain_words import PLAIN_WORDS
from bridge.pairing.approvers.approver import CODE_DIGITS, Prompt
from tests.bridge.cli.hostile import HOSTILE

PIN = "ab" * 32
APP = Prompt(
    id="r1",
    kind="openclaw",
    display_name="Anna's iPhone",
    platform="ios 26.1 iPhone",
    address="192.168.1.7",
    permissions=(PLAIN_WORDS[Permission.VOICE],),
    key_fingerprint="0123 4567 89ab cdef 0123",
    pin=PIN,
)
NATIVE = replace(APP, kind="native", code_length=CODE_DIGITS)

INJECTIONS = {
    "AppleScript": '" & (do shell script "touch {file}") & "',
    "AppleScript, other quotes": "\u201d & (do shell script \u201ctouch {file}\u201d) & \u201c",
    "AppleScript line": '"\ndo shell script "touch {file}"\n"',
    "AppleScript continuation": '\u00ac\n& (do shell script "touch {file}")',
    "backslash": '\\" & (do shell script "touch {file}") --',
    "substitution": "$(touch {file})",
    "backtick": "`touch {file}`",
    "shell": "'; touch {file}; '",
    "option": '-e do shell script "touch {file}"',
    "long option": "--version",
    "end of options": "--",
    "only a dash": "-",
    "line that is ours": "Anna\n\nIf you approve:\n  - nothing\n\nAddress: 127.0.0.1",
    "log line": 'Anna\n{{"event":"paired"}}',
    "script tag": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "SVG": "<svg/onload=alert(1)>",
    "template": "{{{{7*7}}}} ${{7*7}} <%= 7*7 %>",
    "separator": "</script>\u2028alert(1)",
    "entity": "&lt;script&gt;&#x3c;",
    "very long": "A" * 10_000,
    "very long and wide": "\u6771" * 10_000,
    "nothing": "",
    "null": "a\x00b",
}
"""Rows I6 to I8: text for a browser, a terminal, AppleScript or a shell; `{file}` is what must not come into being."""

NAMES = {**INJECTIONS, **{name: text.replace("{", "{{").replace("}", "}}") for name, text in HOSTILE.items()}}
"""All of them, for `str.format`."""


def named(prompt: Prompt, text: str) -> Prompt:
    """Return the prompt of a device that says this in every field that it fills in."""
    return replace(prompt, display_name=text, platform=text, address=text)
