"""Pure: strict reading and plain writing of Gateway protocol frames (gateway-protocol §1.3).

Everything that comes from outside goes through `parse_frame`. The rules, in the order they are checked:

- size before anything else;
- nesting depth and the number of members and elements, counted before a single object is built;
- UTF-8 without a byte order mark, so neither UTF-16 nor UTF-32 is ever guessed;
- JSON as RFC 8259 has it: no NaN, Infinity, overflowing number or trailing data, no lone surrogate (but see `Bounds`);
- integers that every JavaScript peer reads the same way (|n| < 2**53, no negative zero), unless the bounds waive it;
- no duplicate member names: two parsers could disagree on which one counts;
- the three frame shapes, with no unknown top-level member in a request.

A frame is never forwarded as it came: it is rebuilt from its known members by `encode_frame`.
"""

from __future__ import annotations

import itertools
import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeGuard, assert_never

import orjson

from gateway_client.salvage import without_lone_surrogates

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
JsonObject = dict[str, Json]

MAX_SAFE_INTEGER = 2**53 - 1  # RFC 8259 section 6: the range on which implementations agree
MAX_ID_CHARS = 256  # the node host uses 38, the phones 36; anything longer is not an id
MAX_NAME_CHARS = 128  # the longest method of 2026.9.6 has 37 characters

# One string token, or an unterminated one up to the end: it never fails after its quote, so a scan is linear.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_SUSPECT_NUMBER = re.compile(rb"-0|[0-9]{16}")
_NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # read as signed bytes: one level deeper, one level up
_NO_BRACKETS = bytes(sorted(set(range(256)) - set(b"[{]}")))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one message may cost before it is refused."""

    max_bytes: int
    """Length of the message in bytes."""
    max_depth: int = 32
    """Arrays and objects inside each other."""
    max_items: int = 16_384
    """Members and elements together, counted by the marks between them, so that a member may count twice; about 200
    bytes of objects each, so some 3 MiB for a frame at the worst."""
    safe_integers: bool = True
    """Refuse integers that JavaScript would round. The gateway itself reports such figures, so its link waives it."""
    lone_surrogates: bool = False
    """Read half of a surrogate pair as U+FFFD: the gateway passes on what its model wrote."""


class FrameFault(StrEnum):
    """Why a message is no frame."""

    TOO_LARGE = "too-large"
    NOT_UTF8 = "not-utf8"
    NOT_JSON = "not-json"
    TOO_DEEP = "too-deep"
    TOO_MANY_ITEMS = "too-many-items"
    DUPLICATE_KEY = "duplicate-key"
    BAD_NUMBER = "bad-number"
    BAD_SHAPE = "bad-shape"


class FrameError(ValueError):
    """A message that is not an acceptable frame.

    Attributes:
        fault: which rule it broke.
        request_id: the id of the request, when the message was well-formed JSON with a usable one; else None.
    """

    def __init__(self, fault: FrameFault, message: str, request_id: str | None = None) -> None:
        super().__init__(message)
        self.fault = fault
        self.request_id = request_id


@dataclass(frozen=True, slots=True)
class Request:
    """`{"type":"req", ...}`: asks for `method`."""

    id: str
    method: str
    params: Json = None


@dataclass(frozen=True, slots=True)
class ErrorShape:
    """The `error` member of a failing response; `code` is for programs, `message` for people."""

    code: str
    message: str
    details: Json = None
    retryable: bool | None = None
    retry_after_ms: int | None = None

    def detail(self, name: str) -> Json:
        """Returns `details[name]`, or None when there is no such detail."""
        return self.details.get(name) if isinstance(self.details, dict) else None

    def as_json(self) -> JsonObject:
        """Returns the wire object, with only the members that are set."""
        out: JsonObject = {"code": self.code, "message": self.message}
        if self.details is not None:
            out["details"] = self.details
        if self.retryable is not None:
            out["retryable"] = self.retryable
        if self.retry_after_ms is not None:
            out["retryAfterMs"] = self.retry_after_ms
        return out


@dataclass(frozen=True, slots=True)
class Response:
    """`{"type":"res", ...}`: answers the request `id`; a failing one may carry a payload as well (method `agent`)."""

    id: str
    ok: bool
    payload: Json = None
    error: ErrorShape | None = None
    has_payload: bool = field(default=False, compare=False)
    """Whether `payload` was on the wire: null and absent are different things to a strict client."""


@dataclass(frozen=True, slots=True)
class Event:
    """`{"type":"event", ...}`: something happened; `seq` counts broadcasts of one connection."""

    event: str
    payload: Json = None
    seq: int | None = None
    state_version: JsonObject | None = None


Frame = Request | Response | Event


def parse_json(data: bytes, bounds: Bounds) -> Json:
    """Reads one JSON text strictly.

    Raises:
        FrameError: with the fault that was found first, in the order of the module's rules.
    """
    if len(data) > bounds.max_bytes:
        raise FrameError(FrameFault.TOO_LARGE, f"{len(data)} bytes, at most {bounds.max_bytes}")
    skeleton = _skeleton(data, bounds)
    value = _loads(data, bounds)
    if bounds.safe_integers:
        _check_numbers(skeleton)
    if _count_members(value) != skeleton.count(b":"):
        raise FrameError(FrameFault.DUPLICATE_KEY, "a member name stands twice in one object")
    return value


def _loads(data: bytes, bounds: Bounds) -> Json:
    try:
        value: Json = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        if bounds.lone_surrogates and (mended := without_lone_surrogates(data)) != data:
            return _loads(mended, bounds)
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            raise FrameError(FrameFault.NOT_UTF8, "not UTF-8") from exc
        raise FrameError(FrameFault.NOT_JSON, "not JSON") from exc
    return value


def _skeleton(data: bytes, bounds: Bounds) -> bytes:
    """Returns the text without its strings, once what is left shows that it costs no more than the bounds allow.

    Each string, and each array or object but the root, is a name, a member or an element of something, so their numbers
    bound the items from below. That also ends the scan early for a text that is made of nothing else.
    """
    strings_at_most, brackets_at_most = 2 * bounds.max_items + 1, 2 * bounds.max_items + 2
    skeleton, strings = _STRING.subn(b"", data, strings_at_most + 1)
    steps = array("b", skeleton.translate(_STEPS, _NO_BRACKETS))
    if max(itertools.accumulate(steps[:brackets_at_most]), default=0) > bounds.max_depth:
        raise FrameError(FrameFault.TOO_DEEP, f"nested deeper than {bounds.max_depth}")
    items = skeleton.count(b":") + skeleton.count(b",")
    if items > bounds.max_items or strings > strings_at_most or len(steps) > brackets_at_most:
        raise FrameError(FrameFault.TOO_MANY_ITEMS, f"more than {bounds.max_items} members and elements")
    return skeleton


def _check_numbers(skeleton: bytes) -> None:
    if not _SUSPECT_NUMBER.search(skeleton):
        return
    for token in _NUMBER.findall(skeleton):
        if token == b"-0":
            raise FrameError(FrameFault.BAD_NUMBER, "negative zero")
        if not any(mark in token for mark in b".eE") and abs(int(token)) > MAX_SAFE_INTEGER:
            raise FrameError(FrameFault.BAD_NUMBER, "an integer beyond 2**53")


def _count_members(value: Json) -> int:
    count = 0
    waiting: list[Json] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            count += len(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return count


def parse_frame(data: bytes, bounds: Bounds) -> Frame:
    """Reads one message as a frame.

    Raises:
        FrameError: the message breaks a rule of this module; `request_id` is set when an answer can be addressed.
    """
    value = parse_json(data, bounds)
    if not isinstance(value, dict):
        raise FrameError(FrameFault.BAD_SHAPE, "a frame is an object")
    match value.get("type"):
        case "req":
            return _request(value)
        case "res":
            return _response(value)
        case "event":
            return _event(value)
        case _:
            raise FrameError(FrameFault.BAD_SHAPE, "type is none of req, res, event")


def _name(value: JsonObject, key: str, limit: int) -> str:
    text = value.get(key)
    if not isinstance(text, str) or not text or len(text) > limit:
        raise FrameError(FrameFault.BAD_SHAPE, f"{key} is not a string of 1 to {limit} characters")
    return text


_REQUEST_KEYS = frozenset({"type", "id", "method", "params", "traceparent", "expectedProfileId"})


def _request(value: JsonObject) -> Request:
    request_id = _name(value, "id", MAX_ID_CHARS)
    try:
        method = _name(value, "method", MAX_NAME_CHARS)
    except FrameError as exc:
        raise FrameError(exc.fault, str(exc), request_id) from None
    if not value.keys() <= _REQUEST_KEYS:
        raise FrameError(FrameFault.BAD_SHAPE, "unknown member in a request frame", request_id)
    return Request(request_id, method, value.get("params"))


def _response(value: JsonObject) -> Response:
    request_id = _name(value, "id", MAX_ID_CHARS)
    ok = value.get("ok")
    if not isinstance(ok, bool):
        raise FrameError(FrameFault.BAD_SHAPE, "ok is not a boolean")
    error = value.get("error")
    if ok is False and error is None:
        raise FrameError(FrameFault.BAD_SHAPE, "a failing response without error")
    shape = _error(error) if error is not None else None
    return Response(request_id, ok, value.get("payload"), shape, has_payload="payload" in value)


def _error(value: Json) -> ErrorShape:
    if not isinstance(value, dict):
        raise FrameError(FrameFault.BAD_SHAPE, "error is not an object")
    code, message = value.get("code"), value.get("message")
    if not isinstance(code, str) or not isinstance(message, str):
        raise FrameError(FrameFault.BAD_SHAPE, "error without code and message")
    retryable, after = value.get("retryable"), _number_of(value.get("retryAfterMs"))
    return ErrorShape(
        code,
        message,
        value.get("details"),
        retryable if isinstance(retryable, bool) else None,
        int(after) if after is not None and 0 <= after <= MAX_SAFE_INTEGER else None,
    )


def _number_of(value: Json) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _event(value: JsonObject) -> Event:
    name = _name(value, "event", MAX_NAME_CHARS)
    seq = value.get("seq")
    if seq is not None and not is_count(seq):
        raise FrameError(FrameFault.BAD_SHAPE, "seq is not a count")
    version = value.get("stateVersion")
    return Event(name, value.get("payload"), seq, version if isinstance(version, dict) else None)


def encode_frame(frame: Frame) -> bytes:
    """Writes a frame as compact UTF-8 JSON, built from its known members only."""
    return orjson.dumps(frame_json(frame))


def frame_json(frame: Frame) -> JsonObject:
    """Returns the wire object of a frame."""
    out: JsonObject
    match frame:
        case Request(id=request_id, method=method, params=params):
            out = {"type": "req", "id": request_id, "method": method}
            if params is not None:
                out["params"] = params
        case Response(id=request_id, ok=ok, payload=payload, error=error):
            out = {"type": "res", "id": request_id, "ok": ok}
            if payload is not None or frame.has_payload:
                out["payload"] = payload
            if error is not None:
                out["error"] = error.as_json()
        case Event(event=name, payload=payload, seq=seq, state_version=version):
            out = {"type": "event", "event": name}
            if payload is not None:
                out["payload"] = payload
            if seq is not None:
                out["seq"] = seq
            if version is not None:
                out["stateVersion"] = version
        case _:
            assert_never(frame)
    return out


def is_count(value: Json) -> TypeGuard[int]:
    """Tells whether `value` is an integer from zero up; `true` is none, though Python takes it for 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def object_of(value: Json | Mapping[str, Json]) -> JsonObject:
    """Returns `value` when it is an object, else an empty one: for reading optional members of foreign payloads."""
    return value if isinstance(value, dict) else {}


def text_of(value: Json, *names: str) -> str | None:
    """Returns the first of the named members that is a non-empty string, else None."""
    for name in names:
        found = object_of(value).get(name)
        if isinstance(found, str) and found:
            return found
    return None
