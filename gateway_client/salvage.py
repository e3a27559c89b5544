"""Pure: what can be saved of a message that cannot be taken as it is.

JavaScript strings may hold half of a surrogate pair, and `JSON.stringify` writes it as an escape that stands for no
character. A model's stream that is cut in the middle of an emoji is enough for that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD_BYTES = 1_024  # of a message are looked at for its head: type, id and ok come first and take some 80 bytes
MAX_NAME_CHARS = 256  # of an id or of an event's name

# Where every backslash begins an escape: half of a pair without the other.
_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE = re.compile(rb"%(high)b(?!%(low)b)|%(low)b(?<!%(high)b%(low)b)" % {b"high": _HIGH, b"low": _LOW})
_REPLACEMENT = rb"\\ufffd"  # a template: one backslash
_BACKSLASH, _STAND_IN = rb"\\", b"\0\0"  # JSON has no NUL
_OPENING = re.compile(rb"\s*\{")
_MEMBER = re.compile(rb'\s*"([a-zA-Z]{1,32})"\s*:\s*(?:"([^"\\\x00-\x1f]*)"|true|false|null|-?[0-9.eE+-]{1,32})\s*,')


def without_lone_surrogates(data: bytes) -> bytes:
    """Returns a JSON text with U+FFFD for each escape that is half of a pair; its length stays the same.

    No code of ours runs per escape: 25 MiB of them, which a node can have the gateway send, would hold everybody up.
    """
    if _STAND_IN[:1] in data:
        return data
    return _LONE.sub(_REPLACEMENT, data.replace(_BACKSLASH, _STAND_IN)).replace(_STAND_IN, _BACKSLASH)


@dataclass(frozen=True, slots=True)
class Head:
    """What a message says of itself before its payload; empty where it does not."""

    kind: str = ""
    """`type`: req, res or event."""
    id: str = ""
    """Of an answer: whose it is."""
    event: str = ""
    """Of an event: its name."""


def members_of(data: bytes, enough: frozenset[str] = frozenset()) -> dict[str, str]:
    """Returns the texts that stand before the first array or object, within the first `HEAD_BYTES`, by their names.

    Args:
        data: the message.
        enough: names after which nothing more is looked for, once all of them are there; empty: everything is.
    """
    head = data[:HEAD_BYTES]
    opening = _OPENING.match(head)
    texts: dict[str, str] = {}
    at = opening.end() if opening else len(head)
    while (member := _MEMBER.match(head, at)) is not None:
        if member[2] is not None:
            texts.setdefault(member[1].decode("ascii"), member[2].decode("utf-8", "replace"))
        at = member.end()
        if enough and enough <= texts.keys():
            break
    return texts


def head_of(data: bytes) -> Head:
    """Reads what a message says of itself before its payload."""
    texts = members_of(data)
    return Head(*(texts.get(name, "")[:MAX_NAME_CHARS] for name in ("type", "id", "event")))
