"""What `status` and `nodes show` tell of the limits: what is used up, what was stopped, and who is kept out."""

from __future__ import annotations

from acl.refusals import RefusalMeter
from bridge.config import LimitsTable
from bridge.lan.allowance import Allowance, Allowances, Limit
from bridge.limit_reports import limits_in_use, node_limits
from tests.bridge.lan.doors import door_of

T = 1_000.0


def test_a_node_shows_each_limit_with_its_use() -> None:
    allowance = Allowance(LimitsTable())
    for _ in range(45):
        allowance.take(Limit.CALLS, T)
    allowance.count_refusal("role")
    shown = node_limits(allowance, 0.0, T)
    assert shown.limits.keys() == {limit.value for limit in Limit}
    assert shown.limits["calls"].to_json() == {"used": 40, "of": 40, "met": 5}
    assert (shown.refused, shown.penalty_s) == ({"role": 1}, None)
    assert node_limits(allowance, 0.0, T + 1).limits["calls"].used == 20


def test_a_node_that_has_not_come_in_shows_none_but_may_be_kept_out() -> None:
    shown = node_limits(None, 12.3, T)
    assert (shown.limits, shown.refused, shown.penalty_s) == ({}, {}, 13)


def test_the_sum_goes_over_all_keys_also_those_that_are_forgotten() -> None:
    """Red when a key counts for itself only."""
    allowances = Allowances(LimitsTable(voice_per_minute=1))
    for number in range(2_000):
        allowance = allowances.of(f"{number}", T)
        allowance.take(Limit.VOICE, T)
        allowance.take(Limit.VOICE, T)
        allowance.count_refusal("malformed")
    door = door_of(1, 4)
    door.enter("192.0.2.1", T)
    door.enter("192.0.2.1", T)
    shown = limits_in_use(allowances.tally, door, {"a": 0.2})
    assert shown.to_json() == {
        "refused": {"malformed": 2_000},
        "limited": {"voice": 2_000},
        "turnedAway": {"full": 1},
        "strangers": 1,
        "penalties": [{"nodeId": "a", "seconds": 1}],
    }


def test_refusals_of_a_meter_are_no_counters_of_a_kind() -> None:
    meter = RefusalMeter()
    meter.refuse(T)
    assert node_limits(Allowance(LimitsTable(), meter), 0.0, T).refused == {}
