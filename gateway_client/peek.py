"""Pure: what a request says of itself, read without parsing it: its id and its method.

A client may write the members of a frame in any order: Swift's encoder does. So both ends are looked at: the members
before the first array or object, and those after the last one. Of well-formed JSON this reads what a parser would; a
text that makes it read something else is none, and the parser says so later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway_client.salvage import HEAD_BYTES, MAX_NAME_CHARS, members_of

# Of the text read backwards: matched at its start, it is looked at once. A search for where the last members begin
# would look at each of them once more for every one before it.
_LIAT = re.compile(rb'\s*+\}((?:\s*+"[^"\\\x00-\x1f]*+"\s*+:\s*+"[a-zA-Z]{1,32}"\s*+,)++)')
_PAIR = re.compile(rb'"([a-zA-Z]{1,32})"\s*+:\s*+"([^"\\\x00-\x1f]*+)"')
_EVENT = re.compile(rb'"event"\s*+:\s*+"([a-zA-Z.]{1,64})"')
_SAID = frozenset({"type", "id", "method"})


@dataclass(frozen=True, slots=True)
class Peek:
    """What was seen; empty where nothing was."""

    id: str = ""
    """The request's id, with which it can be answered."""
    method: str = ""
    """What it asks for."""


def peek_at(data: bytes) -> Peek:
    """Reads id and method at the two ends of a message, `HEAD_BYTES` each."""
    texts = members_of(data, _SAID)
    # Whoever says everything at the head has no say about what it costs to look for more.
    tail = None if texts.keys() >= _SAID else _LIAT.match(data[: -HEAD_BYTES - 1 : -1])
    if tail is not None:
        for name, text in _PAIR.findall(tail[1][::-1]):
            texts.setdefault(name.decode("ascii"), text.decode("utf-8", "replace"))
    if texts.get("type") != "req":
        return Peek()
    request_id, method = texts.get("id", ""), texts.get("method", "")
    return Peek(request_id if len(request_id) <= MAX_NAME_CHARS else "", method[:MAX_NAME_CHARS])


def event_in(data: bytes) -> str | None:
    """Returns what looks like the name of the event in a `node.event`: good enough to tell the sender, and no more."""
    found = _EVENT.search(data[:HEAD_BYTES]) or _EVENT.search(data[-HEAD_BYTES:])
    return found[1].decode("ascii") if found is not None else None
