"""The demo proves what it says, with the real daemon; and fails plainly when something is not so."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from bridge.demo.story import play
from bridge.demo.view import View
from tests.doubles.control_daemon import short_home

ROOT = Path(__file__).resolve().parents[3]


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


@pytest.mark.slow
def test_the_demo_shows_that_the_bridge_withholds_what_the_gateway_would_allow() -> None:
    out = io.StringIO()
    assert play(plain(out)) == 0
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert any("camera.snap" in line and "does not support" in line for line in lines)
    assert any(line.startswith("you ← bridge deny, by the rule") and "`camera`" in line for line in lines)
    assert not any("opt-in" in line for line in lines)  # which is how the gateway refuses on its own account
    assert sum(line.count("NODE_BACKGROUND_UNAVAILABLE") for line in lines) == 1
    result = next(at for at, line in enumerate(lines) if line.startswith("agent ← phone") and "weather" in line)
    assert lines[result + 1].startswith("✓")


@contextmanager
def running(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo as a process with a group of its own, whose temporary folders are made in `folder`."""
    with subprocess.Popen(
        [sys.executable, "-m", "bridge", "demo"],
        env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell that starts this run in the background has them ignored, and that would be inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def require_nothing_left(process: subprocess.Popen[str], folder: Path) -> None:
    """No file, and no process of the demo's group."""
    assert list(folder.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_demo_leaves_nothing_behind_and_does_not_look_failed(number: signal.Signals) -> None:
    with short_home() as folder, running(folder) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "connected as operator" in line:
                break
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert err == "The demo was stopped. Nothing is left behind.\n"
        assert "failed" not in out
        require_nothing_left(process, folder)


@pytest.mark.slow
def test_a_demo_that_nobody_reads_ends_and_leaves_nothing_behind() -> None:
    with short_home() as folder, running(folder) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for _ in range(3):
            process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 130
        assert process.stderr.read() == "The demo was stopped. Nothing is left behind.\n"
        require_nothing_left(process, folder)


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
