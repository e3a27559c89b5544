"""Whoever covers tracks in the audit log: any change of a line, a file or the head is seen, and where."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.audit.errors import AuditError
from bridge.audit.files import ACTIVE
from bridge.audit.verification import Why
from tests.bridge.audit.logs import Log, draft


@pytest.fixture
def log(tmp_path: Path) -> Log:
    tmp_path.chmod(0o700)
    return Log(tmp_path)


def _mutated(lines: list[bytes], kind: str, index: int, other: int, byte: int) -> list[bytes]:
    out = list(lines)
    match kind:
        case "edit":
            at = byte % len(out[index])
            out[index] = out[index][:at] + bytes([out[index][at] ^ 1]) + out[index][at + 1 :]
        case "remove":
            del out[index]
        case "insert":
            out.insert(index, out[other])
        case "swap":
            out[index], out[other] = out[other], out[index]
        case "cut":
            del out[index:]
    return out


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Log:
    home = tmp_path_factory.mktemp("log")
    home.chmod(0o700)
    log = Log(home, file_bytes=3_000)
    log.write(40)
    return log


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["edit", "remove", "insert", "swap", "cut"]),
    index=st.integers(0, 10_000),
    other=st.integers(0, 10_000),
    byte=st.integers(0, 10_000),
)
def test_any_change_is_found_where_it_is(written: Log, kind: str, index: int, other: int, byte: int) -> None:
    """Red when `read_line` does not compare the hash, or `Verifier` not the number, `prev` or the head."""
    originals = {path: path.read_bytes() for path in written.files}
    lines = written.lines()
    index, other = index % len(lines), other % len(lines)
    changed = _mutated(lines, kind, index, other, byte)
    if changed == lines:
        return
    differ = (n for n, (a, b) in enumerate(zip(lines, changed, strict=False)) if a != b)
    place = next(differ, min(len(lines), len(changed)))
    bounds = [len(content.splitlines()) for content in originals.values()]
    try:
        start = 0
        for number, (path, count) in enumerate(zip(originals, bounds, strict=True)):
            end = None if number == len(bounds) - 1 else start + count
            path.write_bytes(b"".join(changed[start:end]))
            start += count
        verdict = written.verify()
        assert verdict.broken is not None, (kind, index, other)
        assert verdict.broken.seq == place + 1, (kind, index, other, verdict)
    finally:
        for path, content in originals.items():
            path.write_bytes(content)
    assert written.verify().broken is None


@pytest.mark.parametrize("index", [0, 1, -1])
def test_a_file_that_was_removed_is_missed(log: Log, index: int) -> None:
    log.write(60)
    gone = log.files[index]
    first = int(gone.read_text().partition('"seq":')[2].partition(",")[0])
    gone.unlink()
    for _ in range(2):  # before and after the daemon has started again
        broken = log.verify().broken
        assert broken is not None
        assert broken.seq == first
        log.write(1)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("DELETE FROM audit_head", Why.NO_HEAD),
        ("DROP TABLE audit_head", Why.NO_HEAD),
        ("UPDATE audit_head SET hash = base_hash", Why.HEAD),
        ("UPDATE audit_head SET count = count + 1", Why.CUT),
        ("UPDATE audit_head SET base_count = 1", Why.MISSING),
        ("UPDATE audit_head SET base_hash = hash", Why.UNCHAINED),
    ],
)
def test_a_head_that_was_changed_is_seen(log: Log, statement: str, why: Why) -> None:
    log.write(10)
    log.sql(statement)
    broken = log.verify().broken
    assert broken is not None
    assert broken.why is why
    log.write(1)
    assert log.verify().broken is not None, "a start does not make it good"


def test_a_cut_tail_is_seen_before_and_after_a_start(log: Log) -> None:
    log.write(10)
    active = log.folder / ACTIVE
    lines = active.read_bytes().splitlines(keepends=True)
    cut = log.verify().last.count
    active.write_bytes(b"".join(lines[:-1]))
    broken = log.verify().broken
    assert broken is not None
    assert (broken.seq, broken.why) == (cut, Why.CUT)
    log.write(3)
    broken = log.verify().broken
    assert broken is not None
    assert (broken.seq, broken.why) == (cut, Why.MISSING)
    assert "gap" in log.events()
    assert log.verify(since=broken.after).broken is None
    assert log.verify(since=broken.after - 1).broken is not None


def test_lines_after_a_place_that_is_known_are_verified_alone(log: Log) -> None:
    log.write(10)
    log.sql("DELETE FROM audit_head")
    log.write(10)
    broken = log.verify().broken
    assert broken is not None
    assert broken.why is Why.GAP
    verdict = log.verify(since=broken.seq + 1)
    assert verdict.broken is None
    assert verdict.events >= 10
    (log.folder / ACTIVE).write_bytes(b"")
    assert log.verify(since=broken.seq + 1).broken is not None, "positive control"


@pytest.mark.parametrize("how", ["append", "truncate", "remove", "replace"])
def test_a_change_under_the_running_daemon_is_seen_at_the_next_line(log: Log, how: str) -> None:
    """Red without `_check_undisturbed`: the daemon would write into a file that is no more."""
    journal = log.journal()
    journal.append([draft()])
    active = log.folder / ACTIVE
    match how:
        case "append":
            active.write_bytes(active.read_bytes() + b"{}\n")
        case "truncate":
            os.truncate(active, 50)
        case "remove":
            active.unlink()
        case _:
            active.rename(log.folder / "elsewhere")
            active.write_bytes(b"")
    journal.append([draft("later")])
    journal.close()
    assert "later" in log.events()
    assert "gap" in log.events()
    assert log.verify().broken is not None


def test_a_link_in_the_place_of_the_file_is_not_followed(log: Log, tmp_path: Path) -> None:
    log.write(1)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (log.folder / ACTIVE).unlink()
    (log.folder / ACTIVE).symlink_to(victim)
    with pytest.raises(AuditError, match="audit"):
        log.journal()
    with pytest.raises(AuditError, match="cannot be read"):
        log.verify()
    assert victim.read_text() == "mine"
