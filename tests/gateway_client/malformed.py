"""Documents that are no frame, by class, each with the fault it has to be refused for.

They are built around requests that the bridge forwards when they are whole: a reader that is too lenient somewhere
lets one of them through to the gateway, where it is seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from gateway_client.frames import Bounds, FrameFault, Json, JsonObject

LIMIT = 65_536  # bytes: what a socket may send before hello-ok
BEFORE_HELLO = Bounds(max_bytes=LIMIT)
NAMES = ("type", "id", "method", "params")
PLACE = b"%b"

Case = tuple[str, bytes, FrameFault]
Cases = Iterator[Case]


@dataclass(frozen=True, slots=True)
class Carrier:
    """A request with a place in it for any JSON value.

    Attributes:
        method: the request's.
        text: the request; `PLACE` is where the value goes.
    """

    method: str
    text: bytes

    def holding(self, value: bytes) -> bytes:
        """The request with this value."""
        return self.text.replace(PLACE, value)

    @property
    def depth(self) -> int:
        """Arrays and objects around the place."""
        before = self.text[: self.text.index(PLACE)]
        return sum(before.count(mark) for mark in (b"{", b"[")) - sum(before.count(mark) for mark in (b"}", b"]"))

    @property
    def marks(self) -> int:
        """Separators outside the place."""
        return self.text.count(b",") + self.text.count(b":")


def carrier(method: str, params: str = PLACE.decode()) -> Carrier:
    """Returns a carrier with these parameters."""
    return Carrier(method, b'{"type":"req","id":"1","method":"%b","params":%b}' % (method.encode(), params.encode()))


VOICEWAKE = carrier("voicewake.get")


def node_carriers(node_id: str) -> list[Carrier]:
    """What a node with the permissions voice, chat and nodes may send to the gateway, of every kind of parameters."""
    invoke = f'{{"nodeId":"{node_id}","command":"device.info","params":{{"x":%b}},"idempotencyKey":"k"}}'
    return [
        VOICEWAKE,
        carrier("node.event", '{"event":"voice.transcript","payload":{"text":"hi","eventId":"e","x":%b}}'),
        carrier("node.invoke", invoke),
        carrier("agent", '{"message":"hi","sessionKey":"main","idempotencyKey":"k","x":%b}'),
    ]


def cases(bounds: Bounds = BEFORE_HELLO, within: Carrier = VOICEWAKE) -> list[Case]:
    """Return every document: a unique name, the bytes, the fault.

    Args:
        bounds: what the reader is given.
        within: the request that they are made of.
    """
    out: list[Case] = []
    for maker in (_not_json, _truncated, _tokens, _numbers, _encodings, _surrogates, _duplicates, _shapes):
        out.extend((f"{maker.__name__.strip('_')}-{name}", data, fault) for name, data, fault in maker(within))
    out.extend((f"costly-{name}", data, fault) for name, data, fault in _costly(within, bounds))
    return out


def _not_json(within: Carrier) -> Cases:
    whole = within.holding(b"{}")
    texts = {
        "empty": b"", "blank": b" \n\t\r", "brace": b"{", "bracket": b"[", "close": b"}", "nul-word": b"nul",
        "two-objects": whole + whole, "two-lines": whole + b"\n" + whole, "comma-after": whole + b",",
        "trailing-word": whole + b" x", "trailing-nul": whole + b"\x00", "leading-nul": b"\x00" + whole,
        "single-quotes": whole.replace(b'"', b"'"), "bare-names": whole.replace(b'"type"', b"type"),
        "line-comment": whole + b" // c", "block-comment": b"/* c */" + whole, "hash-comment": b"# c\n" + whole,
        "comment-inside": whole.replace(b",", b",/* c */", 1),
        "trailing-comma": whole[:-1] + b",}", "leading-comma-inside": b"{," + whole[1:],
        "double-comma-inside": whole.replace(b",", b",,", 1), "no-comma": whole.replace(b",", b" ", 1),
        "trailing-comma-array": b"[1,]", "lone-comma": b"[,]", "leading-comma": b"[,1]", "double-comma": b"[1,,2]",
        "no-colon": b'{"a" 1}', "two-colons": whole.replace(b":", b"::", 1), "equals": whole.replace(b":", b"=", 1),
        "colon-in-array": b'["a":1]', "name-only": b'{"a"}',
        "number-name": b"{1:2," + whole[1:], "null-name": b"{null:1," + whole[1:],
        "mismatch": whole[:-1] + b"]", "crossed": b'{"a":[}]', "unopened": whole + b"]", "unclosed": b"[" + whole,
        "word": b"health", "http": b"GET / HTTP/1.1\r\n\r\n", "tls-hello": b"\x16\x03\x01\x00\x05",
        "semicolon": whole + b";", "guard": b")]}'\n" + whole, "jsonp": b"f(" + whole + b")",
        "backtick": b"`" + whole + b"`", "undefined": within.holding(b"undefined"), "true": b"True",
        "none": within.holding(b"None"), "true-word": within.holding(b"True"), "tru": within.holding(b"tru"),
        "nulll": within.holding(b"nulll"), "vertical-tab": b"\x0b" + whole, "form-feed": whole + b"\x0c",
        "no-break-space": "\u00a0".encode() + whole, "line-separator": "\u2028".encode() + whole,
        "python-bytes": b"b'" + whole + b"'",
    }  # fmt: skip
    for name, text in texts.items():
        yield name, text, FrameFault.NOT_JSON


def _truncated(within: Carrier) -> Cases:
    whole = within.holding(b'{"a":[1,"x\\n\\u00e9"]}')
    for length in range(2, len(whole)):
        yield f"at-{length}", whole[:length], FrameFault.NOT_JSON


def _tokens(within: Carrier) -> Cases:
    strings = {
        "newline": b'"\n"', "tab": b'"\t"', "nul": b'"\x00"', "unit-separator": b'"\x1f"', "escape-x": b'"\\x41"',
        "escape-quote": b"\"\\'\"", "escape-upper-u": b'"\\U0041"', "short-u": b'"\\u12"', "bad-hex": b'"\\u12g4"',
        "escape-zero": b'"\\0"', "escape-end": b'"\\"', "unterminated": b'"abc', "escape-newline": b'"\\\n"',
        "joined": b'"a""b"',
        "plus": b'"a"+"b"', "raw-quote": b'"a"b"', "escape-a": b'"\\a"', "escape-brace": b'"\\u{41}"',
    }  # fmt: skip
    for name, token in strings.items():
        yield f"{name}-value", within.holding(token), FrameFault.NOT_JSON
        yield f"{name}-name", within.holding(b"{%b:1}" % token), FrameFault.NOT_JSON


def _numbers(within: Carrier) -> Cases:
    refused = (
        b"NaN", b"-NaN", b"Infinity", b"-Infinity", b"inf", b"nan", b"1e999", b"-1e999", b"1E+999", b"+1", b".5", b"1.",
        b"01", b"-01", b"00", b"0x10", b"0b1", b"0o7", b"1_000", b"1e", b"1e+", b"1.e1", b"--1", b"-", b"1-1", b"1/2",
        b"1L",
        b"1n", b"1f", b"\xc2\xb2", "\u0661".encode(), "\uff11".encode(), b"9" * 400, b"9" * 4300, b"9" * 5000,
        b"-" + b"9" * 5000,
        b"1e" + b"9" * 5000,
    )  # fmt: skip
    for index, token in enumerate(refused):
        yield f"{index}-{token[:9].decode()}", within.holding(token), FrameFault.NOT_JSON
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
            yield f"{token[:22].decode()}-{len(token)}-{name}", within.holding(place % token), FrameFault.BAD_NUMBER


def _encodings(within: Carrier) -> Cases:
    text = within.holding('"é"'.encode()).decode()
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
        yield f"{name}-value", within.holding(b'"%b"' % raw), FrameFault.NOT_UTF8
        yield f"{name}-name", within.holding(b'{"%b":1}' % raw), FrameFault.NOT_UTF8
        yield f"{name}-outside", raw + within.holding(b"{}"), FrameFault.NOT_UTF8


def _surrogates(within: Carrier) -> Cases:
    whole, method = within.holding(b"{}"), within.method.encode()
    places = {
        "id": whole.replace(b'"id":"1"', b'"id":"%b"'), "method": whole.replace(method, method + b"%b", 1),
        "type": whole.replace(b'"req"', b'"req%b"'), "params": within.holding(b'"%b"'),
        "deep": within.holding(b'{"a":["%b"]}'), "name": within.holding(b'{"%b":1}'),
        "event": b'{"type":"event","event":"%b"}', "top-name": b'{"%b":1,' + whole[1:],
    }  # fmt: skip
    for place, template in places.items():
        for escape in (b"\\ud800", b"\\uDFFF", b"a\\udc00\\ud800", b"\\ud83d\\u0041", b"\\ud83dx"):
            yield f"{place}-{escape.decode()}", template.replace(PLACE, escape), FrameFault.NOT_JSON


def _duplicates(within: Carrier) -> Cases:
    whole = within.holding(b"{}")
    for name in NAMES:
        for spelt in (name, f"\\u{ord(name[0]):04x}{name[1:]}"):
            member = b'"%b":"z"' % spelt.encode()
            yield f"top-last-{spelt}", whole[:-1] + b"," + member + b"}", FrameFault.DUPLICATE_KEY
            yield f"top-first-{spelt}", b"{" + member + b"," + whole[1:], FrameFault.DUPLICATE_KEY
    yield "other-method-first", whole.replace(b'"method"', b'"method":"health","method"'), FrameFault.DUPLICATE_KEY
    yield "other-method-last", whole[:-1] + b',"method":"health"}', FrameFault.DUPLICATE_KEY
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
        yield case, within.holding(text_in), FrameFault.DUPLICATE_KEY


def _costly(within: Carrier, bounds: Bounds) -> Cases:
    deep, items, size = bounds.max_depth + 1, bounds.max_items + 1, bounds.max_bytes + 1
    for depth in (deep, deep + 1, 64, 1000, 10_000):
        yield f"arrays-{depth}", b"[" * depth + b"]" * depth, FrameFault.TOO_DEEP
        yield f"unclosed-{depth}", b"[" * depth, FrameFault.TOO_DEEP
        yield f"mixed-{depth}", b'[{"a":' * (depth // 2 + 1), FrameFault.TOO_DEEP
        more = depth - within.depth
        yield f"arrays-inside-{depth}", within.holding(b"[" * more + b"]" * more), FrameFault.TOO_DEEP
        yield f"objects-inside-{depth}", within.holding(b'{"a":' * more + b"1" + b"}" * more), FrameFault.TOO_DEEP
    more = deep - within.depth
    yield "second-branch", within.holding(b"[[],%b1%b]" % (b"[" * (more - 1), b"]" * (more - 1))), FrameFault.TOO_DEEP
    yield "quoted-brackets", within.holding(b'["[[[[",%b1%b]' % (b"[" * more, b"]" * more)), FrameFault.TOO_DEEP
    yield "commas", within.holding(b"[%b1]" % (b"1," * items)), FrameFault.TOO_MANY_ITEMS
    yield "few-too-many", within.holding(b"[%b1]" % (b"1," * (items - within.marks))), FrameFault.TOO_MANY_ITEMS
    yield "members", within.holding(b"[%b0]" % (b'{"":1},' * (items // 2 + 1))), FrameFault.TOO_MANY_ITEMS
    yield "colons", b":" * items, FrameFault.TOO_MANY_ITEMS
    yield "empty-arrays", b"[]" * (items + 200), FrameFault.TOO_MANY_ITEMS
    yield "closers", b"]" * 2 * items + b"[" * 40, FrameFault.TOO_MANY_ITEMS
    yield "size", b" " * size, FrameFault.TOO_LARGE
    whole = within.holding(b'""')
    yield "size-of-a-frame", within.holding(b'"%b"' % (b"a" * (size - len(whole)))), FrameFault.TOO_LARGE
    yield "nesting-of-the-size", b"[" * size, FrameFault.TOO_LARGE
    yield "name-of-the-size", b'{"%b":1,' % (b"a" * size) + whole[1:], FrameFault.TOO_LARGE


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
NO_FRAME: list[Json] = [None, True, 0, "req", [], {}, [[]]]
NO_TYPE: list[Json] = ["REQ", "Req", "request", " req", "req ", "req\u0000", "hello", "response", "__proto__"]
NO_MEMBER = ("__proto__", "constructor", "a\u0000", "Type", "type ", "role", "auth", "payload", "ok", "a" * 40_000)


def _shapes(within: Carrier) -> Cases:
    request: JsonObject = json.loads(within.holding(b"{}"))
    wrong: list[tuple[JsonObject, str, list[Json]]] = [
        (request, "type", NO_WORD + NO_TYPE), (request, "id", [*NO_WORD, "x" * 257]),
        (request, "method", [*NO_WORD, "x" * 129]),
        (RES, "type", NO_WORD), (RES, "id", [*NO_WORD, "x" * 257]), (RES, "ok", NO_TRUTH), (RES, "error", NO_ERROR),
        (EVENT, "type", NO_WORD), (EVENT, "event", [*NO_WORD, "x" * 129]), (EVENT, "seq", NO_COUNT),
    ]  # fmt: skip
    for frame, name, values in wrong:
        for value in values:
            text = json.dumps({**frame, name: value})
            yield f"{frame['type']}-{name}-{json.dumps(value)[:30]}", text.encode(), FrameFault.BAD_SHAPE
        if name != "seq":
            text = json.dumps({key: value for key, value in frame.items() if key != name})
            yield f"{frame['type']}-without-{name}", text.encode(), FrameFault.BAD_SHAPE
    for name in NO_MEMBER:
        yield f"member-{name[:12]!r}", json.dumps({**request, name: 1}).encode(), FrameFault.BAD_SHAPE
    for root in [*NO_FRAME, [request], {"a": request}]:
        yield f"root-{json.dumps(root)[:9]}", json.dumps(root).encode(), FrameFault.BAD_SHAPE
