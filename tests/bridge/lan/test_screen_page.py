"""What is known of the page on a screen, told by its navigations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.lan.screen_page import ScreenPage, ScreenPages, Shown

STEPS = st.tuples(st.sampled_from(["begin", "arrived", "strayed", "not_begun"]), st.sampled_from(["a", "b", "c"]))


def page(*steps: str) -> ScreenPage:
    made = ScreenPage()
    for step in steps:
        name, _, invoke_id = step.partition(" ")
        made.strayed() if name == "strayed" else getattr(made, name)(invoke_id)
    return made


@pytest.mark.parametrize(
    ("steps", "shown"),
    [
        ([], Shown.ALLOWED),
        (["begin a"], Shown.UNKNOWN),
        (["begin a", "arrived a"], Shown.ALLOWED),
        (["begin a", "strayed"], Shown.FORBIDDEN),
        (["begin a", "not_begun a"], Shown.ALLOWED),
        (["begin a", "strayed", "begin b"], Shown.UNKNOWN),
        (["begin a", "strayed", "begin b", "arrived b"], Shown.ALLOWED),
        (["begin a", "strayed", "begin b", "not_begun b"], Shown.FORBIDDEN),
        (["begin a", "begin b", "arrived a"], Shown.UNKNOWN),
        (["begin a", "begin b", "arrived b"], Shown.ALLOWED),
        (["begin a", "begin b", "arrived a", "not_begun b"], Shown.UNKNOWN),
        (["begin a", "begin b", "strayed", "arrived b"], Shown.FORBIDDEN),
        (["begin a", "begin b", "arrived b", "strayed"], Shown.FORBIDDEN),
        (["begin a", "arrived x"], Shown.UNKNOWN),
        (["begin a", "strayed", "arrived a"], Shown.FORBIDDEN),
        (["begin a", "not_begun a", "arrived a"], Shown.ALLOWED),
    ],
)
def test_what_is_known(steps: list[str], shown: Shown) -> None:
    assert page(*steps).shown is shown


@given(steps=st.lists(STEPS, max_size=12))
def test_nothing_but_the_good_end_of_the_last_navigation_lifts_a_ban(steps: list[tuple[str, str]]) -> None:
    """Goes red when `arrived` does not compare ids. One that was not begun leaves the page that stood before it."""
    made = page("begin z", "strayed")
    last, stood = "", Shown.FORBIDDEN
    for name, invoke_id in steps:
        before = made.shown
        made.strayed() if name == "strayed" else getattr(made, name)(invoke_id)
        if made.shown is Shown.ALLOWED and before is not Shown.ALLOWED:
            assert invoke_id == last
            assert name == "arrived" or (name == "not_begun" and stood is Shown.ALLOWED)
        stood = before if name == "begin" else stood
        last = invoke_id if name == "begin" else "" if name == "strayed" else last


@given(steps=st.lists(STEPS, max_size=12))
def test_what_was_asked_in_one_turn_is_of_the_page_of_that_turn(steps: list[tuple[str, str]]) -> None:
    """Red when a turn comes again that another navigation has had: what was asked before it would pass for after."""
    made, readable = page("begin z", "arrived z"), {1: 0}
    pages = 0
    for name, invoke_id in steps:
        before = made.shown
        made.strayed() if name == "strayed" else getattr(made, name)(invoke_id)
        pages += name == "strayed" or (
            made.shown is Shown.ALLOWED and before is not Shown.ALLOWED and name == "arrived"
        )
        if made.shown is Shown.ALLOWED:
            assert readable.setdefault(made.turn, pages) == pages


def test_a_device_has_one_page_and_only_so_many_are_remembered() -> None:
    pages = ScreenPages(limit=10)
    first = pages.of("n0")
    for number in range(1, 50):
        assert pages.of("n0") is first
        pages.of(f"n{number}")
        assert len(pages) <= 10
