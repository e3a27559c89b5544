"""Polling with a deadline, and the run's scale and seed."""

import pytest

from tests.support import scale
from tests.support.waiting import eventually


async def test_eventually_returns_the_first_truthy_result() -> None:
    answers = iter([0, 0, 7])
    assert await eventually(lambda: next(answers)) == 7


async def test_eventually_awaits_coroutines() -> None:
    async def check() -> str:
        return "yes"

    assert await eventually(check) == "yes"


async def test_eventually_names_what_stayed_false() -> None:
    with pytest.raises(TimeoutError, match=r"the moon: still False after 0\.05 s"):
        await eventually(lambda: False, timeout_s=0.05, what="the moon")


def test_scale_is_a_tenth_and_full_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLAWDIS_TEST_SCALE", raising=False)
    assert (scale.scale(1000), scale.scale(5)) == (100, 1)
    monkeypatch.setenv("CLAWDIS_TEST_SCALE", "full")
    assert scale.scale(1000) == 1000


def test_seed_is_one_per_run() -> None:
    assert scale.seed() == scale.seed()
