"""The simulated screen remembers, evaluates what it can, and takes a real picture."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from bridge.lan.screen_params import ScreenCaps
from bridge.lan.screen_results import Asked, read
from bridge.node.simulated_screen import ScriptError, SimulatedScreen


def test_navigation_is_remembered() -> None:
    screen = SimulatedScreen()
    assert screen.run("screen.navigate", {"url": "https://a.example/x"}) == {
        "url": "https://a.example/x",
        "title": "a.example",
    }
    screen.run("screen.navigate", {"url": "https://b.example/"})
    assert screen.visited == ["https://a.example/x", "https://b.example/"]
    assert (screen.url, screen.visible) == ("https://b.example/", True)


def test_show_hide_and_mode() -> None:
    screen = SimulatedScreen()
    seen = []
    for command, params in (("screen.show", {}), ("screen.hide", {}), ("screen.setMode", {"mode": "web"})):
        assert screen.run(command, dict(params)) == {}
        seen.append((screen.visible, screen.mode))
    assert seen == [(True, "canvas"), (False, "canvas"), (False, "web")]


@pytest.mark.parametrize("width", [1, 2, 320, 390, 391, 4096])
def test_its_results_have_the_shapes_that_the_bridge_takes(width: int) -> None:
    screen, caps = SimulatedScreen(), ScreenCaps()
    asked: list[tuple[str, dict[str, Any]]] = [
        ("screen.show", {}),
        ("screen.navigate", {"url": "https://a.example/"}),
        ("screen.eval", {"javaScript": "1"}),
        ("screen.snapshot", {"maxWidth": width, "format": "jpeg"}),
        ("screen.setMode", {"mode": "web"}),
        ("screen.hide", {}),
    ]
    for command, params in asked:
        result = screen.run(command, params)
        assert read(Asked(command, params.get("url"), params.get("maxWidth")), dict(result), caps) == result


@pytest.mark.parametrize(
    ("script", "result"),
    [
        ("document.title", "a.example"),
        ("location.href", "https://a.example/x"),
        ('{"a": [1, null]}', {"a": [1, None]}),
        ("window.unknown()", None),
        ("the owner's", 42),
    ],
)
def test_script_has_a_result(script: str, result: Any) -> None:
    screen = SimulatedScreen(results={"the owner's": 42})
    screen.navigate("https://a.example/x")
    assert screen.run("screen.eval", {"javaScript": script}) == {"result": result}
    assert screen.scripts == [script]


def test_thrown_error_is_told() -> None:
    with pytest.raises(ScriptError, match="boom"):
        SimulatedScreen().run("screen.eval", {"javaScript": 'throw new Error("boom")'})


@pytest.mark.parametrize(("wanted", "width"), [(None, 390), (100, 100), (10_000, 390), (0, 390), ("x", 390)])
def test_snapshot_is_a_png_of_the_size_it_tells(wanted: Any, width: int) -> None:
    shot = SimulatedScreen().run("screen.snapshot", {} if wanted is None else {"maxWidth": wanted})
    data = base64.b64decode(str(shot["base64"]), validate=True)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", data[16:24]) == (shot["width"], shot["height"])
    assert shot["width"] == width


@pytest.mark.parametrize("command", ["screen.navigate", "screen.eval", "screen.setMode"])
def test_missing_parameter_is_a_value_error(command: str) -> None:
    with pytest.raises(ValueError, match="is missing"):
        SimulatedScreen().run(command, {})


def test_unknown_command_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        SimulatedScreen().run("screen.fly", {})
