"""The rules of frames: what passes, what does not, and that it makes no difference how the bytes are cut."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.lan.frame_rules import (
    CONTROL_BURST,
    CONTROL_PER_S,
    FRAGMENT_BYTES,
    FREE_FRAGMENTS,
    POLICY,
    PROTOCOL_ERROR,
    Breach,
    FrameWalker,
)
from tests.bridge.lan.frame_cases import IN_ORDER, OUT_OF_ORDER
from tests.bridge.lan.wire import CLOSE, CONTINUATION, PING, PONG, TEXT, header, masked


def walk(*chunks: bytes, now: float = 0.0) -> Breach | None:
    """Feeds chunks up to the first breach."""
    walker = FrameWalker()
    return next((breach for chunk in chunks if (breach := walker.feed(chunk, now)) is not None), None)


@pytest.mark.parametrize("data", IN_ORDER.values(), ids=IN_ORDER)
def test_what_is_in_order_passes(data: bytes) -> None:
    assert walk(data) is None
    assert walk(*(bytes([byte]) for byte in data[:400])) is None


@pytest.mark.parametrize("data", OUT_OF_ORDER.values(), ids=OUT_OF_ORDER)
def test_what_breaks_the_protocol_is_a_breach(data: bytes) -> None:
    breach = walk(data)
    assert breach is not None
    assert breach.code == PROTOCOL_ERROR
    assert walk(*(bytes([byte]) for byte in data)) == breach


def test_two_bytes_are_enough_to_see_that_the_mask_is_missing() -> None:
    assert walk(header(TEXT, 70_000, mask=False)[:2]) == Breach(PROTOCOL_ERROR, "frame without a mask")


def pieces(count: int, size: int) -> bytes:
    """The fragments of a message without an end."""
    first = masked(TEXT, b"x" * size, final=False)
    return first + masked(CONTINUATION, b"x" * size, final=False) * (count - 1)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_small_fragments_are_counted(size: int) -> None:
    assert walk(pieces(FREE_FRAGMENTS, size)) is None
    assert walk(pieces(FREE_FRAGMENTS + 1, size)) == Breach(POLICY, "too many fragments")


def test_fragments_of_a_sensible_size_are_not_bounded() -> None:
    assert walk(pieces(4 * FREE_FRAGMENTS, FRAGMENT_BYTES)) is None


def test_each_message_has_its_own_fragments() -> None:
    message = pieces(FREE_FRAGMENTS - 1, 1) + masked(CONTINUATION, b"")
    assert walk(message * 4) is None
    assert walk(masked(TEXT, b"") * 4 * FREE_FRAGMENTS) is None


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_control_frames_have_an_allowance(opcode: int) -> None:
    flood = masked(opcode, b"")
    walker = FrameWalker()
    assert walker.feed(flood * int(CONTROL_BURST), 1000.0) is None
    assert walker.feed(flood, 1000.0 + 0.9 / CONTROL_PER_S) == Breach(POLICY, "too many control frames")


def test_the_allowance_comes_back_and_never_grows_beyond_its_size() -> None:
    walker, ping = FrameWalker(), masked(PING, b"")
    for second in range(0, 36_000, 15):  # an app over ten hours
        assert walker.feed(ping, float(second)) is None
    assert walker.feed(ping * int(CONTROL_BURST), 40_000.0) is None
    assert walker.feed(ping, 40_000.0) is not None


@given(
    names=st.lists(st.sampled_from([*IN_ORDER, *OUT_OF_ORDER]), max_size=6),
    cuts=st.lists(st.integers(0, 300), max_size=12),
)
def test_it_makes_no_difference_how_the_bytes_are_cut(names: list[str], cuts: list[int]) -> None:
    data = b"".join({**IN_ORDER, **OUT_OF_ORDER}[name] for name in names if name != "promises")
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(data[at : at + cut])
        at += cut
    assert walk(*chunks, data[at:]) == walk(data)


@given(st.binary(max_size=2_000))
def test_it_takes_any_bytes(data: bytes) -> None:
    walk(data)


def test_it_keeps_no_payload() -> None:
    walker = FrameWalker()
    walker.feed(masked(TEXT, b"x" * 100_000)[:50_000], 0.0)
    kept = [getattr(walker, member.name) for member in dataclasses.fields(walker)]
    assert sum(len(value) for value in kept if isinstance(value, bytes)) < 16
