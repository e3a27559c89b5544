"""What every test gets: a clean environment, a check for leftovers, one seed, and the real gateway on request."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import hypothesis
import keyring
import pytest
import pytest_asyncio
from keyring.backends import fail

from tests.gateway import install
from tests.support import scale
from tests.support.real_gateway import GatewayOptions, RealGateway
from tests.support.waiting import eventually

REAL_TIMEOUT_S = 240  # a gateway may have to start first
FULL_TIMEOUT_S = 7200  # at full scale
LEFTOVER_S = 2.0  # how long something that was closed may take to be gone
EXECUTOR = ("asyncio_", "uvloop_")  # threads of a loop's default executor end with the loop, after the fixtures
NOT_INSTALLED = "the real gateway is not installed (run `make test` with the npm registry in reach)"
PLATFORM_ONLY = "only on "  # skips with such a reason are about the machine, and allowed in CI


def in_ci() -> bool:
    """Return whether this is CI, where nothing may be skipped."""
    return bool(os.environ.get("CI"))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give Hypothesis the run's seed and a number of examples that follows the scale."""
    examples = 1000 if scale.is_full() else 100
    quiet = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile(
        "clawdis", max_examples=examples, deadline=None, print_blob=True, derandomize=False, suppress_health_check=quiet
    )
    hypothesis.settings.load_profile("clawdis")
    os.environ["CLAWDIS_TEST_SEED"] = str(scale.seed())  # one for all processes of the run
    if not config.getoption("hypothesis_seed", None):
        config.option.hypothesis_seed = str(scale.seed())


def pytest_report_header() -> list[str]:
    """Show what is needed to repeat the run, and what the real tests run against."""
    amount = "full" if scale.is_full() else "a tenth (CLAWDIS_TEST_SCALE=full for all)"
    return [
        f"clawdis: CLAWDIS_TEST_SEED={scale.seed()}, scale {amount}",
        f"real gateway: {install.installed() or 'not installed'}",
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark users of the real gateway and give them time for its start; mark soak and fuzz tests by file name.

    Files with either come first: a core that is given one last would be alone with it.
    """
    for item in items:
        if "real_gateway" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real)
        for kind in ("soak", "fuzz"):
            if kind in item.path.stem:
                item.add_marker(kind)
        if item.get_closest_marker("real") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(FULL_TIMEOUT_S if scale.is_full() else REAL_TIMEOUT_S))
    long = {item.path for item in items if any(item.get_closest_marker(kind) for kind in ("real", "soak"))}
    items.sort(key=lambda item: item.path not in long)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Look no more through thousands of tests for garbage: that takes long, whatever is timed meanwhile."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a gateway that is not there; in CI that is a failure."""
    if item.get_closest_marker("real") and install.installed() is None:
        pytest.skip(NOT_INSTALLED)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn skips into failures in CI, except those about the machine itself."""
    report = yield
    if in_ci() and report.skipped and not hasattr(report, "wasxfail"):
        reason = _skip_reason(report)
        if not reason.startswith(PLATFORM_ONLY):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: skipped in CI, where nothing may be: {reason}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say plainly what was not tested, and why."""
    skipped = terminalreporter.stats.get("skipped", [])
    for reason, count in Counter(_skip_reason(report) for report in skipped).items():
        noun = "test was" if count == 1 else "tests were"
        terminalreporter.write_line(f"NOT TESTED: {count} {noun} skipped: {reason}", yellow=True)


def _skip_reason(report: pytest.TestReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the developer's own bridge, gateway and keychain from the test."""
    for name in list(os.environ):
        if name.startswith(("CLAWDIS_", "OPENCLAW_")) and not name.startswith("CLAWDIS_TEST_"):
            monkeypatch.delenv(name)
    for name in ("COLUMNS", "LINES"):  # readline tells them to every process that is started here
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    # `keyring` keeps the one that an earlier test has chosen.
    keyring.set_keyring(fail.Keyring())  # type: ignore[no-untyped-call]  # the library has no types for it


@pytest.fixture(scope="module", autouse=True)
def no_garbage() -> Iterator[None]:
    """Collect what a file has left, so that a socket among it fails that file and not whichever comes later."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def no_leftovers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a thread or, in its own loop, a task behind."""
    before = set(threading.enumerate())
    function = getattr(request, "function", None)
    if inspect.iscoroutinefunction(function) and request.node.get_closest_marker("asyncio"):
        request.getfixturevalue("no_leftover_tasks")
    yield
    deadline = time.monotonic() + LEFTOVER_S
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith(EXECUTOR):
            continue
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            pytest.fail(f"the test left a thread behind: {thread.name}")


@pytest_asyncio.fixture
async def no_leftover_tasks() -> AsyncIterator[None]:
    """Fail a test whose loop still runs tasks when everything it used was closed."""
    before = asyncio.all_tasks()
    yield
    try:
        await eventually(lambda: not _others(before), timeout_s=LEFTOVER_S)
    except TimeoutError:
        names = sorted(task.get_name() + " " + str(task.get_coro()) for task in _others(before))
        pytest.fail(f"the test left tasks behind: {names}")


def _others(before: set[asyncio.Task[object]]) -> set[asyncio.Task[object]]:
    return {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def real_gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RealGateway]:
    """One real gateway for all tests that do not mind sharing: token auth, loopback devices paired silently."""
    if install.installed() is None:
        pytest.skip(NOT_INSTALLED)
    folder: Path = tmp_path_factory.mktemp("gateway")
    async with RealGateway(GatewayOptions(), folder=folder) as gateway:
        yield gateway
