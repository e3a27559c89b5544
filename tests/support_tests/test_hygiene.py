"""The hygiene of `conftest.py` is shown to catch what it is for, in a pytest of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

SUITE = """
import asyncio, os, threading, time, warnings
import pytest

release = threading.Event()

def test_clean():
    assert "OPENCLAW_GATEWAY_TOKEN" not in os.environ and "CLAWDIS_HOME" not in os.environ

async def test_clean_async():
    await asyncio.to_thread(time.monotonic)

def test_skipped():
    pytest.skip("no time")

def test_platform():
    pytest.skip("only on another machine")

def test_leaves_thread():
    threading.Thread(target=release.wait, name="left-thread", daemon=True).start()

async def test_leaves_task():
    asyncio.get_running_loop().create_task(asyncio.sleep(60), name="left-task")

def test_warns():
    warnings.warn("unheeded", UserWarning)

@pytest.mark.real
def test_real():
    pass
"""


def run(folder: Path, **extra: str) -> tuple[dict[str, str], str]:
    """Run the suite and return outcomes by test name, and the whole output."""
    suite = folder / "test_inner.py"
    suite.write_text(SUITE)
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", "XDG_CACHE_HOME"}}
    environment = {**kept, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder), **extra}
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml"), "-vv",
               "--rootdir", str(folder), "-p", "no:cacheprovider", "--color=no", str(suite)]  # fmt: skip
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=50)
    outcomes = dict(re.findall(r"^test_inner\.py::test_(\w+) (\w+)", done.stdout, re.MULTILINE))
    broken = re.findall(r"ERROR at teardown of test_(\w+)", done.stdout)
    return outcomes | dict.fromkeys(broken, "ERROR"), done.stdout


@pytest.mark.slow
def test_leftovers_and_warnings_fail_and_skips_are_told(tmp_path: Path) -> None:
    outcomes, output = run(tmp_path, OPENCLAW_GATEWAY_TOKEN="t", CLAWDIS_HOME="h", CLAWDIS_TEST_SEED="77")
    assert outcomes == {
        "clean": "PASSED",
        "clean_async": "PASSED",
        "skipped": "SKIPPED",
        "platform": "SKIPPED",
        "leaves_thread": "ERROR",
        "leaves_task": "ERROR",
        "warns": "FAILED",
        "real": "SKIPPED",
    }
    assert "CLAWDIS_TEST_SEED=77" in output
    assert "left-thread" in output
    assert "left-task" in output
    assert "NOT TESTED: 1 test was skipped: no time" in output
    assert "NOT TESTED: 1 test was skipped: the real gateway is not installed" in output


@pytest.mark.slow
def test_in_ci_nothing_is_skipped_but_what_the_machine_lacks(tmp_path: Path) -> None:
    outcomes, output = run(tmp_path, CI="1")
    assert (outcomes["skipped"], outcomes["real"]) == ("FAILED", "ERROR")
    assert outcomes["platform"] == "SKIPPED"
    assert "skipped in CI, where nothing may be: no time" in output
