"""What waits for all phones together."""

from __future__ import annotations

from bridge.lan.outflow import Outflow


def test_the_one_with_the_most_has_to_go() -> None:
    flow = Outflow[str](limit=100)
    assert [flow.add("a", 60), flow.add("b", 40)] == [None, None]
    assert flow.add("b", 1) == "a"
    flow.forget("a")
    assert flow.total == 41
    assert flow.add("a", 59) is None


def test_what_was_sent_waits_no_longer() -> None:
    flow = Outflow[str](limit=100)
    for _ in range(1000):
        flow.add("a", 90)
        flow.sent("a", 90)
    flow.sent("a", 90)
    flow.forget("a")
    flow.forget("never")
    assert flow.total == 0


def test_the_newcomer_goes_itself_when_it_has_the_most() -> None:
    flow = Outflow[str](limit=100)
    flow.add("a", 10)
    assert flow.add("b", 95) == "b"
