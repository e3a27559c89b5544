"""Lines of the log: the first few, then one a minute that says how many there were; and no flood makes them more."""

from __future__ import annotations

from bridge.lan.coalesced import FIRST, MAX_KINDS, REFILL_S, Coalesced

T = 1_000.0


def written(lines: Coalesced, who: str, event: str, times: int, now: float = T) -> list[int]:
    """Returns what the lines that are written say of those that are not."""
    said = [lines.line(who, event, now) for _ in range(times)]
    return [left_out for left_out in said if left_out is not None]


def test_the_first_lines_are_written_one_by_one() -> None:
    assert written(Coalesced(), "node", "refused", FIRST) == [0] * FIRST


def test_then_one_a_minute_tells_how_many_there_were() -> None:
    """Red when `left_out` is not kept, or not reset."""
    lines = Coalesced()
    assert len(written(lines, "node", "refused", 1_000)) == FIRST
    assert written(lines, "node", "refused", 10, T + REFILL_S) == [1_000 - FIRST]
    assert written(lines, "node", "refused", 1, T + 2 * REFILL_S) == [9]


def test_a_peer_that_loops_for_an_hour_gets_a_line_a_minute() -> None:
    lines = Coalesced()
    count = sum(len(written(lines, "node", "refused", 20, T + second)) for second in range(3_600))
    assert count <= FIRST + 60


def test_another_peer_and_another_event_have_lines_of_their_own() -> None:
    lines = Coalesced()
    written(lines, "node", "refused", 1_000)
    assert written(lines, "other", "refused", 1) == [0]
    assert written(lines, "node", "joined", 1) == [0]


def test_a_flood_of_peers_stays_below_the_cap_and_writes_little() -> None:
    """Red when who is kept back is forgotten for somebody new: the first peer's line would be written again."""
    lines = Coalesced()
    for number in range(MAX_KINDS):
        assert len(written(lines, f"{number}", "refused", FIRST + 1)) == FIRST
    assert len(lines) == MAX_KINDS
    more = sum(len(written(lines, f"new-{number}", "refused", 10)) for number in range(10_000))
    assert more == FIRST
    assert len(lines) == MAX_KINDS
    assert written(lines, "0", "refused", 1) == []
