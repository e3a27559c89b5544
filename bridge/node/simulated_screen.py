"""Pure: a screen that shows nothing and remembers everything: what `screen.*` does on the simulated phone."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson

from gateway_client.frames import Json, JsonObject

WIDTH, HEIGHT = 390, 844  # points of an iPhone screen
MAX_WIDTH = 4096  # pixels of the widest picture that may be asked for


class ScriptError(Exception):
    """The page's script threw; the text is its message."""


@dataclass(slots=True)
class SimulatedScreen:
    """What the screen shows, and what it showed."""

    url: str = "about:blank"
    visible: bool = False
    mode: str = "canvas"
    visited: list[str] = field(default_factory=list)
    """Every address that was opened, oldest first."""
    scripts: list[str] = field(default_factory=list)
    """Every script that was run, oldest first."""
    results: dict[str, Json] = field(default_factory=dict)
    """What a script evaluates to, by its exact text; set by the owner."""

    @property
    def title(self) -> str:
        """The page's title: its host, without a page behind it."""
        return urlsplit(self.url).hostname or ""

    def navigate(self, url: str) -> JsonObject:
        """Opens an address."""
        self.url, self.visible = url, True
        self.visited.append(url)
        return {"url": url, "title": self.title}

    def evaluate(self, script: str) -> JsonObject:
        """Evaluates the few expressions a page without a script engine can: the owner's, JSON values, the location.

        Raises:
            ScriptError: the script throws.
        """
        self.scripts.append(script)
        if script in self.results:
            return {"result": self.results[script]}
        known: dict[str, Json] = {"document.title": self.title, "location.href": self.url}
        if script.strip() in known:
            return {"result": known[script.strip()]}
        thrown = re.fullmatch(r"\s*throw new Error\((['\"])(.*)\1\);?\s*", script)
        if thrown:
            raise ScriptError(thrown[2])
        try:
            value: Json = orjson.loads(script)
        except orjson.JSONDecodeError:
            value = None
        return {"result": value}

    def snapshot(self, max_width: int | None) -> JsonObject:
        """Takes a picture: one colour, which stands for the address."""
        width = min(WIDTH, max_width or WIDTH, MAX_WIDTH)
        height = max(1, HEIGHT * width // WIDTH)
        picture = base64.b64encode(_png(width, height, hashlib.sha256(self.url.encode()).digest()[:3])).decode()
        return {"format": "png", "base64": picture, "width": width, "height": height}

    def run(self, command: str, params: Mapping[str, Json]) -> JsonObject:
        """Runs a `screen.*` command.

        Raises:
            ScriptError: `screen.eval` threw.
            ValueError: a parameter is missing or of another type.
            KeyError: there is no such command.
        """
        match command:
            case "screen.navigate":
                return self.navigate(_text(params, "url"))
            case "screen.eval":
                return self.evaluate(_text(params, "javaScript"))
            case "screen.snapshot":
                width = params.get("maxWidth")
                return self.snapshot(width if isinstance(width, int) and width > 0 else None)
            case "screen.setMode":
                self.mode = _text(params, "mode")
            case "screen.show" | "screen.hide":
                self.visible = command == "screen.show"
            case _:
                raise KeyError(command)
        return {}


def _text(params: Mapping[str, Json], name: str) -> str:
    value = params.get(name)
    if isinstance(value, str):
        return value
    raise ValueError(f"{name} is missing")


def _png(width: int, height: int, colour: bytes) -> bytes:
    """Returns a picture of one colour (PNG specification, section 5: signature, IHDR, IDAT, IEND)."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\x00" + colour * width) * height
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
