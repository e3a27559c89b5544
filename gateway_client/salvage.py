"""Pure: what can be saved of a message that cannot be taken as it is.

JavaScript strings may hold half of a surrogate pair, and `JSON.stringify` writes it as an escape that stands for no
character. A model's stream that is cut in the middle of an emoji is enough for that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD_BYTES = 1_024  # of a message are looked at for its head: type, id and ok come first and take some 80 bytes
MAX_NAME_CHARS = 256  # of an id or of an event's name

# Every escape is taken whole, so that the second half of `\\` or of a pair never looks like the start of another one.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD](?P<lone>[89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_REPLACEMENT = rb"\ufffd"
_OPENING = re.compile(rb"\s*\{")
_MEMBER = re.compile(rb'\s*"([a-zA-Z]{1,32})"\s*:\s*(?:"([^"\\\x00-\x1f]*)"|true|false|null|-?[0-9.eE+-]{1,32})\s*,')


def without_lone_surrogates(data: bytes) -> bytes:
    """Returns a JSON text with U+FFFD for each escape that is half of a pair; its length stays the same."""
    return _ESCAPE.sub(lambda found: _REPLACEMENT if found["lone"] else found[0], data)


@dataclass(frozen=True, slots=True)
class Head:
    """What a message says of itself before its payload; empty where it does not."""

    kind: str = ""
    """`type`: req, res or event."""
    id: str = ""
    """Of an answer: whose it is."""
    event: str = ""
    """Of an event: its name."""


def head_of(data: bytes) -> Head:
    """Reads the members that stand before the first array or object, within the first `HEAD_BYTES`."""
    head = data[:HEAD_BYTES]
    opening = _OPENING.match(head)
    texts: dict[str, str] = {}
    at = opening.end() if opening else len(head)
    while (member := _MEMBER.match(head, at)) is not None:
        if member[2] is not None:
            texts.setdefault(member[1].decode("ascii"), member[2].decode("utf-8", "replace")[:MAX_NAME_CHARS])
        at = member.end()
    return Head(texts.get("type", ""), texts.get("id", ""), texts.get("event", ""))
