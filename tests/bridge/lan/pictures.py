"""Pictures of any size, a few bytes each: only their headers are true."""

from __future__ import annotations

import base64
import struct

from gateway_client.frames import JsonObject


def png(width: int, height: int, padding: int = 0) -> bytes:
    """Returns the beginning of a PNG (PNG specification, section 5), and zeros."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + bytes(4 + padding)


def jpeg(width: int, height: int, before: int = 0) -> bytes:
    """Returns the beginning of a JPEG, with so many bytes of comments before its size."""
    comments = b""
    while before > 0:
        comments += b"\xff\xfe" + struct.pack(">H", 65_535) + bytes(65_533)
        before -= 65_537
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8" + comments + frame + b"\xff\xd9"


def snapshot(picture: bytes, fmt: str, width: int, height: int) -> JsonObject:
    """Returns the result of `screen.snapshot` with a picture."""
    return {"format": fmt, "base64": base64.b64encode(picture).decode(), "width": width, "height": height}
