"""The demo proves what it says, with the real daemon; and fails plainly when something is not so."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from bridge.demo.story import play
from bridge.demo.view import View


def plain(out: io.StringIO) -> Console:
    return Console(file=out, highlight=False, markup=False, emoji=False, width=100)


@pytest.mark.slow
def test_demo_gets_through_all_steps() -> None:
    out = io.StringIO()
    status = play(plain(out))
    text = out.getvalue()
    assert status == 0, text
    steps = re.findall(r"^ (\d) ", text, re.MULTILINE)
    assert steps == [str(number) for number in range(1, 10)]
    assert "9 things proven" in text
    assert "failed" not in text
    seconds = float(re.search(r"proven in ([0-9.]+) s", text).group(1))  # type: ignore[union-attr]  # asserted above
    assert seconds < 20


async def test_failure_names_step_expectation_and_log(tmp_path: Path) -> None:
    out = io.StringIO()
    view = View(plain(out))
    async with view.step("Something is shown"):
        await view.says("phone", "bridge", "a message")
    view.failure("this", "that", tmp_path)
    text = out.getvalue()
    assert "Step 1 failed: Something is shown" in text
    for part in ("Expected: this", "Instead:  that", str(tmp_path / "bridge.log")):
        assert part in text


async def test_what_was_proven_is_summed_up() -> None:
    out = io.StringIO()
    view = View(plain(out))
    await view.proves("the first thing")
    await view.proves("the second thing")
    view.summary(1.25)
    assert "2 things proven in 1.2 s" in out.getvalue()
    assert out.getvalue().count("the second thing") == 2


async def test_words_survive_a_terminal_without_unicode() -> None:
    buffer = io.BytesIO()
    out = io.TextIOWrapper(buffer, encoding="ascii")
    view = View(Console(file=out, highlight=False, width=100))
    await view.says("phone", "bridge", "a message")
    await view.proves("a fact")
    out.flush()
    assert b"phone    -> bridge" in buffer.getvalue()
    assert b"ok a fact" in buffer.getvalue()
