"""Pure: the demo's values and failures in a few words."""

from __future__ import annotations

import json

from bridge.demo.agent import Call
from gateway_client.frames import ErrorShape, Json, object_of

SHOWN_CHARS = 90  # of a value in a line


def refused_by(call: Call) -> str | None:
    """Returns who refused a call before the phone saw it, None when the phone had its say."""
    if call.error is None:
        return None
    if call.error.detail("reason") is not None:
        return "gateway"
    code = object_of(call.error.detail("nodeError")).get("code")
    return "bridge" if code == "NODE_BACKGROUND_UNAVAILABLE" else None


def refusal(error: ErrorShape) -> str:
    """Returns a refusal in words; the gateway puts a node's code before a message that begins with it already."""
    code, _, rest = error.message.partition(": ")
    text = rest if rest.startswith(f"{code}: ") else error.message
    return f"refused: {text}"


def short(value: Json) -> str:
    """Returns a value as one short line; pictures by their size."""
    if isinstance(value, dict) and isinstance(value.get("base64"), str):
        size = len(str(value["base64"])) * 3 // 4
        return f"{value.get('format')}, {value.get('width')} x {value.get('height')}, {size} bytes"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "..."


def told(exc: BaseException) -> str:
    """Returns a failure in words, each of a group."""
    if isinstance(exc, ExceptionGroup):
        return "; ".join(told(item) for item in exc.exceptions)
    return str(exc) or type(exc).__name__
