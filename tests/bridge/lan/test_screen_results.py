"""Results of a screen: a picture is what its own bytes say, and everything else has its one shape."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.lan.screen_params import ScreenCaps
from bridge.lan.screen_results import (
    HEADER_BYTES,
    MAX_EVAL_ITEMS,
    MAX_HEIGHT,
    MAX_RESULT_BYTES,
    MAX_TITLE_CHARS,
    Asked,
    ResultError,
    is_typed,
    read,
    read_payload,
)
from tests.bridge.lan.pictures import jpeg, png, snapshot
from tests.bridge.lan.test_screen_params import JSON

CAPS = ScreenCaps()
TIGHT = ScreenCaps(snapshot_max_bytes=1_000)
SHOT = Asked("screen.snapshot", max_width=800)
WENT = Asked("screen.navigate", "https://ok.example/")
TYPED = ("screen.show", "screen.hide", "screen.navigate", "screen.eval", "screen.snapshot", "screen.setMode")


def why_not(asked: Asked, payload: Any, caps: ScreenCaps = CAPS) -> str:
    with pytest.raises(ResultError) as refused:
        read(asked, payload, caps)
    return str(refused.value)


@pytest.mark.parametrize(
    ("picture", "fmt", "size"),
    [(png(390, 844), "png", (390, 844)), (jpeg(800, 1), "jpeg", (800, 1)), (jpeg(2, 3, 65_000), "jpg", (2, 3))],
)
def test_a_picture_that_is_what_it_is_said_to_be_passes(picture: bytes, fmt: str, size: tuple[int, int]) -> None:
    sent = snapshot(picture, fmt, *size)
    assert read(SHOT, {**sent, "extra": 1}, CAPS) == {**sent, "format": "jpeg" if fmt == "jpg" else fmt}


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (snapshot(png(390, 844), "jpeg", 390, 844), "no jpeg"),
        (snapshot(jpeg(390, 844), "png", 390, 844), "no png"),
        (snapshot(b"GIF89a" + bytes(40), "png", 390, 844), "no png"),
        (snapshot(b"", "png", 390, 844), "no png"),
        (snapshot(png(390, 844), "gif", 390, 844), "required"),
        (snapshot(png(390, 844), "png", 391, 844), "another size"),
        (snapshot(png(390, 844), "png", 390, 843), "another size"),
        ({**snapshot(png(390, 844), "png", 390, 844), "width": None}, "another size"),
        ({**snapshot(png(390, 844), "png", 390, 844), "width": "390"}, "another size"),
        (snapshot(png(801, 844), "png", 801, 844), "1 to 800"),
        (snapshot(png(0, 844), "png", 0, 844), "does not say its size"),
        (snapshot(png(390, 0), "png", 390, 0), "does not say its size"),
        (snapshot(png(390, MAX_HEIGHT + 1), "png", 390, MAX_HEIGHT + 1), "too high"),
        (snapshot(png(2**32 - 1, 1), "png", 2**32 - 1, 1), "1 to 800"),
        (snapshot(png(390, 844)[:20], "png", 390, 844), "does not say its size"),
        (snapshot(jpeg(390, 844)[:8], "jpeg", 390, 844), "does not say its size"),
        (snapshot(b"\xff\xd8\xff\xda" + bytes(99), "jpeg", 390, 844), "does not say its size"),
        (snapshot(b"\xff\xd8\xff\xe0\x00\x00" + bytes(99), "jpeg", 390, 844), "does not say its size"),
        ({"format": "png", "base64": "iVBORw0KGgo", "width": 1, "height": 1}, "malformed"),
        ({"format": "png", "base64": "iVBO\nRw0KGgo=", "width": 1, "height": 1}, "malformed"),
        ({"format": "png", "base64": "iVBORw0KGgo==", "width": 1, "height": 1}, "malformed"),
        ({"format": "png", "base64": "\u00e9VBORw0KGgo=", "width": 1, "height": 1}, "malformed"),
        ({"format": "png", "base64": 5, "width": 1, "height": 1}, "required"),
        ({"format": "png", "width": 1, "height": 1}, "required"),
        ({"base64": "iVBORw0KGgo=", "width": 1, "height": 1}, "required"),
        ({}, "required"),
        (None, "required"),
        ([1], "required"),
    ],
)
def test_a_picture_that_is_something_else_is_refused(payload: Any, words: str) -> None:
    assert words in why_not(SHOT, payload)


def test_a_picture_has_a_largest_size_in_bytes() -> None:
    most = TIGHT.snapshot_max_bytes - len(png(1, 1))
    assert read(SHOT, snapshot(png(1, 1, most), "png", 1, 1), TIGHT)["width"] == 1
    assert "larger than 1000 bytes" in why_not(SHOT, snapshot(png(1, 1, most + 1), "png", 1, 1), TIGHT)
    assert "larger than 1000 bytes" in why_not(SHOT, snapshot(png(1, 1, 5 * most), "png", 1, 1), TIGHT)


def test_a_size_is_searched_for_in_the_beginning_only() -> None:
    """Goes red (some seconds) when all of the picture is searched: a JPEG of zeros is read byte by byte."""
    endless = b"\xff\xd8\xff\xe0\x00\x04ab" + bytes(CAPS.snapshot_max_bytes - 8)
    started = time.process_time()
    assert "does not say its size" in why_not(SHOT, snapshot(endless, "jpeg", 1, 1))
    assert time.process_time() - started < 1.0
    assert "does not say" in why_not(SHOT, snapshot(jpeg(1, 1, 5 * HEADER_BYTES), "jpeg", 1, 1))


def test_an_older_app_does_not_say_the_size_of_its_picture() -> None:
    bare: Any = {"format": "jpg", "base64": base64.b64encode(jpeg(7, 8)).decode()}
    older = Asked("screen.snapshot", max_width=800, alias=True)
    assert read(older, bare, CAPS) == {**bare, "format": "jpeg", "width": 7, "height": 8}
    assert "another size" in why_not(SHOT, bare)
    assert "another size" in why_not(older, {**bare, "width": 9, "height": 8})
    assert "1 to 6" in why_not(Asked("screen.snapshot", max_width=6, alias=True), bare)


def test_navigate_says_where_it_ended_up() -> None:
    assert read(WENT, {"url": "https://b.example/", "title": "B", "x": 1}, CAPS) == {
        "url": "https://b.example/",
        "title": "B",
    }
    assert read(WENT, {"url": "u"}, CAPS) == {"url": "u", "title": ""}
    assert len(str(read(WENT, {"url": "u", "title": "x" * 5 * MAX_TITLE_CHARS}, CAPS)["title"])) == MAX_TITLE_CHARS
    for wrong in ({}, None, {"url": ""}, {"url": 1}, {"url": "u", "title": 1}, "u"):
        assert "screen.navigate" in why_not(WENT, wrong)


def test_an_older_app_is_where_it_was_sent() -> None:
    older = Asked("screen.navigate", "https://ok.example/", alias=True)
    assert read(older, None, CAPS) == {"url": "https://ok.example/", "title": ""}
    assert read(older, {"url": "https://b.example/"}, CAPS)["url"] == "https://b.example/"


@pytest.mark.parametrize("value", [None, 0, 1.5, "x", [1, {"a": None}], {"result": 1}, True])
def test_eval_returns_any_json_value(value: Any) -> None:
    assert read(Asked("screen.eval"), {"result": value, "secret": 1}, CAPS) == {"result": value}
    assert "result" in why_not(Asked("screen.eval"), {"value": value})


@pytest.mark.parametrize("command", ["screen.show", "screen.hide", "screen.setMode"])
@pytest.mark.parametrize("payload", [None, {}, {"url": "x"}, [], 5])
def test_the_others_return_nothing(command: str, payload: Any) -> None:
    assert read(Asked(command), payload, CAPS) == {}


def test_text_is_bounded_before_it_is_parsed() -> None:
    for command, most in (("screen.navigate", MAX_RESULT_BYTES), ("screen.snapshot", 28_000_000 + MAX_RESULT_BYTES)):
        with pytest.raises(ResultError, match="too-large"):
            read_payload(command, "[" * (most + 1), CAPS, is_text=True)


def test_a_page_s_values_may_be_odd_and_many_but_not_endless() -> None:
    odd = '{"result":[9007199254740993,-0,"\\ud800"]}'
    assert read_payload("screen.eval", odd, CAPS, is_text=True) == {"result": [9007199254740993, 0, "\ufffd"]}
    many = json.dumps({"result": [0] * (MAX_EVAL_ITEMS - 8)})
    assert read_payload("screen.eval", many, CAPS, is_text=True)
    with pytest.raises(ResultError, match="too-many-items"):
        read_payload("screen.eval", json.dumps({"result": [0] * 5 * MAX_EVAL_ITEMS}), CAPS, is_text=True)


@pytest.mark.parametrize("text", ["", "{", "undefined", '{"url":1,"url":2}', "{}x", "\ud800"])
def test_text_that_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ResultError, match="not acceptable JSON"):
        read_payload("screen.navigate", text, CAPS, is_text=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"format":"png","format":"jpeg"}', "duplicate-key"),
        ('{"format":"png","title":"a:b","format":"jpeg"}', "duplicate-key"),
        ('{"format":"png","x":[]} x', "not-json"),
        ("{" + ",".join(f'"{n}":0' for n in range(500)) + "}", "too-many-items"),
        ("[" * 50 + "]" * 50, "too-deep"),
    ],
)
def test_the_quick_way_of_reading_a_picture_lets_nothing_through_that_the_strict_one_would_not(
    text: str, words: str
) -> None:
    """Goes red when `_flat_object` does not compare the number of members with the marks."""
    with pytest.raises(ResultError, match=words):
        read_payload("screen.snapshot", text, CAPS, is_text=True)
    odd = '{"format":"png","title":"a:b {["}'
    assert read_payload("screen.snapshot", odd, CAPS, is_text=True) == {"format": "png", "title": "a:b {["}


def test_what_is_no_text_is_taken_as_it_is() -> None:
    assert read_payload("screen.navigate", {"url": "u"}, CAPS, is_text=False) == {"url": "u"}


def test_results_of_other_commands_are_left_alone() -> None:
    assert [is_typed(command) for command in (*TYPED, "screen.record", "canvas.eval")] == [True] * 6 + [False] * 2


SHOTS = st.fixed_dictionaries(
    {},
    optional={
        "format": st.sampled_from(["png", "jpeg", "jpg", "gif"]) | JSON,
        "base64": st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode())
        | st.text(max_size=40)
        | JSON,
        "width": st.integers(-1, 900) | JSON,
        "height": st.integers(-1, 900) | JSON,
    },
)


@given(command=st.sampled_from(TYPED), payload=JSON | SHOTS, alias=st.booleans())
def test_whatever_comes_is_refused_or_has_the_shape(command: str, payload: Any, alias: bool) -> None:
    try:
        result = read(Asked(command, "https://ok.example/", 800, alias), payload, CAPS)
    except ResultError:
        return
    shapes = {"screen.navigate": {"url", "title"}, "screen.eval": {"result"}}
    assert result.keys() == shapes.get(command, {"format", "base64", "width", "height"} if "snap" in command else set())


@given(data=st.binary(max_size=200), start=st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b""]))
def test_any_bytes_are_measured_or_refused(data: bytes, start: bytes) -> None:
    for fmt in ("png", "jpeg"):
        try:
            result = read(SHOT, snapshot(start + data, fmt, 5, 5), CAPS)
        except ResultError:
            continue
        assert (result["width"], result["height"]) == (5, 5)
