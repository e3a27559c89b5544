"""Everything that is no frame is refused, each class for its own reason (security.md 3D, D1 to D8)."""

import pytest

from gateway_client.frames import Bounds, FrameError, FrameFault, Request, parse_frame, parse_json
from tests.gateway_client.malformed import LIMIT, cases

CASES = cases()
BOUNDS = Bounds(max_bytes=LIMIT)


def fault_of(data: bytes, bounds: Bounds = BOUNDS) -> FrameFault:
    with pytest.raises(FrameError) as caught:
        parse_frame(data, bounds)
    return caught.value.fault


def test_the_table_is_wide_and_says_everything_once() -> None:
    assert len(CASES) >= 500
    assert len({data for _, data, _ in CASES}) == len({name for name, _, _ in CASES}) == len(CASES)
    assert {fault for _, _, fault in CASES} == set(FrameFault)


@pytest.mark.parametrize("data, fault", [case[1:] for case in CASES], ids=[name for name, _, _ in CASES])
def test_refused_for_the_right_reason(data: bytes, fault: FrameFault) -> None:
    assert fault_of(data) is fault


def test_a_refusal_never_repeats_what_the_peer_sent() -> None:
    for name, data, _ in CASES:
        with pytest.raises(FrameError) as caught:
            parse_frame(data, BOUNDS)
        assert str(caught.value).isascii(), name
        assert len(str(caught.value)) < 100, name


def test_the_limit_passes_and_one_byte_more_does_not() -> None:
    text = b'{"type":"req","id":"1","method":"health"}'
    assert parse_frame(text, Bounds(max_bytes=len(text))) == Request("1", "health")
    assert fault_of(text, Bounds(max_bytes=len(text) - 1)) is FrameFault.TOO_LARGE


def test_size_comes_before_everything_else() -> None:
    assert fault_of(b"\xff" * 10, Bounds(max_bytes=9)) is FrameFault.TOO_LARGE


def test_depth_32_passes_and_33_does_not() -> None:
    assert parse_json(b"[" * 32 + b"]" * 32, BOUNDS)
    assert parse_json(b'{"a":' * 31 + b"[]" + b"}" * 31, BOUNDS)
    assert fault_of(b"[" * 33 + b"]" * 33) is FrameFault.TOO_DEEP
    assert parse_json(b"[" * 64 + b"]" * 64, Bounds(max_bytes=LIMIT, max_depth=64))


@pytest.mark.parametrize("depth", [1_000, 100_000, 5_000_000])
def test_deep_nesting_is_refused_however_large_a_message_may_be(depth: int) -> None:
    bounds = Bounds(max_bytes=26_214_400, max_depth=64, max_items=200_000, safe_integers=False)
    assert fault_of(b"[" * depth + b"]" * depth, bounds) is FrameFault.TOO_DEEP
    assert fault_of(b'{"a":' * depth, bounds) is FrameFault.TOO_DEEP


def test_brackets_in_strings_are_no_nesting() -> None:
    assert parse_json(b'["%b\\"%b"]' % (b"[" * 100, b"{" * 100), BOUNDS) == ["[" * 100 + '"' + "{" * 100]


def test_separators_in_strings_are_no_items() -> None:
    assert parse_json(b'["%b"]' % (b",:" * 20_000), BOUNDS) == [",:" * 20_000]


def test_a_hundred_thousand_names_are_too_many_even_in_a_large_message() -> None:
    text = b"{%b}" % b",".join(b'"%d":1' % number for number in range(100_000))
    assert fault_of(text, Bounds(max_bytes=26_214_400)) is FrameFault.TOO_MANY_ITEMS


def test_a_name_of_one_mebibyte_is_read_where_it_fits_but_is_no_member_of_a_request() -> None:
    text = b'{"type":"req","id":"1","method":"health","%b":1}' % (b"k" * 2**20)
    assert fault_of(text, Bounds(max_bytes=2**21)) is FrameFault.BAD_SHAPE


def test_a_text_of_nothing_but_strings_is_given_up_early() -> None:
    assert fault_of(b'""' * 40_000, Bounds(max_bytes=10**6)) is FrameFault.TOO_MANY_ITEMS


def test_a_text_of_nothing_but_brackets_is_given_up_early() -> None:
    assert fault_of(b"[" + b"[]," * 15_000 + b"[[]]" * 3_000, Bounds(max_bytes=10**6)) is FrameFault.TOO_MANY_ITEMS


@pytest.mark.parametrize("items", [1, 2, 10])
def test_the_most_containers_that_the_bound_allows_pass(items: int) -> None:
    flat = b"[%b]" % b",".join([b'"x"'] * (items + 1))
    nested = b"[" * (items + 1) + b"]" * (items + 1)
    assert parse_json(flat, Bounds(max_bytes=LIMIT, max_items=items))
    assert parse_json(nested, Bounds(max_bytes=LIMIT, max_items=items))
    assert fault_of(b"[" + nested + b"]", Bounds(max_bytes=LIMIT, max_items=items)) is FrameFault.TOO_MANY_ITEMS
    assert fault_of(flat[:-1] + b",1]", Bounds(max_bytes=LIMIT, max_items=items)) is FrameFault.TOO_MANY_ITEMS


def test_a_link_to_the_gateway_takes_the_integers_that_the_gateway_reports() -> None:
    bounds = Bounds(max_bytes=LIMIT, safe_integers=False)
    text = b"[9007199254740993,18446744073709551615,-9223372036854775808,-0,18446744073709551616]"
    assert parse_json(text, bounds) == [2**53 + 1, 2**64 - 1, -(2**63), 0, float(2**64)]


@pytest.mark.parametrize("token", [b"9007199254740991", b"-9007199254740991", b"0", b"1e-05", b"1.5E+10", b"0.1e-0"])
def test_numbers_that_every_peer_reads_alike_pass(token: bytes) -> None:
    assert parse_json(b"[%b]" % token, BOUNDS) == [float(token) if b"e" in token.lower() else int(token)]


def test_suspicious_digits_in_strings_are_no_numbers() -> None:
    assert parse_json(b'["-0","9007199254740993",-0.5,1e-0,12345678901234567e2]', BOUNDS)
