"""Pure: one line of the audit log: how it is written, chained and read (docs/decisions/0019-audit-log.md)."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

DOMAIN = b"clawdis-bridge/1/audit"
START_HASH = "0" * 64
MAX_LINE_BYTES = 8192  # of a line with its newline; the longest honest one (32 permissions and commands) has 2 KiB
MAX_TEXT_CHARS = 160  # of one text: a name has 64, a reason a sentence; as JSON escapes 1,920 bytes at the most
MAX_ELEMENTS = 64  # of one list, each a text
MAX_FIELDS = 16
CUT = "(cut)"
_HASH = re.compile(r"[0-9a-f]{64}")
_OWN = ("seq", "ts", "kind", "event", "prev", "hash")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

Value = str | int | bool | None | list[str]


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be written, before it has its place.

    Attributes:
        ts: when it happened, ISO 8601 UTC.
        kind: family of the event; see `kinds`.
        event: stable name.
        fields: names, counts, codes, bytes, milliseconds, ids; cleaned by `clean`.
    """

    ts: str
    kind: str
    event: str
    fields: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Position:
    """Where a chain stands.

    Attributes:
        count: the number of the last line.
        hash: its hash, hex; `START_HASH` before the first.
    """

    count: int = 0
    hash: str = START_HASH


@dataclass(frozen=True, slots=True)
class Entry:
    """One line as it was read, and known to be whole: its hash fits.

    Attributes:
        seq: its number, from 1.
        draft: what it says.
        prev: hash of the line before.
        hash: its own.
    """

    seq: int
    draft: Draft
    prev: str
    hash: str

    @property
    def position(self) -> Position:
        """Where the chain stands after it."""
        return Position(self.seq, self.hash)


class DamagedLineError(ValueError):
    """A line that is not as it was written.

    Attributes:
        changed: whether it still is an entry, with a hash that does not fit.
    """

    def __init__(self, why: str, *, changed: bool = False) -> None:
        super().__init__(why)
        self.changed = changed


def clean(fields: Mapping[str, object]) -> dict[str, Value]:
    """Returns the fields as they may be written: plain values, no control characters, bounded."""
    named = ((name, value) for name, value in fields.items() if name not in _OWN and value is not None)
    return {name: _plain(value) for name, value in islice(named, MAX_FIELDS)}


def _plain(value: object) -> Value:
    match value:
        case bool() | int():
            return value
        case float():
            return int(value) if abs(value) < 2**53 else str(value)
        case list() | tuple() | set() | frozenset():
            every: Iterable[object] = sorted(value, key=str) if isinstance(value, set | frozenset) else value
            return [_text(str(each)) for each in islice(every, MAX_ELEMENTS)]
        case _:
            return _text(str(value))


def _text(text: str) -> str:
    if len(text) <= MAX_TEXT_CHARS and text.isascii() and text.isprintable():
        return text  # ids, codes and addresses: nearly all
    shown = "".join(
        " " if unicodedata.category(character) in _HIDDEN else character for character in text[:MAX_TEXT_CHARS]
    )
    return f"{shown}..." if len(text) > MAX_TEXT_CHARS else shown


def write_line(draft: Draft, after: Position) -> tuple[bytes, Position]:
    """Returns the line of a draft in its place, and where the chain stands then.

    A line that would be longer than `MAX_LINE_BYTES` loses its longest fields first.
    """
    fields = dict(draft.fields)
    while True:
        body = _body(draft, fields, after)
        if len(body) + 76 < MAX_LINE_BYTES:
            break
        fields[max(fields, key=lambda name: len(json.dumps(fields[name])))] = CUT
    digest = _digest(body, after.hash)
    return body[:-1] + b',"hash":"' + digest.encode("ascii") + b'"}\n', Position(after.count + 1, digest)


def _body(draft: Draft, fields: Mapping[str, Value], after: Position) -> bytes:
    whole = {
        "seq": after.count + 1,
        "ts": draft.ts,
        "kind": draft.kind,
        "event": draft.event,
        **{name: fields[name] for name in sorted(fields)},
        "prev": after.hash,
    }
    return json.dumps(whole, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def _digest(body: bytes, prev: str) -> str:
    parts = (DOMAIN, bytes.fromhex(prev), body)
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).hexdigest()


def read_line(line: bytes) -> Entry:
    """Reads a line, with or without its newline.

    Raises:
        DamagedLineError: it is no entry, or not byte for byte what `write_line` made of it.
    """
    data = line.removesuffix(b"\n")
    if len(data) >= MAX_LINE_BYTES:
        raise DamagedLineError("it is too long")
    try:
        known = json.loads(data)
        seq, prev, told = _chained(known)
        draft = Draft(known["ts"], known["kind"], known["event"], {k: v for k, v in known.items() if k not in _OWN})
        again = _body(draft, draft.fields, Position(seq - 1, prev))
    except DamagedLineError:
        raise
    except (ValueError, RecursionError):
        raise DamagedLineError("it is no JSON") from None
    if data != again[:-1] + b',"hash":"' + _digest(again, prev).encode("ascii") + b'"}':
        raise DamagedLineError("its hash does not fit", changed=True)
    return Entry(seq, draft, prev, told)


def _chained(known: object) -> tuple[int, str, str]:
    if not isinstance(known, dict) or not all(isinstance(known.get(name), str) for name in _OWN[1:]):
        raise DamagedLineError("it is no entry")
    seq, prev, told = known.get("seq"), known["prev"], known["hash"]
    if type(seq) is not int or seq < 1 or not _HASH.fullmatch(prev) or not _HASH.fullmatch(told):
        raise DamagedLineError("it is no entry")
    return seq, prev, told
