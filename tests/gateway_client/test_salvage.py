"""What is saved of a message that cannot be taken: its characters, or the name of what it was about."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_client.protocol import MAX_PAYLOAD
from gateway_client.salvage import HEAD_BYTES, Head, head_of, without_lone_surrogates

ANY_TEXT = st.text(st.characters() | st.characters(categories=["Cs"]) | st.sampled_from('\\"ud83\U0001f600'))


@given(ANY_TEXT)
def test_a_text_of_any_utf16_units_becomes_valid_and_stays_the_same_elsewhere(text: str) -> None:
    data = json.dumps(text).encode()
    mended = without_lone_surrogates(data)
    assert len(mended) == len(data)
    units = json.loads(data).encode("utf-16-le", "surrogatepass")  # as JavaScript sees it: halves that meet are a pair
    assert json.loads(mended) == units.decode("utf-16-le", "replace")


@pytest.mark.parametrize(
    "text, mended",
    [
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"\uDE00"', rb'"\ufffd"'),
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\ude00\ud83d"', rb'"\ufffd\ufffd"'),
        (rb'"\\ud83d"', rb'"\\ud83d"'),
        (rb'"\\\ud83d"', rb'"\\\ufffd"'),
        (rb'"\ud7ff\ue000"', rb'"\ud7ff\ue000"'),
        (rb'"\u00e9\n\""', rb'"\u00e9\n\""'),
        (b'"\\', b'"\\'),
        (rb'"\ud8', rb'"\ud8'),
        (b"", b""),
    ],
)
def test_only_halves_are_replaced(text: bytes, mended: bytes) -> None:
    assert without_lone_surrogates(text) == mended


@pytest.mark.parametrize(
    "text, head",
    [
        (b'{"type":"res","id":"7:x","ok":true,"payload":[[[', Head("res", "7:x")),
        (b' { "type" : "res" , "ok" : false , "id" : "7:x" , "error":{', Head("res", "7:x")),
        (b'{"type":"event","seq":12,"event":"chat","payload":{"id":"y"}}', Head("event", "", "chat")),
        (b'{"type":"res","payload":{"id":"inner"},"id":"7:x"}', Head("res")),
        (b'{"type":"res","id":"one","id":"two","payload":1', Head("res", "one")),
        (b'{"type":"res","id":"a\\"b","payload":1', Head("res")),
        (b'{"type":"res","id":7,"payload":1}', Head("res")),
        (b'["type","res"]', Head()),
        (b'"{"type":"res","id":"x",', Head()),
        (b"nonsense", Head()),
        (b"\xff\xfe", Head()),
        (b"", Head()),
    ],
)
def test_the_head_is_what_stands_before_the_payload(text: bytes, head: Head) -> None:
    assert head_of(text) == head


def test_only_the_beginning_is_looked_at() -> None:
    filler = b'"note":"%b",' % (b"x" * HEAD_BYTES)
    assert head_of(b'{"type":"res",' + filler + b'"id":"7:x","payload":1}') == Head("res")


def test_a_long_name_is_cut() -> None:
    assert len(head_of(b'{"type":"event","event":"%b","payload":1}' % (b"e" * 900)).event) == 256


@given(st.binary(max_size=64).map(lambda data: b'{"type":"res","id":"' + data))
def test_it_never_fails(data: bytes) -> None:
    assert head_of(data).kind in {"", "res"}


@pytest.mark.parametrize(
    "escape", [rb"\ud83d", rb"\ud83d\ude00", rb"\n", rb"\\"], ids=["halves", "pairs", "ends", "slashes"]
)
def test_the_longest_message_of_escapes_holds_nobody_up(escape: bytes) -> None:
    """Two of them red at 5 s when each escape is looked at by itself; the slowest takes 0.9 s."""
    data = escape * (MAX_PAYLOAD // len(escape)) + rb"\ud83d"
    started = time.process_time()
    mended = without_lone_surrogates(data)
    assert time.process_time() - started < 2.5
    assert (len(mended), mended[-6:]) == (len(data), rb"\ufffd")
