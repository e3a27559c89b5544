"""One line of the log: whatever is said in it, it is one line, bounded, and read only as it was written."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.audit.entry import (
    MAX_ELEMENTS,
    MAX_FIELDS,
    MAX_LINE_BYTES,
    MAX_TEXT_CHARS,
    START_HASH,
    DamagedLineError,
    Draft,
    Position,
    clean,
    read_line,
    write_line,
)

TS = "2026-11-27T12:00:00.000Z"
FIELDS = st.dictionaries(
    st.sampled_from("abcdefgh"), st.one_of(st.text(), st.integers(), st.booleans(), st.lists(st.text()))
)


def draft(**fields: object) -> Draft:
    return Draft(TS, "deny", "refused", clean(fields))


@given(FIELDS)
def test_what_is_written_is_read(fields: dict[str, object]) -> None:
    line, at = write_line(draft(**fields), Position(4, "ab" * 32))
    entry = read_line(line)
    assert (entry.seq, entry.prev, entry.position) == (5, "ab" * 32, at)
    assert (entry.draft.ts, entry.draft.kind, entry.draft.event) == (TS, "deny", "refused")
    assert line.count(b"\n") == 1
    assert line.isascii()
    assert len(line) <= MAX_LINE_BYTES


def test_the_hash_is_what_the_decision_record_says() -> None:
    """By hand: SHA-256 over domain, hash before and text, each with its length in front."""
    line, at = write_line(draft(node="n"), Position())
    body = line[: line.index(b',"hash"')] + b"}"
    parts = (b"clawdis-bridge/1/audit", bytes.fromhex(START_HASH), body)
    expected = hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).hexdigest()
    assert json.loads(line)["hash"] == expected == at.hash


@given(st.text(min_size=1), st.integers(0, 10_000))
def test_no_other_bytes_are_read_as_an_entry(text: str, where: int) -> None:
    line, _ = write_line(draft(node="n"), Position())
    at = where % len(line)
    changed = line[:at] + text.encode("utf-8", "surrogatepass") + line[at:]
    if changed.removesuffix(b"\n") != line.removesuffix(b"\n"):
        with pytest.raises(DamagedLineError):
            read_line(changed)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 5_000,
        b'{"a":' * 1_500,
        b"9" * 5_000,
        b"x" * (2 * MAX_LINE_BYTES),
        b'{"seq":true,"ts":"","kind":"","event":"","prev":"%s","hash":"%s"}' % (b"0" * 64, b"0" * 64),
        b'{"seq":1,"ts":"","kind":"","event":"","prev":"zz","hash":"zz"}',
    ],
)
def test_hostile_lines_are_refused(line: bytes) -> None:
    with pytest.raises(DamagedLineError):
        read_line(line)


def test_text_of_peers_is_cleaned_and_cut() -> None:
    hostile = "a\x1b[2J\r\n\u202eevil\u200b\x00"
    (shown,) = clean({"name": hostile}).values()
    assert isinstance(shown, str)
    assert shown.isprintable()
    assert shown.startswith("a [2J")
    assert len(str(clean({"name": "x" * 100_000})["name"])) == MAX_TEXT_CHARS + 3
    assert len(clean({"many": ["x"] * 1000})["many"]) == MAX_ELEMENTS  # type: ignore[arg-type]  # it is a list
    assert len(clean({f"f{n}": n for n in range(100)})) == MAX_FIELDS


def test_nobody_sets_the_logs_own_fields() -> None:
    assert clean({"seq": 9, "hash": "x", "prev": "x", "kind": "x", "event": "x", "ts": "x", "node": None}) == {}


def test_a_line_that_would_be_too_long_loses_its_longest_fields() -> None:
    line, _ = write_line(
        draft(**{f"f{n}": ["\U0001f600" * MAX_TEXT_CHARS] * 64 for n in range(9)}, node="n"), Position()
    )
    assert len(line) <= MAX_LINE_BYTES
    assert read_line(line).draft.fields["node"] == "n"
