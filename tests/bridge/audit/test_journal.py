"""The files of the audit log: chained over rotation, whole after a crash, and any change of them is seen."""

from __future__ import annotations

import os
import resource
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from bridge.audit.entry import Draft, Position, write_line
from bridge.audit.errors import AuditError
from bridge.audit.files import ACTIVE, open_to_append
from bridge.audit.journal import Journal
from bridge.audit.verification import MAX_AHEAD, MAX_BATCH, Why
from tests.bridge.audit.logs import TS, Log, draft


@pytest.fixture
def log(tmp_path: Path) -> Log:
    tmp_path.chmod(0o700)
    return Log(tmp_path)


def test_what_was_written_is_verified(log: Log) -> None:
    log.write(30)
    verdict = log.verify()
    assert verdict.broken is None
    assert verdict.events == len(log.lines()) >= 32
    assert verdict.last.count == verdict.events


def test_nothing_written_is_nothing_broken(log: Log) -> None:
    verdict = log.verify()
    assert (verdict.broken, verdict.events) == (None, 0)
    assert not log.database.exists(), "looking makes no database"


def test_files_are_closed_to_others_whatever_the_umask(log: Log) -> None:
    former = os.umask(0)
    try:
        log.write(60)
    finally:
        os.umask(former)
    assert len(log.files) > 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in log.files} == {0o600}
    assert stat.S_IMODE(log.folder.stat().st_mode) == 0o700


def test_the_chain_goes_on_over_files_and_starts(log: Log) -> None:
    for _ in range(3):
        log.write(30)
    assert len(log.files) > 5
    assert log.events().count("opened") == 3
    assert log.events().count("file") == len(log.files)
    first = [path.read_text().partition('"continues":"')[2].partition('"')[0] for path in log.files]
    assert first == ["nothing", *(path.name for path in log.files[:-1])]
    assert log.verify().broken is None


def test_old_files_are_pruned_and_the_rest_is_verified(log: Log) -> None:
    """Red when the base is not written with the head: the oldest file would continue nothing."""
    log.kept = 3
    log.write(120)
    log.write(40)
    assert len(log.files) == 4
    verdict = log.verify()
    assert verdict.broken is None
    assert verdict.pruned == verdict.last.count - verdict.events > 0
    assert "pruned" in log.events()
    log.files[0].unlink()
    broken = log.verify().broken
    assert broken is not None
    assert (broken.seq, broken.why) == (verdict.pruned + 1, Why.MISSING)


def test_a_file_whose_removal_a_crash_prevented_is_removed_at_the_next_start(log: Log) -> None:
    log.kept = 2
    log.write(20)
    oldest = log.files[0]
    content = oldest.read_bytes()
    log.write(80)
    assert not oldest.exists()
    oldest.write_bytes(content)
    assert log.verify().broken is None
    log.write(1)
    assert not oldest.exists()
    assert log.verify().broken is None


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_torn_line_is_closed_at_the_next_start(log: Log, cut: int) -> None:
    log.write(5)
    before = log.verify().events
    active = log.folder / ACTIVE
    line, _ = write_line(draft(node="x" * 100), Position(before, "0" * 64))
    with active.open("ab") as file:
        file.write(line[:cut])
    verdict = log.verify()
    assert (verdict.broken, verdict.unfinished, verdict.events) == (None, True, before)
    log.write(1)
    verdict = log.verify()
    assert (verdict.broken, verdict.unfinished) == (None, False)
    (recovered,) = [line for line in log.lines() if b'"recovered"' in line and b'"torn_bytes"' in line]
    assert f'"torn_bytes":{cut}'.encode() in recovered


def test_lines_that_the_head_does_not_know_are_taken_in(log: Log) -> None:
    """A crash after the file was flushed and before the database was."""
    log.write(5)
    at = log.verify().last
    line, at = write_line(draft(), at)
    more, _ = write_line(draft(), at)
    with (log.folder / ACTIVE).open("ab") as file:
        file.write(line + more)
    assert log.verify().broken is None
    log.write(1)
    assert log.verify().broken is None
    assert any(b'"recovered"' in line and b'"ahead":2' in line for line in log.lines())


def test_more_of_them_than_a_crash_can_leave_are_not(log: Log) -> None:
    log.file_bytes = 10_000_000
    log.write(5)
    known = at = log.verify().last
    with (log.folder / ACTIVE).open("ab") as file:
        for _ in range(MAX_AHEAD + 1):
            line, at = write_line(draft(), at)
            file.write(line)
    broken = log.verify().broken
    assert broken is not None
    assert (broken.seq, broken.why) == (known.count + 1, Why.BEYOND)
    log.write(1)
    broken = log.verify().broken
    assert broken is not None
    assert broken.why is Why.HEAD
    assert known.count < broken.seq <= known.count + 4, "what was forged is chained, up to the next line of the daemon"


def test_a_crash_between_two_files_is_none_of_the_owners_worries(log: Log) -> None:
    log.write(5)
    closed = log.verify().last.count
    (log.folder / ACTIVE).rename(log.folder / f"audit-{closed:012d}.jsonl")
    assert log.verify().broken is None
    log.write(2)
    assert log.verify().broken is None
    assert "gap" not in log.events()


class Dies(Journal):
    """Is killed between the file and the head of its first line."""

    def append(self, drafts: Sequence[Draft]) -> None:
        line, _ = write_line(drafts[0], self.position)
        os.write(self._file, line)
        raise SystemExit


def test_a_crash_at_the_very_first_line_is_none_either(log: Log) -> None:
    """Red when the head is not written before the first file is made: its file would have none."""
    with pytest.raises(SystemExit):
        Dies(log.folder, log.database).open(TS)
    assert log.lines()
    assert log.verify().broken is None
    log.write(1)
    assert log.verify().broken is None
    assert "gap" not in log.events()


def test_what_is_written_to_is_a_file_of_ours_alone(log: Log, tmp_path: Path) -> None:
    """Red without O_NOFOLLOW, and without the look at what was opened."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name, make in (("link", Path.symlink_to), ("name", Path.hardlink_to)):
        make(tmp_path / name, victim)
        with pytest.raises(OSError, match=r"link|alone"):
            open_to_append(tmp_path / name)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="alone"):
        open_to_append(tmp_path / "pipe")
    assert victim.read_text() == "mine"
    os.close(open_to_append(tmp_path / "fresh"))
    assert stat.S_IMODE((tmp_path / "fresh").stat().st_mode) == 0o600


def test_a_full_disk_loses_no_line_that_counts(log: Log) -> None:
    """RLIMIT_FSIZE stands for the full disk: a write that does not fit ends in the middle of a line."""
    log.file_bytes = 10_000_000
    journal = log.journal()
    journal.append([draft()])
    before = log.verify().events
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (log.folder / ACTIVE).stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))
    try:
        with pytest.raises(AuditError, match="cannot be written"):
            journal.append([draft() for _ in range(MAX_BATCH)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert log.verify().events == before
    journal.append([draft("again")])
    journal.close()
    verdict = log.verify()
    assert (verdict.broken, verdict.events) == (None, before + 1)


def test_a_database_that_refuses_takes_the_lines_back(log: Log) -> None:
    """Red without `_take_back`: what was refused would be in the log all the same."""
    journal = log.journal()
    journal.append([draft()])
    before = log.verify().events
    log.sql("ALTER TABLE audit_head RENAME TO aside")
    with pytest.raises(AuditError):
        journal.append([draft("refused")])
    log.sql("ALTER TABLE aside RENAME TO audit_head")
    assert "refused" not in log.events()
    journal.append([draft("again")])
    journal.close()
    verdict = log.verify()
    assert (verdict.broken, verdict.events) == (None, before + 1)


def test_the_error_says_what_mends_it(log: Log) -> None:
    log.folder.write_text("in the way")
    with pytest.raises(AuditError, match=r"cannot be written \(.*Not a directory\)\)?\. See: ls -ld") as caught:
        log.journal()
    assert str(log.folder) in str(caught.value)


def test_it_verifies_while_it_is_written_and_files_come_and_go(log: Log) -> None:
    """Red when `verify` does not look again after files have changed, or takes what is being written for a break."""
    log.kept = 3
    log.write(1)

    def write() -> None:
        journal = log.journal()
        for _ in range(100):
            journal.append([draft(node="x" * 40) for _ in range(3)])
        journal.close()

    writer = threading.Thread(target=write)
    writer.start()
    verdicts = [log.verify()]
    while writer.is_alive():
        verdicts.append(log.verify())
    writer.join()
    assert {verdict.broken for verdict in verdicts} == {None}
    assert len({verdict.last for verdict in verdicts}) > 1, "it was seen growing"
    assert log.verify().pruned > 0


def test_a_rotation_that_finds_no_room_is_tried_again_and_blames_nobody(log: Log) -> None:
    """No file can be opened any more, after the full one was renamed; red when it keeps its new name: a `gap`."""
    journal = log.journal()
    while (log.folder / ACTIVE).stat().st_size < log.file_bytes:
        journal.append([draft()])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(AuditError):
            journal.append([draft("late")])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    journal.append([draft("late")])
    journal.close()
    assert len(log.files) == 2
    assert (log.verify().broken, log.events().count("gap"), log.events().count("late")) == (None, 0, 1)
