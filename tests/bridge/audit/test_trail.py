"""The trail: what is said reaches the disk soon, what is recorded reaches it first, a full disk is told and mended."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.audit.errors import AuditError
from bridge.audit.trail import MAX_WAITING, Trail
from bridge.log import Log as Logger
from bridge.log import make_log
from bridge.tasks import Tasks
from tests.bridge.audit.logs import Log
from tests.support.scale import scale, seed
from tests.support.waiting import eventually

WRITER = """
import asyncio, sys
from pathlib import Path
from bridge.audit.trail import Trail
from bridge.log import silent_log

async def main() -> None:
    trail = Trail(Path(sys.argv[1]), file_bytes=6_000)
    await trail.open(silent_log())
    running = asyncio.create_task(trail.run())
    for number in range(100_000):
        trail.note("refused", {"node": str(number)})
        await trail.record("approved", node=str(number), by="cli")
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def log(tmp_path: Path) -> Log:
    tmp_path.chmod(0o700)
    return Log(tmp_path)


@asynccontextmanager
async def running(log: Log) -> AsyncIterator[tuple[Trail, Logger, io.StringIO]]:
    """A trail, and the daemon's log that it taps."""
    trail, out = Trail(log.home), io.StringIO()
    logger = make_log("warning", "json", out, tap=trail.note)
    await trail.open(logger)
    try:
        async with Tasks(logger) as tasks:
            tasks.spawn("audit", trail.run())
            yield trail, logger, out
    finally:
        await trail.close()


def found(log: Log, event: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in log.lines()]
    return [line for line in lines if line["event"] == event]


async def test_what_the_log_is_told_is_on_disk_soon_whatever_the_logs_level(log: Log) -> None:
    async with running(log) as (_, logger, out):
        logger.info("joined", node="ab" * 32, role="node", address="10.0.0.1", secret="s3cret")
        logger.info("tls-aborted", address="10.0.0.1")
        logger.debug("refused", what="x")
        (line,) = await eventually(lambda: found(log, "joined"), timeout_s=5)
        assert out.getvalue() == "", "the log itself is at warning"
    assert line["node"] == "ab" * 32
    assert line["kind"] == "connect"
    assert "secret" not in line, "only the fields of the table are kept"
    assert not found(log, "tls-aborted")
    assert not found(log, "refused")
    assert log.verify().broken is None
    assert log.events()[-1] == "stopped"


async def test_what_is_recorded_is_on_disk_before_it_returns_with_all_that_was_said_before(log: Log) -> None:
    async with running(log) as (trail, logger, _):
        logger.warning("revoked", node="a")
        await trail.record("approved", node="b", by="cli")
        assert log.events()[-2:] == ["revoked", "approved"]
        assert log.verify().broken is None


async def test_many_at_once_are_all_there_in_one_chain(log: Log) -> None:
    async with running(log) as (trail, logger, _):

        async def one(number: int) -> None:
            logger.warning("revoked", node=str(number))
            await trail.record("approved", node=str(number))

        await asyncio.gather(*(one(number) for number in range(40)))
        workers = [threading.Thread(target=logger.warning, args=("revoked",), kwargs={"node": "t"}) for _ in range(20)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        await trail.flush()
        assert len(found(log, "approved")) == 40
        assert len(found(log, "revoked")) == 60
    assert log.verify().broken is None


async def test_a_caller_that_goes_away_does_not_tear_the_chain(log: Log) -> None:
    """Red when the write is not a task of its own."""
    async with running(log) as (trail, logger, _), Tasks(logger) as tasks:
        for number in range(20):
            gone = tasks.spawn("caller", trail.record("approved", node=str(number)))
            await asyncio.sleep(0)
            gone.cancel()
            await trail.record("approved", node="stays")
    assert log.verify().broken is None
    assert len(found(log, "approved")) >= 20


async def test_a_disk_that_refuses_fails_what_has_to_be_first_and_keeps_the_rest(log: Log) -> None:
    async with running(log) as (trail, logger, out):
        log.sql("ALTER TABLE audit_head RENAME TO aside")
        logger.warning("revoked", node="kept")
        with pytest.raises(AuditError, match=r"cannot be written \(.*no such table.*\)\. Make room"):
            await trail.record("approved", node="refused")
        with pytest.raises(AuditError):
            await trail.flush()
        assert "no such table" in str(trail.problem)
        assert out.getvalue().count("audit-failed") == 1
        log.sql("ALTER TABLE aside RENAME TO audit_head")
        await trail.record("approved", node="later")
        assert trail.written > 0
        assert str(trail.problem) == "None"
    assert [line["node"] for line in found(log, "revoked")] == ["kept"]
    assert [line["node"] for line in found(log, "approved")] == ["later"]
    assert log.verify().broken is None


async def test_what_finds_no_room_is_counted_and_told(log: Log) -> None:
    """Red without MAX_WAITING: a disk that refuses would fill the memory."""
    async with running(log) as (trail, _, _):
        log.sql("ALTER TABLE audit_head RENAME TO aside")
        for number in range(5 * MAX_WAITING):
            trail.note("revoked", {"node": str(number)})
        assert len(trail._waiting) == MAX_WAITING
        log.sql("ALTER TABLE aside RENAME TO audit_head")
        await trail.flush()
    (lost,) = found(log, "lost")
    assert lost["count"] == 4 * MAX_WAITING
    assert len(found(log, "revoked")) == MAX_WAITING
    assert log.verify().broken is None


async def test_a_disk_that_refuses_again_and_again_fills_no_memory_and_loses_no_count(log: Log) -> None:
    """Every try that fails while there is no room; red when a try leaves its line `lost` in what waits."""
    async with running(log) as (trail, _, _):
        log.sql("ALTER TABLE audit_head RENAME TO aside")
        said, tries = 5 * MAX_WAITING, 40
        for number in range(said):
            trail.note("revoked", {"node": str(number)})
        for number in range(tries):
            with pytest.raises(AuditError):
                await trail.record("approved", node="refused")
            trail.note("revoked", {"node": str(said + number)})
        assert len(trail._waiting) <= MAX_WAITING
        log.sql("ALTER TABLE aside RENAME TO audit_head")
        await trail.flush()
    (lost,) = found(log, "lost")
    assert int(str(lost["count"])) + len(found(log, "revoked")) == said + tries
    assert [line["node"] for line in found(log, "revoked")][:3] == ["0", "1", "2"], "the oldest are kept"
    assert log.verify().broken is None


async def test_a_loop_is_a_line_and_a_count(log: Log) -> None:
    async with running(log) as (trail, _, _):
        for _ in range(20_000):
            trail.note("refused", {"node": "a", "address": "10.0.0.1", "what": "config.get"})
    first, rest = found(log, "refused")
    assert (first.get("count"), rest["count"]) == (None, 19_999)


@pytest.mark.soak
def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(log: Log) -> None:
    """SIGKILL at random points of a writer that records without a pause; every start takes up where it ended.

    Red when `record` returns before the flush, or when the next start does not mend what was torn.
    """
    acknowledged: set[str] = set()
    for round_ in range(scale(40)):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(log.home)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        wanted = 1 + (seed() + round_ * 7919) % 23
        for _ in range(wanted):
            acknowledged.add(f"{process.stdout.readline().strip()}")
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
        verdict = log.verify()
        assert verdict.broken is None, f"seed {seed()}: {verdict}"
        assert acknowledged <= {str(line["node"]) for line in found_whole(log)}, f"seed {seed()}"
    assert len(found_whole(log)) > 1


def found_whole(log: Log) -> list[dict[str, object]]:
    """The approvals; a last line without an end is left out."""
    whole = [json.loads(line) for line in log.lines() if line.endswith(b"\n")]
    return [line for line in whole if line["event"] == "approved"]
