"""A request's id and method without parsing it: what a parser would read, wherever the members stand."""

from __future__ import annotations

import itertools
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_client.frames import Bounds, FrameError, Request, parse_frame
from gateway_client.peek import Peek, event_in, peek_at
from gateway_client.salvage import HEAD_BYTES
from tests.gateway_client.corpus import COUNT, documents

BOUNDS = Bounds(max_bytes=1_048_576)
LONG = {"payloadJSON": "x" * 5_000, "inner": {"method": "agent", "id": "no"}, "list": ["a", {"b": [1]}]}


@pytest.mark.parametrize("order", list(itertools.permutations(["type", "id", "method", "params"])), ids=" ".join)
@pytest.mark.parametrize("params", [LONG, None, {}, [], "text"], ids=["long", "null", "empty", "list", "text"])
def test_a_request_is_seen_in_any_order_of_its_members(order: tuple[str, ...], params: object) -> None:
    """Red when only the beginning is looked at: an iPhone's members stand in any order."""
    members = {"type": "req", "id": "r-1", "method": "node.invoke.result", "params": params}
    data = orjson.dumps({name: members[name] for name in order})
    assert peek_at(data) == Peek("r-1", "node.invoke.result")


def test_spaces_and_other_members_change_nothing() -> None:
    data = b' { "type" : "req" , "expectedProfileId":"", "params" : {} , "traceparent":"0" , "id":"r" , "method":"m" } '
    assert peek_at(data) == Peek("r", "m")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"type":"res","id":"r","method":"m"}',
        b'{"type":"event","event":"e"}',
        b'{"id":"r","method":"m"}',
        b'{"type":"re\\u0071","id":"r","method":"m"}',
        b'{"params":{"type":"req","id":"r","method":"m"}}',
    ],
)
def test_what_is_no_plain_request_shows_nothing(data: bytes) -> None:
    assert peek_at(data) == Peek()


def test_an_id_that_is_too_long_is_none() -> None:
    assert peek_at(b'{"type":"req","method":"m","id":"%b"}' % (b"x" * 300)) == Peek("", "m")


TEXTS = st.text(alphabet=st.sampled_from('ab"\\{}[],:é \n'), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.sampled_from(["id", "method"]), inner),
    max_leaves=8,
)
MEMBERS = st.dictionaries(st.sampled_from(["type", "id", "method", "params", "traceparent"]), VALUES | st.just("req"))


@given(MEMBERS, st.permutations(range(5)))
def test_what_it_sees_of_a_frame_is_what_the_parser_reads(members: dict[str, object], order: list[int]) -> None:
    """Red when the tail may begin within a text, or members of the parameters are taken for the frame's."""
    names = sorted(members)
    data = orjson.dumps({names[at]: members[names[at]] for at in order if at < len(names)})
    peek = peek_at(data)
    try:
        frame = parse_frame(data, BOUNDS)
    except FrameError:
        return
    if isinstance(frame, Request):
        assert peek.id in ("", frame.id)
        assert peek.method in ("", frame.method)


def test_whatever_bytes_come_nothing_is_raised_and_no_parser_disagrees() -> None:
    for data in documents(COUNT // 10):
        peek = peek_at(data)
        try:
            frame = parse_frame(data, BOUNDS)
        except FrameError:
            continue
        if isinstance(frame, Request):
            assert peek.method in ("", frame.method), data


def test_a_tail_that_never_ends_is_looked_at_in_no_time() -> None:
    """Only `HEAD_BYTES` of each end are read, whatever stands between them."""
    for tail in (b',"a":"b"' * 3_000_000, b',"' * 10_000_000, b'{"a":"' * 4_000_000):
        assert peek_at(b'{"type":"req"' + tail) == Peek()
    assert HEAD_BYTES <= 1_024


def test_the_name_of_an_event_is_found_for_its_sender() -> None:
    data = orjson.dumps({"type": "req", "params": {"payloadJSON": "y" * 4_000, "event": "voice.transcript"}, "id": "r"})
    assert event_in(data) == "voice.transcript"
    assert event_in(b"{}") is None


def short_members(count: int) -> bytes:
    """So many members of a few bytes, each under a name of its own."""
    names = itertools.islice(itertools.product("abcdefghijklmnop", repeat=2), count)
    return b",".join(b'"%b":""' % "".join(name).encode() for name in names)


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b'{"type":"req","id":"r","method":"m","params":{}' + b',"x":"1"' * 127 + b"x}", Peek("r", "m")),
        (b'{"type":"req","id":"r","method":"m",' + b'"a":"b",' * 120 + b'"params":{}}', Peek("r", "m")),
        (b'{"type":"req","id":"r","params":{' + short_members(120) + b'},"method":"m"}', Peek("r", "m")),
        (b'{"type":"req","id":"r","params":{}' + b',"x":"1"' * 127 + b"x}", Peek("r", "")),
    ],
    ids=["tail", "head", "method at the end", "no method"],
)
def test_nobody_can_make_a_look_costly(data: bytes, seen: Peek) -> None:
    """200 frames a second are read of a node, for a twentieth of a core.

    Red when the tail of who has said everything is looked at all the same, when the head is read to its end (2 % and
    more), and when the last members are searched for from the front (13 %).
    """

    def second() -> float:
        began = time.process_time()
        for _ in range(200):
            assert peek_at(data) == seen
        return time.process_time() - began

    assert min(second() for _ in range(3)) < 0.015
