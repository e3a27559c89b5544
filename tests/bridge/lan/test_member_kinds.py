"""Kinds of members: Python's own readings (`True` is 1, `1.0` is 1) are none of JSON's."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.lan.member_kinds import Kind, count, either, flag, list_of, map_of, null, number, one_of, record, text


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (flag, [True, False], [0, 1, "true", None, []]),
        (null, [None], [0, False, "", {}]),
        (text(3), ["a", "abc"], ["", "abcd", None, 7, ["a"]]),
        (text(empty=True), ["", "x" * 10_000], [None, False]),
        (count(1, 5), [1, 5], [0, 6, True, 1.0, "1", None]),
        (number, [0, -1, 1.5], [True, "1", None]),
        (one_of("a", "b"), ["a"], ["c", "", ["a"], None, {}]),
        (either(flag, one_of("auto")), [True, "auto"], ["x", 1]),
        (list_of(text(), 2, 1), [["a"], ["a", "a"]], [[], ["a", "b", "c"], [7], "a", {"a": 1}, None]),
        (list_of(text(), 2, distinct=True), [[], ["a", "b"]], [["a", "a"]]),
        (map_of(flag), [{}, {"a": True}], [{"a": 1}, [], None]),
        (
            record({"a": flag, "b": text()}, "a"),
            [{"a": True}, {"a": True, "b": "x"}],
            [{}, {"b": "x"}, {"a": 1}, [], None],
        ),
        (record({"a": flag}), [{}], [{"a": True, "c": 1}]),
    ],
)
def test_a_kind(kind: Kind, good: list[Any], bad: list[Any]) -> None:
    assert [kind(value) for value in good] == [True] * len(good)
    assert [kind(value) for value in bad] == [False] * len(bad)
