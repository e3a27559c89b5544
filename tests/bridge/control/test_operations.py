"""Shortened ids and the choice of nodes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.control.operations import MIN_PREFIX, Operations, require_paired, resolve_prefix, select_nodes
from bridge.control.requests import RevokeBody
from bridge.errors import AlreadyDecided, AmbiguousId, UnknownId
from tests.doubles.operations import FakeOperations

IDS = ["aaaa1111", "aaaa2222", "bbbb3333"]


def test_the_double_is_what_the_protocol_asks_for() -> None:
    checked: Operations = FakeOperations()  # mypy compares every signature
    assert checked is not None


def test_an_unambiguous_beginning_is_understood() -> None:
    assert resolve_prefix("bbbb", IDS) == "bbbb3333"
    assert resolve_prefix("aaaa2", IDS) == "aaaa2222"


def test_an_exact_match_wins_over_longer_ids_and_over_the_minimum() -> None:
    assert resolve_prefix("aaaa", ["aaaa", "aaaa1", "aaaa2"]) == "aaaa"
    assert resolve_prefix("a", ["a", "ab"]) == "a"


def test_an_ambiguous_beginning_is_refused_and_the_candidates_named() -> None:
    with pytest.raises(AmbiguousId) as caught:
        resolve_prefix("aaaa", IDS)
    assert "aaaa1111" in caught.value.message
    assert "aaaa2222" in caught.value.message


def test_many_candidates_are_not_all_listed() -> None:
    with pytest.raises(AmbiguousId) as caught:
        resolve_prefix("aaaa", [f"aaaa{number:060d}" for number in range(1000)])
    assert "1000 ids" in caught.value.message
    assert len(caught.value.message) < 120


@pytest.mark.parametrize("prefix", ["", "a", "aaa", "bbb"])
def test_a_short_beginning_is_refused_even_when_it_fits_one(prefix: str) -> None:
    with pytest.raises(UnknownId, match="too short"):
        resolve_prefix(prefix, IDS)


@pytest.mark.parametrize("prefix", ["1", "0", "-1", "#1", "AAAA1111", "cccc", "aaaa11112", "aaa*", "1111"])
def test_positions_other_cases_patterns_and_middles_are_no_ids(prefix: str) -> None:
    with pytest.raises(UnknownId):
        resolve_prefix(prefix, IDS)


@given(st.lists(st.text("ab", min_size=1, max_size=8)), st.text("ab", max_size=8))
def test_what_is_found_is_the_only_one_that_fits(ids: list[str], prefix: str) -> None:
    try:
        found = resolve_prefix(prefix, ids)
    except (UnknownId, AmbiguousId):
        assert prefix not in ids
    else:
        assert found == prefix or (
            len(prefix) >= MIN_PREFIX and {each for each in ids if each.startswith(prefix)} == {found}
        )


def test_nodes_are_selected_by_id_once_each() -> None:
    assert select_nodes(RevokeBody(ids=["bbbb", "aaaa1", "bbbb3333"]), IDS) == ["aaaa1111", "bbbb3333"]


def test_all_and_others_are_selected() -> None:
    assert select_nodes(RevokeBody(all=True), IDS) == IDS
    assert select_nodes(RevokeBody(others="bbbb"), IDS) == ["aaaa1111", "aaaa2222"]
    assert select_nodes(RevokeBody(all=True), []) == []


@pytest.mark.parametrize(
    "which",
    [RevokeBody(ids=["bbbb", "cccc"]), RevokeBody(others="cccc"), RevokeBody(others="aaaa")],
)
def test_one_wrong_id_selects_nothing(which: RevokeBody) -> None:
    with pytest.raises((UnknownId, AmbiguousId)):
        select_nodes(which, IDS)


def test_a_node_that_is_revoked_already_is_told_from_one_that_nobody_has() -> None:
    nodes = {"aaaa1111": True, "aaaa2222": False, "bbbb3333": False}
    require_paired(["aaaa1", "aaaa"], nodes)
    for id in ("aaaa2", "bbbb"):
        with pytest.raises(AlreadyDecided, match="revoked already"):
            require_paired(["aaaa1", id], nodes)
    for id in ("cccc", "ccc"):
        with pytest.raises((UnknownId, AmbiguousId)):
            require_paired([id], nodes)
