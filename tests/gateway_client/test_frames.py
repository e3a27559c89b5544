"""Reading and writing frames: shapes, members, round trips, and time that grows with length only."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_client.frames import (
    Bounds,
    ErrorShape,
    Event,
    Frame,
    FrameError,
    FrameFault,
    Json,
    Request,
    Response,
    encode_frame,
    frame_json,
    is_count,
    object_of,
    parse_frame,
    parse_json,
    text_of,
)
from tests.gateway_client.corpus import FRAMES, TEXTS

BOUNDS = Bounds(max_bytes=1 << 20)
SAFE = 2**53 - 1
GENEROUS_S = 3.0  # a quadratic scan of these texts takes hours

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-SAFE, SAFE) | st.floats(allow_nan=False, allow_infinity=False) | text
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5), max_leaves=25
)
present = values.filter(lambda value: value is not None)
errors = st.builds(
    ErrorShape, text, text, values, st.none() | st.booleans(), st.none() | st.integers(min_value=0, max_value=SAFE)
)
names = text.filter(bool)
responses = st.one_of(
    st.builds(Response, names, st.just(True), present),
    st.builds(Response, names, st.just(True)),
    st.builds(Response, names, st.booleans(), values, errors),
)
events = st.builds(
    Event, names, values, st.none() | st.integers(0, SAFE), st.none() | st.dictionaries(text, values, max_size=3)
)
frames = st.builds(Request, names, names, values) | responses | events


def read(document: object) -> Frame:
    return parse_frame(json.dumps(document).encode(), BOUNDS)


@given(values)
def test_every_json_value_survives(value: Json) -> None:
    for ascii_only in (True, False):
        for separators in ((",", ":"), (" , ", " : ")):
            written = json.dumps(value, ensure_ascii=ascii_only, separators=separators).encode()
            assert repr(parse_json(written, BOUNDS)) == repr(value)


def items_of(value: Json) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(items_of, value.values()))
    return len(value) + sum(map(items_of, value)) if isinstance(value, list) else 0


@given(values, st.integers(1, 30))
def test_members_and_elements_are_bounded_within_a_factor_of_two(value: Json, bound: int) -> None:
    written, items = json.dumps(value).encode(), items_of(value)
    try:
        parse_json(written, Bounds(max_bytes=1 << 20, max_items=bound))
    except FrameError as error:
        taken, right = False, error.fault is FrameFault.TOO_MANY_ITEMS and 2 * items > bound
    else:
        taken, right = True, items <= 2 * bound + 1
    assert right, (taken, items, bound)


@given(frames)
def test_every_frame_survives(frame: Frame) -> None:
    assert parse_frame(encode_frame(frame), BOUNDS) == frame


@given(frames)
def test_what_was_read_is_written_the_same_way_again(frame: Frame) -> None:
    written = encode_frame(frame)
    assert encode_frame(parse_frame(written, BOUNDS)) == written


@given(text)
def test_a_payload_string_keeps_every_byte(inner: str) -> None:
    payload = json.dumps({"text": inner}, ensure_ascii=False)
    frame = parse_frame(
        json.dumps({"type": "req", "id": "1", "method": "m", "params": {"p": payload}}).encode(), BOUNDS
    )
    again = json.loads(encode_frame(frame))
    assert again["params"]["p"].encode() == payload.encode()


@pytest.mark.parametrize("index", range(len(FRAMES)))
def test_frames_like_the_real_ones_are_read_and_rebuilt(index: int) -> None:
    frame = parse_frame(TEXTS[index], Bounds(max_bytes=65_536))
    rebuilt = frame_json(frame)
    assert {name: value for name, value in FRAMES[index].items() if value is not None or name in rebuilt} == rebuilt


def test_a_request_is_rebuilt_from_its_known_members_only() -> None:
    frame = read(
        {"type": "req", "id": "1", "method": "health", "params": {}, "traceparent": "00-x", "expectedProfileId": "p"}
    )
    assert frame == Request("1", "health", {})
    assert encode_frame(frame) == b'{"type":"req","id":"1","method":"health","params":{}}'


def test_unknown_members_of_responses_and_events_are_dropped() -> None:
    assert encode_frame(read({"type": "res", "id": "1", "ok": True, "x": 1})) == b'{"type":"res","id":"1","ok":true}'
    assert (
        encode_frame(read({"type": "event", "event": "e", "recipientProfileId": "p"}))
        == b'{"type":"event","event":"e"}'
    )
    error = {"code": "X", "message": "m", "stack": "..."}
    assert read({"type": "res", "id": "1", "ok": False, "error": error}) == Response(
        "1", False, None, ErrorShape("X", "m")
    )


def test_absent_and_null_parameters_are_one_thing() -> None:
    assert read({"type": "req", "id": "1", "method": "m", "params": None}) == read(
        {"type": "req", "id": "1", "method": "m"}
    )


@pytest.mark.parametrize(
    "document", [b'{"type":"res","id":"1","ok":true,"payload":null}', b'{"type":"res","id":"1","ok":true}']
)
def test_absent_and_null_payloads_are_told_apart(document: bytes) -> None:
    assert encode_frame(parse_frame(document, BOUNDS)) == document


def test_the_longest_id_and_method_pass() -> None:
    assert read({"type": "req", "id": "i" * 256, "method": "m" * 128}) == Request("i" * 256, "m" * 128)
    assert read({"type": "event", "event": "e" * 128, "seq": 0}) == Event("e" * 128, None, 0)


@pytest.mark.parametrize(
    "document, request_id",
    [
        ({"type": "req", "id": "7", "method": ""}, "7"),
        ({"type": "req", "id": "7"}, "7"),
        ({"type": "req", "id": "7", "method": "m", "role": "operator"}, "7"),
        ({"type": "req", "id": 7, "method": "m"}, None),
        ({"type": "req", "id": "7" * 257, "method": "m"}, None),
        ({"type": "res", "id": "7"}, None),
        ({"type": "REQ", "id": "7", "method": "m"}, None),
    ],
)
def test_a_refusal_names_the_request_when_it_can_be_answered(document: object, request_id: str | None) -> None:
    with pytest.raises(FrameError) as caught:
        read(document)
    assert (caught.value.fault, caught.value.request_id) == (FrameFault.BAD_SHAPE, request_id)


@pytest.mark.parametrize(
    "retryable, after, expected",
    [
        (True, 500, (True, 500)),
        (False, 0, (False, 0)),
        (None, None, (None, None)),
        (1, True, (None, None)),
        ("yes", "500", (None, None)),
        (None, -1, (None, None)),
        (None, 12.7, (None, 12)),
        (None, SAFE, (None, SAFE)),
        (None, 1e300, (None, None)),
    ],
)
def test_the_hints_of_an_error_are_taken_when_they_make_sense(
    retryable: Json, after: Json, expected: tuple[bool | None, int | None]
) -> None:
    error = {"code": "X", "message": "m", "retryable": retryable, "retryAfterMs": after}
    frame = read({"type": "res", "id": "1", "ok": False, "error": error})
    assert isinstance(frame, Response)
    assert frame.error == ErrorShape("X", "m", None, *expected)
    assert parse_frame(encode_frame(frame), BOUNDS) == frame


def test_a_detail_of_an_error() -> None:
    assert ErrorShape("X", "m", {"code": "Y"}).detail("code") == "Y"
    assert ErrorShape("X", "m", {"code": "Y"}).detail("other") is None
    assert ErrorShape("X", "m", ["code"]).detail("code") is None


def test_a_state_version_that_is_no_object_is_dropped() -> None:
    assert read({"type": "event", "event": "e", "stateVersion": 3}) == Event("e")
    assert read({"type": "event", "event": "e", "stateVersion": {"presence": 3}}) == Event(
        "e", None, None, {"presence": 3}
    )


@pytest.mark.parametrize(
    "value, answer",
    [(0, True), (7, True), (-1, False), (True, False), (False, False), (1.0, False), ("1", False), (None, False)],
)
def test_a_count_is_an_integer_from_zero_up(value: Json, answer: bool) -> None:
    assert is_count(value) is answer


def test_optional_members_of_foreign_payloads() -> None:
    assert object_of({"a": 1}) == {"a": 1}
    others: list[Json] = [None, [], "x", 1, True]
    assert [object_of(value) for value in others] == [{}] * 5
    assert text_of({"a": "", "b": 1, "c": "x", "d": "y"}, "a", "b", "c", "d") == "x"
    assert text_of({"a": ""}, "a", "b") is None
    assert text_of(["a"], "a") is None


MEBIBYTES = 8 * 2**20
HOSTILE = {
    "escaped quotes": b'"' + b'\\"' * (MEBIBYTES // 2),
    "escaped backslashes, closed": b'"' + b"\\\\" * (MEBIBYTES // 2) + b'"',
    "unterminated": b'"' + b"a" * MEBIBYTES,
    "unterminated after an escape": b'"' + b"a" * MEBIBYTES + b"\\",
    "quotes": b'"' * MEBIBYTES,
    "short strings": b'"\\"' * (MEBIBYTES // 3),
    "backslashes": b"\\" * MEBIBYTES,
    "opening": b"[" * MEBIBYTES,
    "closing": b"]" * MEBIBYTES + b"[" * 40,
    "pairs": b"[]" * (MEBIBYTES // 2),
    "blanks in brackets": b"[" * 33 + b" " * MEBIBYTES,
    "digits": b"[" + b"1" * MEBIBYTES + b"]",
    "signs": b"-0" * (MEBIBYTES // 2),
    "fraction": b"[1." + b"1" * MEBIBYTES + b"]",
    "separators": b",:" * (MEBIBYTES // 2),
    "first elements": b"[" + b",".join([b"[" * 31 + b"]" * 31] * 16_000) + b"]",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_time_grows_with_length_only(data: bytes) -> None:
    started = time.process_time()
    try:
        parse_json(data, Bounds(max_bytes=2 * MEBIBYTES))
    except FrameError:
        pass
    finally:
        assert time.process_time() - started < GENEROUS_S


def cheapest(data: bytes) -> float:
    """Return the processor seconds of the best of three readings, all of them refusals."""
    took = []
    for _ in range(3):
        started = time.process_time()
        with pytest.raises(FrameError):
            parse_json(data, Bounds(max_bytes=len(data)))
        took.append(time.process_time() - started)
    return min(took)


@pytest.mark.parametrize("piece", [b'""', b'"\\"', b"[]"])
def test_many_small_things_cost_no_more_than_one_long_string(piece: bytes) -> None:
    size = 2 * MEBIBYTES
    assert cheapest(piece * (size // len(piece))) < 5 * cheapest(b'"' + b"a" * size) + 0.05
