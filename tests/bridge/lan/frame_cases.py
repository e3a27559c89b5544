"""Frames of a client, by name: those that are in order, and those that break the protocol."""

from __future__ import annotations

from tests.bridge.lan.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, header, masked

IN_ORDER = {
    "nothing": b"",
    "text": masked(TEXT, b"x"),
    "binary": masked(BINARY, b"x"),
    "empty": masked(TEXT, b""),
    "125": masked(TEXT, b"x" * 125),
    "126": masked(TEXT, b"x" * 126),
    "65535": masked(TEXT, b"x" * 65_535),
    "65536": masked(TEXT, b"x" * 65_536),
    "promises": masked(TEXT, b"x", length=2**63 - 1),
    "ping": masked(PING, b"x" * 125),
    "pong": masked(PONG, b""),
    "close": masked(CLOSE, b"\x03\xe8bye"),
    "two": masked(TEXT, b"x") + masked(BINARY, b"y"),
    "parts": masked(TEXT, b"a", final=False) + masked(CONTINUATION, b"b", final=False) + masked(CONTINUATION, b"c"),
    "parts-of-nothing": masked(TEXT, b"", final=False) + masked(CONTINUATION, b""),
    "ping-between": masked(TEXT, b"a", final=False) + masked(PING, b"p") + masked(CONTINUATION, b"b"),
    "looks-like-a-header": masked(TEXT, b"\x81\x01" * 90),
}
OUT_OF_ORDER = {
    "unmasked": header(TEXT, 1, mask=False) + b"x",
    "unmasked-ping": header(PING, 0, mask=False),
    "unmasked-empty": header(TEXT, 0, mask=False),
    "unmasked-after-masked": masked(TEXT, b"x" * 200) + header(TEXT, 0, mask=False),
    "unmasked-fragment": masked(TEXT, b"x", final=False) + header(CONTINUATION, 0, mask=False),
    "rsv1": masked(TEXT, b"x", reserved=4),
    "rsv2": masked(TEXT, b"x", reserved=2),
    "rsv3": masked(TEXT, b"x", reserved=1),
    "rsv1-ping": masked(PING, b"x", reserved=4),
    **{f"opcode-{opcode:x}": masked(opcode, b"x") for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "continues-nothing": masked(CONTINUATION, b"x"),
    "continues-what-ended": masked(TEXT, b"x") + masked(CONTINUATION, b"y"),
    "message-in-message": masked(TEXT, b"a", final=False) + masked(TEXT, b"b"),
    "message-in-empty": masked(TEXT, b"", final=False) + masked(BINARY, b"b"),
    "message-in-message-in-parts": masked(TEXT, b"", final=False) + masked(TEXT, b"", final=False),
    "ping-in-parts": masked(PING, b"x", final=False),
    "close-in-parts": masked(CLOSE, b"", final=False),
    "ping-of-126": masked(PING, b"x" * 126),
    "close-of-70000": masked(CLOSE, b"x" * 70_000),
}
