"""What was typed becomes a code or a question, and never a wasted try."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.pairing.approvers.approver import CODE_DIGITS, MAX_TYPED_CHARS, Again, Approve, approval
from tests.bridge.pairing.approvers.prompts import APP, NATIVE


@pytest.mark.parametrize("typed", ["123456", "123 456", " 123 456 ", "123-456", "1 2 3 4 5 6", "123456\n"])
def test_six_digits_are_a_code_however_they_are_spaced(typed: str) -> None:
    assert approval(NATIVE, typed) == Approve("123456")


@pytest.mark.parametrize(
    "typed",
    [
        "", " ", "12345", "1234567", "12345a", "yes", "\u0661\u0662\u0663\u0664\u0665\u0666", "\uff11\uff12\uff13456",
        "123\u00a0456", "123.456", "+123456", "0x12345", "12\u00b2456", "1234\n56", "123456" * 1000,
    ],
)  # fmt: skip
def test_what_is_no_code_is_asked_for_again(typed: str) -> None:
    answer = approval(NATIVE, typed)
    assert isinstance(answer, Again)
    assert "6 digits" in answer.notice


def test_no_more_of_it_is_looked_at_than_a_code_can_need() -> None:
    assert approval(NATIVE, "123456" + " " * MAX_TYPED_CHARS + "7") == Approve("123456")
    assert isinstance(approval(NATIVE, " " * 10_000_000 + "123456"), Again)


def test_a_prompt_without_a_code_takes_none() -> None:
    assert approval(APP, "123456") == Approve(None)
    assert approval(APP, "") == Approve(None)


@given(st.text())
def test_a_code_is_always_six_ascii_digits(typed: str) -> None:
    answer = approval(NATIVE, typed)
    if isinstance(answer, Approve):
        assert answer.code is not None
        assert len(answer.code) == CODE_DIGITS
        assert set(answer.code) <= set("0123456789")
