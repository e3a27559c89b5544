"""Files of the audit log as a hand may have left them: what is read of them is bounded, and none is written over."""

from __future__ import annotations

import os
from itertools import groupby
from pathlib import Path

import pytest

from bridge.audit.entry import MAX_LINE_BYTES, DamagedLineError, Position, _body, _digest, read_line, write_line
from bridge.audit.errors import AuditError
from bridge.audit.files import ACTIVE, closed_name, lines_of, open_to_read
from bridge.audit.journal import MAX_PRUNED, Journal
from bridge.audit.verification import MAX_AHEAD, Why
from tests.bridge.audit.logs import TS, Log, draft

START = Position()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    tmp_path.chmod(0o700)
    return Log(tmp_path)


def test_a_line_that_is_too_long_is_no_entry_though_its_hash_fits() -> None:
    """Red without the bound in `read_line`. The control is a line that fits."""
    for size, is_entry in ((100, True), (MAX_LINE_BYTES, False)):
        body = _body(draft(), {"name": "x" * size}, START)
        line = body[:-1] + b',"hash":"' + _digest(body, START.hash).encode() + b'"}\n'
        if is_entry:
            assert read_line(line).seq == 1
        else:
            with pytest.raises(DamagedLineError, match="too long"):
                read_line(line)


def test_a_file_without_an_end_of_a_line_takes_no_memory(tmp_path: Path) -> None:
    """Red when `lines_of` waits for the newline: one piece would be the whole file."""
    (tmp_path / "long").write_bytes(b"x" * 2_000_000)
    file = open_to_read(tmp_path / "long")
    try:
        pieces = list(lines_of(file))
    finally:
        os.close(file)
    assert max(map(len, pieces)) == MAX_LINE_BYTES + 1
    assert sum(len(piece.rstrip(b"\n")) for piece in pieces) == 2_000_000


def test_a_pipe_in_the_place_of_a_file_is_named(log: Log) -> None:
    """Red without the look at what was opened: it would read as an empty log, cut by somebody."""
    log.write(1)
    (log.folder / ACTIVE).unlink()
    os.mkfifo(log.folder / ACTIVE)
    with pytest.raises(AuditError, match="is no regular file"):
        log.verify()


def test_few_files_are_pruned_at_a_time(log: Log) -> None:
    """So that what opens a file and a batch stay below what may be ahead of the head; red without MAX_PRUNED."""
    log.write(400)
    assert len(log.files) > MAX_PRUNED + 5
    log.kept = 3
    log.write(24)
    runs = [len(list(run)) for event, run in groupby(log.events()) if event == "pruned"]
    assert max(runs) == MAX_PRUNED
    assert log.verify().broken is None


def test_a_file_that_has_the_next_name_already_is_not_written_over(log: Log) -> None:
    """Red without `_free_name`'s look."""
    journal = log.journal()
    while (log.folder / ACTIVE).stat().st_size < log.file_bytes:
        journal.append([draft()])
    planted = log.folder / closed_name(journal.position.count)
    planted.write_text("planted")
    journal.append([draft("later")])
    journal.close()
    assert planted.read_text() == "planted"
    assert "later" in log.events()


def test_the_end_of_a_closed_file_is_looked_at(log: Log) -> None:
    """Red without `_unended`: the line is whole but for its newline."""
    log.write(60)
    oldest = log.files[0]
    oldest.write_bytes(oldest.read_bytes()[:-1])
    broken = log.verify().broken
    assert broken is not None
    assert broken.why is Why.UNFINISHED


@pytest.mark.parametrize("ahead", [Position(0, "ab" * 32), Position(7, "")])
def test_lines_beyond_the_head_are_taken_in_only_if_they_continue_it(log: Log, ahead: Position) -> None:
    """Of the wrong hash before, then of the wrong number. Red when recovery takes every line whose own hash fits."""
    log.write(5)
    known = log.verify().last
    line, _ = write_line(draft("forged"), Position(known.count + ahead.count, ahead.hash or known.hash))
    with (log.folder / ACTIVE).open("ab") as file:
        file.write(line)
    log.write(1)
    assert "gap" in log.events()
    broken = log.verify().broken
    assert broken is not None
    assert broken.seq == known.count + 1


def test_a_head_that_was_set_to_the_beginning_is_no_crash(log: Log) -> None:
    """One line more than a crash can leave; red when a head at the beginning takes all of them in."""
    log.file_bytes = 10_000_000
    journal = log.journal()
    for _ in range(MAX_AHEAD + 1 - journal.position.count):
        journal.append([draft()])
    journal.close()
    assert log.verify().last.count == MAX_AHEAD + 1
    log.sql("UPDATE audit_head SET count = base_count, hash = base_hash")
    log.write(1)
    assert "gap" in log.events()
    assert log.verify().broken is not None


class Hampered(Journal):
    """The disk refuses the cut as well, once."""

    def _take_back(self) -> None:
        self._unclean = True


def test_what_could_not_be_taken_back_at_once_is_before_the_next_line(log: Log) -> None:
    """Red when `append` does not clean up first: it would blame another program for its own lines."""
    journal = Hampered(log.folder, log.database)
    journal.open(TS)
    log.sql("ALTER TABLE audit_head RENAME TO aside")
    with pytest.raises(AuditError):
        journal.append([draft("refused")])
    assert "refused" in log.events()
    log.sql("ALTER TABLE aside RENAME TO audit_head")
    journal.append([draft("again")])
    journal.close()
    assert (log.verify().broken, "refused" in log.events(), "gap" in log.events()) == (None, False, False)
