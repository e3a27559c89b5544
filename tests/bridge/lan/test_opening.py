"""The first frame of a socket: a `connect`, a refusal, or the end."""

from __future__ import annotations

import orjson
import pytest

from bridge.lan.opening import NoFrame, NotConnect, Opening, read_opening
from tests.bridge.lan.phones import IPHONE
from tests.bridge.lan.playbook import req


def test_a_connect_is_read() -> None:
    opening = read_opening(orjson.dumps(IPHONE.connect()))
    assert isinstance(opening, Opening)
    assert opening.request_id == "c1"
    assert opening.connect.client.id == "openclaw-ios"


@pytest.mark.parametrize("method", ["health", "node.event", "Connect", "connect ", "hello"])
def test_another_request_is_told_to_connect_first(method: str) -> None:
    opening = read_opening(orjson.dumps(req(method, {})))
    assert isinstance(opening, NotConnect)
    assert opening.request_id == "r1"
    assert opening.refusal.error.message == "invalid handshake: first request must be connect"


def test_a_connect_of_the_wrong_shape_is_answered_with_the_place() -> None:
    frame = IPHONE.connect()
    frame["params"]["client"]["version"] = 4
    opening = read_opening(orjson.dumps(frame))
    assert isinstance(opening, NotConnect)
    assert opening.refusal.error.code == "INVALID_REQUEST"
    assert opening.refusal.error.message.startswith("invalid connect params: at client/version")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "not-json"),
        (b"hello", "not-json"),
        (b"GET / HTTP/1.1\r\n\r\n", "not-json"),
        (b"\xff\xfe{}", "not-utf8"),
        (b"[]", "bad-shape"),
        (b"null", "bad-shape"),
        (b'{"type":"hello","nodeId":"x"}', "bad-shape"),
        (b'{"type":"req","method":"connect","params":{}}', "bad-shape"),
        (b'{"type":"req","id":"","method":"connect"}', "bad-shape"),
        (b'{"type":"req","id":7,"method":"connect"}', "bad-shape"),
        (b'{"type":"req","id":"a","method":"connect","extra":1}', "bad-shape"),
        (b'[{"type":"req","id":"a","method":"connect"}]', "bad-shape"),
        (b'{"type":"req","id":"a","id":"b","method":"connect"}', "duplicate-key"),
        (b'{"type":"req","id":"a","method":"connect","params":' + b"[" * 40 + b"]" * 40 + b"}", "too-deep"),
        (b'{"type":"req","id":"a","method":"connect","params":[' + b"1," * 3_000 + b"1]}", "too-many-items"),
        (b'{"type":"event","event":"tick"}', "not a request"),
        (b'{"type":"res","id":"a","ok":true}', "not a request"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_request_gets_no_answer(data: bytes, what: str) -> None:
    assert read_opening(data) == NoFrame(what, 1008, "invalid request frame")


def test_a_first_frame_has_64_kib_at_most() -> None:
    frame = IPHONE.connect()
    room = 65_536 - len(orjson.dumps({**frame, "params": {**frame["params"], "pad": ""}}))
    fits = orjson.dumps({**frame, "params": {**frame["params"], "pad": "x" * room}})
    assert len(fits) == 65_536
    assert isinstance(read_opening(fits), Opening)
    longer = orjson.dumps({**frame, "params": {**frame["params"], "pad": "x" * (room + 1)}})
    assert read_opening(longer) == NoFrame("too-large", 1009, "frame too large")
