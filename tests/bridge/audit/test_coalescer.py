"""The coalescer: a loop leaves a line and a count, whoever makes many rows gets a common one, memory stays flat."""

from __future__ import annotations

import tracemalloc

from bridge.audit.coalescer import MANY, MAX_ROWS, MAX_ROWS_OF_NODE, MAX_ROWS_OF_NODES, WINDOW_S, Coalescer
from bridge.audit.entry import Draft

Fields = dict[str, str | int]


def event(ts: int = 0, name: str = "refused", kind: str = "deny", **fields: str | int) -> Draft:
    return Draft(f"t{ts}", kind, name, {"node": "a", **fields})


def stranger(address: str) -> Draft:
    return Draft("t", "tls", "tls-refused", {"address": address})


def test_a_hundred_thousand_repeats_are_two_lines() -> None:
    """Red when a repeat is a line; and it shows the count, when it began and when it ended."""
    coalescer = Coalescer()
    lines = [line for n in range(100_000) for line in coalescer.add(event(n), 1, n * WINDOW_S / 200_000)]
    assert lines == [event(0)]
    (told,) = coalescer.due(WINDOW_S)
    assert told.fields == {"node": "a", "count": 99_999, "first": "t1", "last": "t99999"}
    assert not coalescer.due(10 * WINDOW_S)


def test_after_the_window_it_begins_anew() -> None:
    coalescer = Coalescer()
    assert coalescer.add(event(1), 1, 0.0)
    assert not coalescer.add(event(2), 1, WINDOW_S - 0.1)
    told, fresh = coalescer.add(event(3), 1, WINDOW_S)
    assert (told.fields["count"], fresh) == (1, event(3))


def test_rows_differ_by_who_and_what() -> None:
    coalescer = Coalescer()
    rows = [
        event(),
        event(node="b"),
        event(address="10.0.0.1"),
        event(code="FORBIDDEN"),
        event(command="screen.eval"),
        event(name="other"),
        event(kind="limit"),
    ]
    assert [line for row in rows for line in coalescer.add(row, 1, 0.0)] == rows
    assert [line for row in rows for line in coalescer.add(row, 1, 1.0)] == []


def test_what_is_never_counted_is_always_a_line() -> None:
    coalescer = Coalescer()
    assert len([line for _ in range(1000) for line in coalescer.add(event(kind="approval"), None, 0.0)]) == 1000
    assert len(coalescer) == 0


def test_some_are_lines_before_the_rest_is_counted_and_its_numbers_gathered() -> None:
    coalescer = Coalescer()
    lines = [line for n in range(30) for line in coalescer.add(event(n, bytes=10, ms=n), 20, 0.0)]
    assert len(lines) == 20
    (told,) = coalescer.due(0.0, all_rows=True)
    assert told.fields == {"node": "a", "bytes": 100, "ms": 29, "count": 10, "first": "t20", "last": "t29"}


def test_a_crowd_of_rows_is_told_of_in_common_and_memory_stays_flat() -> None:
    """Ten thousand addresses, forty times as many as there are rows; red without MAX_ROWS."""
    coalescer = Coalescer()
    tracemalloc.start()
    try:
        lines = [line for n in range(10_000) for line in coalescer.add(stranger(f"::{n:x}"), 1, 0.0)]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(coalescer) == MAX_ROWS + 1
    assert len(lines) == MAX_ROWS + 1
    assert held < 1_000_000
    told = coalescer.due(0.0, all_rows=True)
    assert [line.fields["count"] for line in told] == [10_000 - MAX_ROWS - 1]
    assert told[0].fields["address"] == MANY
    assert len(coalescer) == 0
    assert coalescer.add(stranger("::1"), 1, 0.0) == [stranger("::1")], "the room is free again"


def test_neither_a_stranger_nor_another_node_makes_a_node_s_traces_say_less() -> None:
    """Red when all share one table: the line of node `b` would be `various` by the time it comes."""
    coalescer = Coalescer()
    for number in range(5_000):
        coalescer.add(stranger(f"fe80::{number:x}"), 1, 0.0)
        coalescer.add(Draft("t", "connect", "connect-refused", {"node": f"{number}", "code": "x"}), 1, 0.0)
        coalescer.add(event(node="a", command=f"c{number}"), 1, 0.0)
    mine = event(node="b", command="screen.eval", code="FORBIDDEN")
    assert coalescer.add(mine, 1, 0.0) == [mine]
    assert len(coalescer) <= MAX_ROWS + MAX_ROWS_OF_NODE + 1 + 4
    common = [line.fields for line in coalescer.due(0.0, all_rows=True) if line.fields.get("node") == "a"]
    assert [(one["address"], one["count"]) for one in common] == [(MANY, 5_000 - MAX_ROWS_OF_NODE - 1)], "it is named"
    assert len(coalescer) == 0
    assert coalescer.add(event(node="a", command="c1"), 1, 0.0) == [event(node="a", command="c1")], "its room is back"


def test_many_nodes_that_make_many_rows_are_bounded_together() -> None:
    coalescer = Coalescer()
    for node in range(100):
        for number in range(10 * MAX_ROWS_OF_NODE):
            coalescer.add(event(node=f"n{node}", command=f"c{number}"), 1, 0.0)
    assert len(coalescer) <= MAX_ROWS_OF_NODES + 20
    told = coalescer.due(0.0, all_rows=True)
    assert sum(int(str(line.fields["count"])) for line in told) <= 100 * 10 * MAX_ROWS_OF_NODE
