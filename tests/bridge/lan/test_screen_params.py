"""Parameters of commands to a screen: what is known is checked, what is not known is dropped, and all is bounded."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.lan.node_calls import ParamsError
from bridge.lan.screen_params import MAX_PARAMS_BYTES, ScreenCaps, ScreenParams, TooLargeError, is_typed, read

CAPS = ScreenCaps()
SMALL = ScreenCaps(eval_max_bytes=10)
TYPED = (
    *("screen.show", "screen.hide", "screen.navigate", "screen.eval", "screen.snapshot", "screen.setMode"),
    *("canvas.navigate", "canvas.present"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["url", "javaScript", "maxWidth", "quality", "format", "mode", "placement", "x", "width", "deliver"]
)
VALUES = JSON | st.sampled_from(["https://ok.example/", "png", "jpg", "web", "canvas", "", 0, 1, 0.5, -1, 4097])
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=6)


def asked(command: str, params: Any, widest: int = 4096, caps: ScreenCaps = CAPS) -> ScreenParams:
    return read(command, json.dumps(params), widest, caps)


def why_not(command: str, text: str | None) -> str:
    with pytest.raises(ParamsError) as refused:
        read(command, text, 4096, CAPS)
    return str(refused.value)


@pytest.mark.parametrize("command", ["screen.show", "screen.hide"])
@pytest.mark.parametrize("text", [None, "null", "{}", ' {"url":"https://ok.example/","approved":true} '])
def test_showing_and_hiding_need_nothing_and_carry_nothing(command: str, text: str | None) -> None:
    assert read(command, text, 4096, CAPS) == ScreenParams({})


def test_navigate_carries_its_address_alone() -> None:
    params = asked("screen.navigate", {"url": "https://ok.example/", "approved": True, "placement": {"x": 1}})
    assert params == ScreenParams({"url": "https://ok.example/"}, "https://ok.example/")


@pytest.mark.parametrize("params", [None, {}, {"url": None}, {"url": ""}, {"url": 5}, {"url": ["https://ok.example/"]}])
def test_navigate_without_an_address_is_refused(params: Any) -> None:
    assert "url" in why_not("screen.navigate", json.dumps(params))


def test_eval_carries_its_source_alone_and_up_to_its_limit() -> None:
    assert asked("screen.eval", {"javaScript": "\u00e9" * 5, "x": 1}, caps=SMALL).members == {
        "javaScript": "\u00e9" * 5
    }
    for source in ("\u00e9" * 6, "x" * 11):
        with pytest.raises(TooLargeError, match="at most 10 bytes"):
            asked("screen.eval", {"javaScript": source}, caps=SMALL)
    assert "javaScript" in why_not("screen.eval", "{}")


def test_a_source_of_the_full_size_passes_however_it_is_escaped() -> None:
    text = '{"javaScript":"' + "\\u0041" * CAPS.eval_max_bytes + '"}'
    assert read("screen.eval", text, 4096, CAPS).members == {"javaScript": "A" * CAPS.eval_max_bytes}


@pytest.mark.parametrize("command", TYPED)
def test_size_is_looked_at_before_anything_is_parsed(command: str) -> None:
    with pytest.raises(TooLargeError, match="PAYLOAD_TOO_LARGE"):
        read(command, "[" * 5 * max(MAX_PARAMS_BYTES, 6 * CAPS.eval_max_bytes), 4096, CAPS)


@pytest.mark.parametrize(
    ("wanted", "width"), [(None, 4096), (1, 1), (320, 320), (4096, 4096), (4097, 4096), (2**50, 4096)]
)
def test_a_picture_is_never_wider_than_the_owner_allows(wanted: int | None, width: int) -> None:
    params = asked("screen.snapshot", {} if wanted is None else {"maxWidth": wanted})
    assert (params.members, params.max_width) == ({"maxWidth": width}, width)


@pytest.mark.parametrize("width", [0, -1, 1.5, 320.0, True, "320", [320], 2**60])
def test_a_width_that_is_none_is_refused(width: Any) -> None:
    assert why_not("screen.snapshot", json.dumps({"maxWidth": width}))


@pytest.mark.parametrize(("given", "said"), [("png", "png"), ("jpeg", "jpeg"), ("jpg", "jpeg")])
def test_a_format_has_one_name(given: str, said: str) -> None:
    assert asked("screen.snapshot", {"format": given, "quality": 0.5}).members == {
        "maxWidth": 4096,
        "quality": 0.5,
        "format": said,
    }


@pytest.mark.parametrize("params", [{"format": "PNG"}, {"format": "gif"}, {"format": 1}, {"quality": 1.01}])
def test_another_format_or_quality_is_refused(params: Any) -> None:
    assert why_not("screen.snapshot", json.dumps(params))


@pytest.mark.parametrize("quality", [-0.1, True, "1", [1]])
def test_quality_is_a_number_from_0_to_1(quality: Any) -> None:
    assert "quality" in why_not("screen.snapshot", json.dumps({"quality": quality}))
    for good in (0, 1, 0.3):
        assert asked("screen.snapshot", {"quality": good}).members["quality"] == good


@pytest.mark.parametrize("mode", ["canvas", "web"])
def test_a_mode_is_one_of_two(mode: str) -> None:
    assert asked("screen.setMode", {"mode": mode, "x": 1}).members == {"mode": mode}
    for wrong in (mode.upper(), "", None, 1):
        assert "mode" in why_not("screen.setMode", json.dumps({"mode": wrong}))


@pytest.mark.parametrize("command", TYPED)
@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", '"x"', "1", "true", "{", '{"url":"a","url":"b"}', '{"url":"\\ud800"}', "{}x", '{"a":NaN}'),
        *('{"a":1e999}', '{"a":' * 20 + "1" + "}" * 20, "{" + ",".join(f'"{n}":{n}' for n in range(100)) + "}"),
    ],
)
def test_what_is_no_plain_object_is_refused(command: str, text: str) -> None:
    assert command in why_not(command, text)


@pytest.mark.parametrize("params", [None, {}, {"url": ""}, {"url": "/"}, {"url": None}])
def test_the_app_s_own_page_needs_no_leave(params: Any) -> None:
    assert asked("canvas.navigate", params).url is None
    assert asked("canvas.present", params).url is None


def test_a_canvas_is_shown_where_it_was_placed() -> None:
    placed = {"placement": {"x": 1, "y": 2.5, "width": 300, "height": 200, "z": 9}, "url": "https://ok.example/"}
    params = asked("canvas.present", placed)
    assert params.members == {"url": placed["url"], "placement": {"x": 1, "y": 2.5, "width": 300, "height": 200}}
    assert params.url == placed["url"]
    assert asked("canvas.present", {}).members == {}
    wrong: Any
    for wrong in ([], "x", {"x": "1"}, {"width": 1e9}):
        assert why_not("canvas.present", json.dumps({"placement": wrong}))


def test_other_commands_are_left_alone() -> None:
    assert all(is_typed(command) for command in TYPED)
    assert not any(is_typed(command) for command in ("canvas.eval", "canvas.a2ui.push", "screen.record", "device.info"))


@given(command=st.sampled_from(TYPED), value=JSON | OBJECTS, widest=st.integers(1, 8192))
def test_whatever_comes_is_refused_or_rebuilt_from_what_is_known(command: str, value: Any, widest: int) -> None:
    try:
        params = asked(command, value, widest)
    except ParamsError:
        return
    known = {"url", "javaScript", "maxWidth", "quality", "format", "mode", "placement"}
    assert params.members.keys() <= known
    assert params.max_width is None or 1 <= params.max_width <= widest
    assert asked(command, params.members, widest) == params


@given(command=st.sampled_from(TYPED), text=st.text(max_size=200))
def test_any_text_at_all_is_refused_or_read(command: str, text: str) -> None:
    with suppress(ParamsError):
        read(command, text, 4096, CAPS)
