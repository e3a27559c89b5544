"""Random and damaged messages: read or refused, never anything else, and always as the reference reads them (D16)."""

import json
import random
import time
from collections.abc import Iterator

from gateway_client.frames import Bounds, FrameError, Json, encode_frame, parse_frame, parse_json
from tests.gateway_client.corpus import SPLICES, TEXTS, damaged
from tests.gateway_client.reference import Refused, reference_parse
from tests.support.scale import is_full, seed

COUNT = 1_000_000 if is_full() else 50_000  # security.md D16 asks for the latter in CI
BOUNDS = Bounds(max_bytes=1 << 16)
LINK_BOUNDS = Bounds(max_bytes=1 << 16, max_depth=64, safe_integers=False)
HANG_S = 0.1
WORDS = ("", "a", "id", ":", ",", '"', "\\", "[{", "\u00e9", "\U0001f600", "\u2028", "\x00", "__proto__", "\ud800")
NUMBERS = (0, 1, -1, 2**53 - 1, 2**53, -(2**53), 2**63, 2**64, 1.5, -0.0, 1e300, 5e-324, 10**20, 10**310, float("nan"))


def any_value(rng: random.Random, depth: int) -> object:
    kind = rng.randrange(7 if depth else 5)
    if kind < 5:
        return rng.choice((None, True, False, rng.choice(NUMBERS), rng.randint(-(10**6), 10**6), rng.choice(WORDS)))
    size = rng.randrange(5)
    if kind == 5:
        return [any_value(rng, depth - 1) for _ in range(size)]
    return {rng.choice(WORDS) + str(rng.randrange(3)): any_value(rng, depth - 1) for _ in range(size)}


def documents(count: int) -> Iterator[bytes]:
    """Yield frames, whole and damaged, random values, and random pieces in a row."""
    rng = random.Random(seed())  # noqa: S311 - repeatable, not secret
    for _ in range(count // 3 + 1):
        yield damaged(rng, rng.choice(TEXTS))
        text = json.dumps(
            any_value(rng, rng.randrange(6)), ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1))
        )
        document = text.encode("utf-8", "surrogatepass")
        yield document if rng.random() < 0.6 else damaged(rng, document)
        yield b"".join(rng.choices(SPLICES, k=rng.randint(1, 12)))


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
