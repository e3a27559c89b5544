"""Documents that are no frame, by class, each with the fault it has to be refused for."""

from __future__ import annotations

import json
from collections.abc import Iterator

from gateway_client.frames import FrameFault, Json, JsonObject

LIMIT = 65_536  # bytes: what a socket may send before hello-ok
Case = tuple[str, bytes, FrameFault]

REQUEST = b'{"type":"req","id":"1","method":"health","params":%b}'
NAMES = ("type", "id", "method", "params")


def cases() -> list[Case]:
    """Return every document: a unique name, the bytes, the fault."""
    out: list[Case] = []
    for maker in (_not_json, _truncated, _tokens, _numbers, _encodings, _surrogates, _duplicates, _costly, _shapes):
        out.extend((f"{maker.__name__.strip('_')}-{name}", data, fault) for name, data, fault in maker())
    return out


def _not_json() -> Iterator[Case]:
    texts = {
        "empty": b"", "blank": b" \n\t\r", "brace": b"{", "bracket": b"[", "close": b"}", "nul-word": b"nul",
        "two-objects": b"{}{}", "two-lines": b"{}\n{}", "comma-after": b"{},", "trailing-word": b"{} x",
        "trailing-nul": b"{}\x00", "leading-nul": b"\x00{}", "single-quotes": b"{'type':'req'}",
        "bare-name": b"{type:1}",
        "line-comment": b"{} // c", "block-comment": b"/* c */{}", "hash-comment": b"# c\n{}",
        "trailing-comma": b'{"a":1,}',
        "trailing-comma-array": b"[1,]", "lone-comma": b"[,]", "leading-comma": b"[,1]", "double-comma": b"[1,,2]",
        "no-colon": b'{"a" 1}', "two-colons": b'{"a"::1}', "colon-in-array": b'["a":1]', "name-only": b'{"a"}',
        "number-name": b"{1:2}", "null-name": b"{null:1}", "mismatch": b"[}", "crossed": b'{"a":[}]', "unopened": b"]",
        "word": b"health", "http": b"GET / HTTP/1.1\r\n\r\n", "tls-hello": b"\x16\x03\x01\x00\x05", "semicolon": b"{};",
        "guard": b")]}'\n{}", "jsonp": b"f({})", "backtick": b"`{}`", "undefined": b'{"a":undefined}', "true": b"True",
        "none": b"None", "tru": b"tru", "nulll": b"nulll", "vertical-tab": b"\x0b{}", "form-feed": b"{}\x0c",
        "no-break-space": "\u00a0{}".encode(), "line-separator": "\u2028{}".encode(), "python-bytes": b"b'{}'",
    }  # fmt: skip
    for name, text in texts.items():
        yield name, text, FrameFault.NOT_JSON


def _truncated() -> Iterator[Case]:
    whole = REQUEST % b'{"a":[1,"x\\n\\u00e9"]}'
    for length in range(2, len(whole)):
        yield f"at-{length}", whole[:length], FrameFault.NOT_JSON


def _tokens() -> Iterator[Case]:
    strings = {
        "newline": b'"\n"', "tab": b'"\t"', "nul": b'"\x00"', "unit-separator": b'"\x1f"', "escape-x": b'"\\x41"',
        "escape-quote": b"\"\\'\"", "escape-upper-u": b'"\\U0041"', "short-u": b'"\\u12"', "bad-hex": b'"\\u12g4"',
        "escape-zero": b'"\\0"', "escape-end": b'"\\"', "unterminated": b'"abc', "escape-newline": b'"\\\n"',
        "joined": b'"a""b"',
        "plus": b'"a"+"b"', "raw-quote": b'"a"b"', "escape-a": b'"\\a"', "escape-brace": b'"\\u{41}"',
    }  # fmt: skip
    for name, token in strings.items():
        yield f"{name}-value", REQUEST % token, FrameFault.NOT_JSON
        yield f"{name}-name", REQUEST % (b"{%b:1}" % token), FrameFault.NOT_JSON


def _numbers() -> Iterator[Case]:
    refused = (
        b"NaN", b"-NaN", b"Infinity", b"-Infinity", b"inf", b"nan", b"1e999", b"-1e999", b"1E+999", b"+1", b".5", b"1.",
        b"01", b"-01", b"00", b"0x10", b"0b1", b"0o7", b"1_000", b"1e", b"1e+", b"1.e1", b"--1", b"-", b"1-1", b"1/2",
        b"1L",
        b"1n", b"1f", b"\xc2\xb2", "\u0661".encode(), "\uff11".encode(), b"9" * 400, b"9" * 4300, b"9" * 5000,
        b"-" + b"9" * 5000,
        b"1e" + b"9" * 5000,
    )  # fmt: skip
    for index, token in enumerate(refused):
        yield f"{index}-{token[:9].decode()}", REQUEST % token, FrameFault.NOT_JSON
    unsafe = (
        b"-0", b"9007199254740992", b"9007199254740993", b"-9007199254740992", b"9223372036854775807",
        b"9223372036854775808",
        b"18446744073709551615", b"18446744073709551616", b"-9223372036854775809", b"1" + b"0" * 30, b"9" * 300,
    )  # fmt: skip
    for token in unsafe:
        for name, place in {
            "value": b"%b",
            "array": b"[1,%b]",
            "deep": b'{"a":[{"b":%b}]}',
            "spaced": b"[ %b ]",
        }.items():
            yield f"{token[:22].decode()}-{len(token)}-{name}", REQUEST % (place % token), FrameFault.BAD_NUMBER


def _encodings() -> Iterator[Case]:
    text = '{"type":"req","id":"é","method":"health"}'
    for codec, fault in {
        "utf-16": FrameFault.NOT_UTF8, "utf-32": FrameFault.NOT_UTF8, "utf-16-le": FrameFault.NOT_UTF8,
        "utf-16-be": FrameFault.NOT_UTF8, "utf-32-le": FrameFault.NOT_UTF8, "latin-1": FrameFault.NOT_UTF8,
        "utf-8-sig": FrameFault.NOT_JSON, "cp037": FrameFault.NOT_UTF8,
    }.items():  # fmt: skip
        yield codec, text.encode(codec), fault
    for codec in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):  # plain ASCII: valid UTF-8 with NULs in it
        yield f"{codec}-ascii", text.replace("é", "e").encode(codec), FrameFault.NOT_JSON
    sequences = {
        "lone-continuation": b"\x80", "cut-2": b"\xc3", "cut-3": b"\xe2\x82", "cut-4": b"\xf0\x9f\x8d", "ff": b"\xff",
        "overlong-2": b"\xc0\xaf", "overlong-quote": b"\xc0\xa2", "overlong-3": b"\xe0\x80\xaf",
        "overlong-nul": b"\xc0\x80",
        "overlong-4": b"\xf0\x80\x80\xaf", "beyond": b"\xf4\x90\x80\x80", "five": b"\xf8\x88\x80\x80\x80",
        "high": b"\xed\xa0\x80",
        "low": b"\xed\xbf\xbf", "cesu": b"\xed\xa0\xbd\xed\xb8\x80",
    }  # fmt: skip
    for name, raw in sequences.items():
        yield f"{name}-value", REQUEST % (b'"%b"' % raw), FrameFault.NOT_UTF8
        yield f"{name}-name", REQUEST % (b'{"%b":1}' % raw), FrameFault.NOT_UTF8
        yield f"{name}-outside", raw + b"{}", FrameFault.NOT_UTF8


def _surrogates() -> Iterator[Case]:
    places = {
        "id": b'{"type":"req","id":"%b","method":"health"}', "method": b'{"type":"req","id":"1","method":"%b"}',
        "type": b'{"type":"%b","id":"1","method":"health"}', "params": REQUEST % b'"%b"',
        "deep": REQUEST % b'{"a":["%b"]}',
        "name": REQUEST % b'{"%b":1}', "event": b'{"type":"event","event":"%b"}', "top-name": b'{"%b":1}',
    }  # fmt: skip
    for place, template in places.items():
        for escape in (b"\\ud800", b"\\uDFFF", b"a\\udc00\\ud800", b"\\ud83d\\u0041", b"\\ud83dx"):
            yield f"{place}-{escape.decode()}", template % escape, FrameFault.NOT_JSON


def _duplicates() -> Iterator[Case]:
    for name in NAMES:
        text = '{"type":"req","id":"1","method":"health","params":{},"%s":"z"}'
        yield f"top-{name}", (text % name).encode(), FrameFault.DUPLICATE_KEY
        escaped = f"\\u{ord(name[0]):04x}{name[1:]}"
        yield f"top-escaped-{name}", (text % escaped).encode(), FrameFault.DUPLICATE_KEY
    inner = {
        "same": b'{"a":1,"a":1}', "other-value": b'{"a":1,"b":2,"a":3}', "escaped": b'{"\\u0061":1,"a":2}',
        "empty": b'{"":1,"":2}',
        "escaped-upper": b'{"\\u004a":1,"J":2}', "in-array": b'[{},{"a":1,"a":2}]',
        "deep": b'{"x":{"y":{"a":1,"a":2}}}',
        "colon-in-name": b'{":":1,"\\u003a":2}', "quote-in-name": b'{"\\"":1,"\\u0022":2}',
        "solidus": b'{"/":1,"\\/":2}',
        "astral": '{"\U0001f600":1,"\\ud83d\\ude00":2}'.encode(), "nul": b'{"\\u0000":1,"\\u0000":2}',
        "spaced": b'{"a" : 1 , "a" : 2}',
        "proto": b'{"__proto__":{},"__proto__":{}}', "three": b'{"a":1,"a":2,"a":3}', "containers": b'{"a":[],"a":{}}',
        "many": b"{%b}" % b",".join(b'"%d":1' % (n % 999) for n in range(1000)),
    }  # fmt: skip
    for case, text_in in inner.items():
        yield case, REQUEST % text_in, FrameFault.DUPLICATE_KEY


def _costly() -> Iterator[Case]:
    for depth in (33, 34, 64, 1000, 10_000):
        yield f"arrays-{depth}", b"[" * depth + b"]" * depth, FrameFault.TOO_DEEP
        yield f"unclosed-{depth}", b"[" * depth, FrameFault.TOO_DEEP
        yield f"mixed-{depth}", b'[{"a":' * (depth // 2 + 1), FrameFault.TOO_DEEP
    yield "params-33", REQUEST % (b"[" * 32 + b"]" * 32), FrameFault.TOO_DEEP
    yield "second-branch", b"[[],[],%b1%b]" % (b"[" * 32, b"]" * 32), FrameFault.TOO_DEEP
    yield "quoted-brackets", b'["[[[[",%b]' % (b"[" * 33), FrameFault.TOO_DEEP
    yield "commas", b"[%b1]" % (b"1," * 16_385), FrameFault.TOO_MANY_ITEMS
    yield "members", b"[%b0]" % (b'{"":1},' * 8_193), FrameFault.TOO_MANY_ITEMS
    yield "colons", b":" * 16_385, FrameFault.TOO_MANY_ITEMS
    yield "empty-arrays", b"[]" * 16_500, FrameFault.TOO_MANY_ITEMS
    yield "closers", b"]" * 40_000 + b"[" * 40, FrameFault.TOO_MANY_ITEMS
    yield "size", b" " * (LIMIT + 1), FrameFault.TOO_LARGE
    yield "size-of-a-frame", (REQUEST % b'"%b"') % (b"a" * LIMIT), FrameFault.TOO_LARGE
    yield "nesting-100000", b"[" * 100_000, FrameFault.TOO_LARGE
    yield "name-of-1-mib", b'{"%b":1}' % (b"a" * 2**20), FrameFault.TOO_LARGE


REQ: JsonObject = {"type": "req", "id": "1", "method": "health"}
RES: JsonObject = {"type": "res", "id": "1", "ok": False, "error": {"code": "X", "message": "m"}}
EVENT: JsonObject = {"type": "event", "event": "tick"}
NO_WORD: list[Json] = [None, True, False, 0, 1, 1.5, "", [], {}, ["req"], {"a": 1}]
NO_COUNT: list[Json] = [True, False, -1, 1.0, "1", [], {}]
NO_TRUTH: list[Json] = [None, 0, 1, "true", [], {}]
NO_ERROR: list[Json] = [
    None, "x", 1, [], {}, True, {"code": "X"}, {"code": 1, "message": "m"}, {"code": "X",
    "message": None}, {"message": "m"},
    {"code": True, "message": "m"},
]  # fmt: skip
NO_FRAME: list[Json] = [None, True, 0, "req", [], [REQ], {}, [[]], {"a": REQ}]
NO_TYPE: list[Json] = ["REQ", "Req", "request", " req", "req ", "req\u0000", "hello", "response", "__proto__"]
NO_MEMBER = ("__proto__", "constructor", "a\u0000", "Type", "type ", "role", "auth", "payload", "ok", "a" * 40_000)
WRONG: list[tuple[JsonObject, str, list[Json]]] = [
    (REQ, "type", NO_WORD + NO_TYPE), (REQ, "id", [*NO_WORD, "x" * 257]), (REQ, "method", [*NO_WORD, "x" * 129]),
    (RES, "type", NO_WORD), (RES, "id", [*NO_WORD, "x" * 257]), (RES, "ok", NO_TRUTH), (RES, "error", NO_ERROR),
    (EVENT, "type", NO_WORD), (EVENT, "event", [*NO_WORD, "x" * 129]), (EVENT, "seq", NO_COUNT),
]  # fmt: skip


def _shapes() -> Iterator[Case]:
    for frame, name, values in WRONG:
        for value in values:
            text = json.dumps({**frame, name: value})
            yield f"{frame['type']}-{name}-{json.dumps(value)[:30]}", text.encode(), FrameFault.BAD_SHAPE
        if name != "seq":
            text = json.dumps({key: value for key, value in frame.items() if key != name})
            yield f"{frame['type']}-without-{name}", text.encode(), FrameFault.BAD_SHAPE
    for name in NO_MEMBER:
        yield f"member-{name[:12]!r}", json.dumps({**REQ, name: 1}).encode(), FrameFault.BAD_SHAPE
    for root in NO_FRAME:
        yield f"root-{json.dumps(root)[:9]}", json.dumps(root).encode(), FrameFault.BAD_SHAPE
