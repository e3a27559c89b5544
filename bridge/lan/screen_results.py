"""Pure: what a screen gives back, checked before the agent sees it (design §19).

A picture is measured by its own first bytes and never decoded; what it is said to be has to agree with them. A result
is built anew from its known members.
"""

from __future__ import annotations

import binascii
import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import imagesize  # type: ignore[import-untyped]  # the library has no types; one call, its result is checked below
import orjson

from bridge.lan.screen_params import FORMATS, ScreenCaps
from gateway_client.frames import Bounds, FrameError, Json, JsonObject, object_of, parse_json

MAX_RESULT_BYTES = 262_144  # of JSON text, of any command but eval and snapshot: an address, a title
MAX_EVAL_BYTES = 26_214_400  # of JSON text: what the gateway takes in one frame (gateway-protocol §1.4)
MAX_EVAL_ITEMS = 65_536  # members and elements of what a script returns, about 200 bytes each: 13 MiB at the worst
MAX_TITLE_CHARS = 1_024
MAX_HEIGHT = 32_768  # pixels: a page in full length; at 4,096 wide already 512 MiB for whoever decodes it
HEADER_BYTES = 131_072  # of a picture that are searched for its size: two full segments of a JPEG before it
_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}


class ResultError(ValueError):
    """A result that breaks its command's shape; the message goes to the agent and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a result is held against.

    Attributes:
        command: the command as the agent gave it.
        url: where the screen was sent, as the device was told; None: nowhere.
        max_width: pixels that a picture may be wide.
        alias: whether another command stood for it, whose answers say less.
    """

    command: str
    url: str | None = field(default=None, repr=False)
    max_width: int | None = None
    alias: bool = False


def is_typed(command: str) -> bool:
    """Whether the result of a command is checked here; others pass as they are."""
    return command in _READERS


def read_payload(command: str, payload: Json, caps: ScreenCaps, *, is_text: bool) -> Json:
    """Returns the value of a result's payload.

    Args:
        command: the typed command that it answers.
        payload: as the device sent it.
        caps: sizes.
        is_text: whether it is JSON text (`payloadJSON`).

    Raises:
        ResultError: the text is too long, or not acceptable JSON.
    """
    if not is_text:
        return payload
    text = str(payload).encode("utf-8", "surrogatepass")
    bounds = _bounds(command, caps)
    if command.endswith(".snapshot") and (flat := _flat_object(text, bounds)) is not None:
        return flat
    try:
        return parse_json(text, bounds)
    except FrameError as exc:
        raise ResultError(f"the device's result is not acceptable JSON ({exc.fault})") from None


def _flat_object(text: bytes, bounds: Bounds) -> JsonObject | None:
    """Returns an object without anything inside, and without a mark of JSON in its strings; None: read it strictly.

    That is what a picture is, base64 having no such marks, and to count them takes a tenth of the time of the strict
    reading: 10 MiB of picture would hold up everybody else for 80 ms.
    """
    members = text.count(b":")
    if len(text) > bounds.max_bytes or members > bounds.max_items or text.count(b"{") != 1 or b"[" in text:
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) and len(value) == members else None


def _bounds(command: str, caps: ScreenCaps) -> Bounds:
    if command.endswith(".eval"):  # a page's own values: any number, and halves of characters that it cut
        return Bounds(MAX_EVAL_BYTES, 64, MAX_EVAL_ITEMS, safe_integers=False, lone_surrogates=True)
    if command.endswith(".snapshot"):  # twice: a device may write each slash as `\/`
        return Bounds(2 * _encoded(caps.snapshot_max_bytes) + MAX_RESULT_BYTES, 8, 64)
    return Bounds(MAX_RESULT_BYTES, 8, 64)


def _encoded(size: int) -> int:
    """Returns how many characters so many bytes are in base64."""
    return (size + 2) // 3 * 4


def read(asked: Asked, payload: Json, caps: ScreenCaps) -> JsonObject:
    """Checks the result of a typed `screen.*` command and returns it as the agent gets it.

    Where a screen has ended up is not decided here: see the member `url` of the result.

    Raises:
        ResultError: it breaks the command's shape.
    """
    return _READERS[asked.command](asked, object_of(payload), caps)


def _nothing(_asked: Asked, _fields: JsonObject, _caps: ScreenCaps) -> JsonObject:
    return {}


def _navigated(asked: Asked, fields: JsonObject, _caps: ScreenCaps) -> JsonObject:
    url, title = fields.get("url"), fields.get("title")
    if url is None and asked.alias:
        url = asked.url  # an older app does not say where it has ended up
    if not isinstance(url, str) or not url:
        raise ResultError("screen.navigate: the device did not say where the screen is (url)")
    if not isinstance(title, str | None):
        raise ResultError("screen.navigate: title is no text")
    return {"url": url, "title": (title or "")[:MAX_TITLE_CHARS]}


def _evaluated(_asked: Asked, fields: JsonObject, _caps: ScreenCaps) -> JsonObject:
    if "result" not in fields:
        raise ResultError("screen.eval: the device's result has no member result")
    return {"result": fields["result"]}


def _picture(asked: Asked, fields: JsonObject, caps: ScreenCaps) -> JsonObject:
    text, claimed = fields.get("base64"), fields.get("format")
    if not isinstance(text, str) or not isinstance(claimed, str) or claimed not in FORMATS:
        raise ResultError("screen.snapshot: base64 and format (png, jpeg) are required")
    if len(text) > _encoded(caps.snapshot_max_bytes):
        raise ResultError(f"screen.snapshot: the picture is larger than {caps.snapshot_max_bytes} bytes")
    data = _decoded(text)
    if len(data) > caps.snapshot_max_bytes:
        raise ResultError(f"screen.snapshot: the picture is larger than {caps.snapshot_max_bytes} bytes")
    true_format = next((name for start, name in _SIGNATURES.items() if data.startswith(start)), None)
    if true_format != FORMATS[claimed]:
        raise ResultError(f"screen.snapshot: the picture is no {FORMATS[claimed]}")
    width, height = _measured(data)
    if width > (asked.max_width or 0) or height > MAX_HEIGHT:
        raise ResultError(f"screen.snapshot: the picture is not 1 to {asked.max_width} pixels wide, or too high")
    said = (fields.get("width"), fields.get("height"))
    if said != (width, height) and not (asked.alias and said == (None, None)):
        raise ResultError("screen.snapshot: the picture has another size than the device said")
    return {"format": true_format, "base64": text, "width": width, "height": height}


def _decoded(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error):
        raise ResultError("screen.snapshot: base64 is malformed") from None


def _measured(data: bytes) -> tuple[int, int]:
    try:
        width, height = imagesize.get(io.BytesIO(data[:HEADER_BYTES]), exif_rotation=False)
    except (ValueError, struct.error):
        width = height = -1  # as the library has it for most of what it cannot read
    if width < 1 or height < 1:
        raise ResultError("screen.snapshot: the picture does not say its size")
    return int(width), int(height)


_READERS: dict[str, Callable[[Asked, JsonObject, ScreenCaps], JsonObject]] = {
    "screen.show": _nothing,
    "screen.hide": _nothing,
    "screen.navigate": _navigated,
    "screen.eval": _evaluated,
    "screen.snapshot": _picture,
    "screen.setMode": _nothing,
}
