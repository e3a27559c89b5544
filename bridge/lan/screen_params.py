"""Pure: the parameters of commands to a screen, read from their JSON text and built anew (design §§9, 19).

Size before parsing; a member that a command does not know is dropped, a known one of another type or range refuses the
command. What a device gets is what is built here, never the text that came.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bridge.lan.node_calls import ParamsError
from gateway_client.frames import Bounds, FrameError, Json, JsonObject, parse_json

MAX_PARAMS_BYTES = 131_072  # of the JSON text of any command but eval: an address of 16,384 characters, all escaped
MAX_ESCAPE = 6  # bytes of JSON text that one byte of a script can take (`\u0041`)
SLACK_BYTES = 1_024  # for braces, names and blanks beside a script
MODES = ("canvas", "web")
FORMATS = {"png": "png", "jpeg": "jpeg", "jpg": "jpeg"}  # as the apps read it, and as it is said
PLACEMENT = ("x", "y", "width", "height")
MAX_POINTS = 100_000.0  # of a placement: no desktop is wider


class TooLargeError(ParamsError):
    """Parameters that are larger than a limit."""


@dataclass(frozen=True, slots=True)
class ScreenCaps:
    """What a screen may be asked and may give back (`[limits]`).

    Attributes:
        eval_max_bytes: UTF-8 bytes of a script.
        snapshot_max_bytes: bytes of a picture, decoded.
    """

    eval_max_bytes: int = 65_536
    snapshot_max_bytes: int = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ScreenParams:
    """What a command asks for.

    Attributes:
        members: the parameters as the device gets them; the address is still as it came.
        url: where the screen is to go; None: nowhere.
        max_width: pixels that a picture may be wide; None: no picture is asked for.
    """

    members: JsonObject = field(repr=False)
    url: str | None = field(default=None, repr=False)
    max_width: int | None = None


def is_typed(command: str) -> bool:
    """Whether the parameters of a command are read here; others pass as they are."""
    return command in _READERS


def read(command: str, params_json: str | None, widest: int, caps: ScreenCaps) -> ScreenParams:
    """Reads the parameters of a typed command.

    Args:
        command: one for which `is_typed` holds.
        params_json: as the gateway sent them; None, and JSON's null, are the same as none.
        widest: pixels of the widest picture that the owner allows.
        caps: sizes.

    Raises:
        TooLargeError: something is larger than a limit.
        ParamsError: anything else; the words are for whoever asked, and repeat nothing of the parameters.
    """
    eval_bytes = MAX_ESCAPE * caps.eval_max_bytes + SLACK_BYTES
    bounds = Bounds(eval_bytes if command.endswith(".eval") else MAX_PARAMS_BYTES, max_depth=8, max_items=64)
    return _READERS[command](_object(command, params_json, bounds), widest, caps)


def _object(command: str, params_json: str | None, bounds: Bounds) -> JsonObject:
    if params_json is None:
        return {}
    if len(params_json) > bounds.max_bytes:
        raise TooLargeError(f"PAYLOAD_TOO_LARGE: the parameters of {command} have at most {bounds.max_bytes} bytes")
    try:
        value = parse_json(params_json.encode("utf-8", "surrogatepass"), bounds)
    except FrameError as exc:
        raise ParamsError(f"{command}: the parameters are not acceptable JSON ({exc.fault})") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ParamsError(f"{command}: the parameters are no object")
    return value


def _nothing(_fields: JsonObject, _widest: int, _caps: ScreenCaps) -> ScreenParams:
    return ScreenParams({})


def _navigate(fields: JsonObject, _widest: int, _caps: ScreenCaps) -> ScreenParams:
    url = _text(fields, "url")
    return ScreenParams({"url": url}, url)


def _canvas_navigate(fields: JsonObject, _widest: int, _caps: ScreenCaps) -> ScreenParams:
    # An empty address and "/" are the app's own start page, which needs no leave.
    url = fields.get("url")
    if url is None or url in ("", "/"):
        return ScreenParams({"url": "" if url is None else url})
    return _navigate(fields, 0, _caps)


def _canvas_present(fields: JsonObject, _widest: int, _caps: ScreenCaps) -> ScreenParams:
    shown = _canvas_navigate(fields, 0, _caps)
    members = shown.members if "url" in fields else {}
    if (placement := fields.get("placement")) is not None:
        members = {**members, "placement": _placement(placement)}
    return ScreenParams(members, shown.url)


def _placement(value: Json) -> JsonObject:
    if not isinstance(value, dict):
        raise ParamsError("placement is no object")
    return {name: _number(value, name, -MAX_POINTS, MAX_POINTS) for name in PLACEMENT if value.get(name) is not None}


def _eval(fields: JsonObject, _widest: int, caps: ScreenCaps) -> ScreenParams:
    script = _text(fields, "javaScript")
    if len(script.encode()) > caps.eval_max_bytes:
        raise TooLargeError(f"PAYLOAD_TOO_LARGE: the source of an eval has at most {caps.eval_max_bytes} bytes")
    return ScreenParams({"javaScript": script})


def _snapshot(fields: JsonObject, widest: int, _caps: ScreenCaps) -> ScreenParams:
    width = widest
    if fields.get("maxWidth") is not None:
        # A picture may always be smaller than asked: what is wider than allowed is brought down to that.
        width = min(widest, _width(fields["maxWidth"]))
    members: JsonObject = {"maxWidth": width}
    if fields.get("quality") is not None:
        members["quality"] = _number(fields, "quality", 0, 1)
    if (wanted := fields.get("format")) is not None:
        if not isinstance(wanted, str) or wanted not in FORMATS:
            raise ParamsError("format is none of png, jpeg")
        members["format"] = FORMATS[wanted]
    return ScreenParams(members, max_width=width)


def _set_mode(fields: JsonObject, _widest: int, _caps: ScreenCaps) -> ScreenParams:
    mode = fields.get("mode")
    if not isinstance(mode, str) or mode not in MODES:
        raise ParamsError("mode is none of canvas, web")
    return ScreenParams({"mode": mode})


def _text(fields: JsonObject, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise ParamsError(f"{name} must be a text that is not empty")
    return value


def _width(value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ParamsError("maxWidth must be a whole number of pixels from 1 up")
    return value


def _number(fields: JsonObject, name: str, least: float, most: float) -> int | float:
    value = fields[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ParamsError(f"{name} must be a number from {least:g} to {most:g}")
    return value


_READERS: dict[str, Callable[[JsonObject, int, ScreenCaps], ScreenParams]] = {
    "screen.show": _nothing,
    "screen.hide": _nothing,
    "screen.navigate": _navigate,
    "screen.eval": _eval,
    "screen.snapshot": _snapshot,
    "screen.setMode": _set_mode,
    "canvas.navigate": _canvas_navigate,
    "canvas.present": _canvas_present,
}
