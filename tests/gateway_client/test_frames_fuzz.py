"""Random and damaged messages: read or refused, never anything else, and always as the reference reads them (D16)."""

import time

from gateway_client.frames import Bounds, FrameError, Json, encode_frame, parse_frame, parse_json
from tests.gateway_client.corpus import COUNT, documents
from tests.gateway_client.reference import Refused, reference_parse

BOUNDS = Bounds(max_bytes=1 << 16)
LINK_BOUNDS = Bounds(max_bytes=1 << 16, max_depth=64, safe_integers=False)
HANG_S = 0.1


def test_a_damaged_frame_is_read_or_refused_in_no_time() -> None:
    read = refused = 0
    for data in documents(COUNT):
        started = time.process_time()
        try:
            frame = parse_frame(data, BOUNDS)
        except FrameError:
            refused += 1
        else:
            read += 1
            assert parse_frame(encode_frame(frame), BOUNDS) == frame
        assert time.process_time() - started < HANG_S, data[:200]
    assert read > refused / 100, "the damage is too great to test much"


def _outcome(data: bytes, bounds: Bounds) -> str | None:
    try:
        return repr(parse_json(data, bounds))
    except FrameError:
        return None


def _expected(data: bytes, bounds: Bounds) -> str | None:
    try:
        value: Json = reference_parse(data, bounds)
    except Refused:
        return None
    return repr(value)


def test_the_reader_agrees_with_the_reference() -> None:
    taken = 0
    for data in documents(COUNT):
        for bounds in (BOUNDS, LINK_BOUNDS):
            expected = _expected(data, bounds)
            assert _outcome(data, bounds) == expected, data
            taken += expected is not None
    assert taken > COUNT / 10, "the reference refuses nearly everything"
