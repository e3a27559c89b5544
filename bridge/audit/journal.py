"""Writes the audit log: lines to the file, the file to disk, then the head to the database; all of them or none.

Only one journal writes a folder at a time (the daemon's lock), and only one thread at a time calls it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bridge.audit.entry import Draft, Position, Value, clean, write_line
from bridge.audit.errors import AuditError
from bridge.audit.files import ACTIVE, closed_name, last_of, log_files, open_to_append
from bridge.audit.head import Head, HeadStore
from bridge.audit.recovery import Found, first_entry, look
from bridge.pairing.store_error import StoreError
from certs.private_files import PrivateFileError, flush_folder, flush_to_disk, private_folder

FILE_BYTES = 8 * 1024 * 1024  # of one file; some 20,000 lines
MAX_PRUNED = 16  # files at a time, a line each: with the others that open a file below what may be beyond the head
KEPT_FILES = 16  # closed files that stay: 128 MiB with all of them


class Journal:
    """See the module's text.

    Args:
        folder: of the log; made when it is missing.
        database: the sqlite file of the head; its folder exists.
        file_bytes: length at which a file is closed and the next one begun.
        kept: closed files that stay.
    """

    def __init__(self, folder: Path, database: Path, *, file_bytes: int = FILE_BYTES, kept: int = KEPT_FILES) -> None:
        self._folder = folder
        self._database = database
        self._file_bytes = file_bytes
        self._kept = kept
        self._heads: HeadStore
        self._head = Head(Position(), Position())
        self._file = -1
        self._size = 0
        self._unclean = False
        self._opening: list[tuple[str, dict[str, Value]]] = []

    def open(self, ts: str) -> None:
        """Opens the log where it ended, and writes down what became of its end.

        A line that a crash has torn is taken off, and lines that the head does not know yet are taken in. A log that
        is not what was written is left as it is: it is closed, and a new file begins with what was found.

        Args:
            ts: this moment, ISO 8601 UTC.

        Raises:
            AuditError: it cannot be written.
        """
        try:
            private_folder(self._folder)
            self._heads = HeadStore(self._database)
            known = self._heads.read()
            found = look(self._folder, known)
            self._head = found.head
            if known is None and found.gap is None:
                self._heads.write(self._head)  # before there is a file: a file without a head is somebody's doing
            self._remove_pruned()
            self._file = open_to_append(self._path)
            self._resume(found)
            flush_folder(self._folder)
        except AuditError:
            raise
        except (OSError, StoreError, PrivateFileError) as exc:
            raise self._unwritable(exc) from exc
        self.append([Draft(ts, "audit", "opened", clean({"recovered": found.recovered or None}))])

    def _resume(self, found: Found) -> None:
        self._size = os.fstat(self._file).st_size
        if found.gap is not None:
            self._close_file()
            self._opening.append(("gap", {"why": found.gap}))
        elif found.torn or found.ahead:
            self._size -= found.torn
            os.ftruncate(self._file, self._size)
            what = {"torn_bytes": found.torn, "torn": found.beginning, "ahead": found.ahead}
            self._opening.append(("recovered", clean(what)))
            self._head = Head(found.at, found.head.base)

    @property
    def _path(self) -> Path:
        return self._folder / ACTIVE

    @property
    def position(self) -> Position:
        """The last line that is on disk."""
        return self._head.last

    def append(self, drafts: Sequence[Draft]) -> None:
        """Writes lines, and returns when they and the head are on disk.

        Args:
            drafts: at most `verification.MAX_BATCH`.

        Raises:
            AuditError: they could not be written; none of them counts.
        """
        victims: list[Path] = []
        try:
            self._clean_up()
            self._check_undisturbed()
            if self._size >= self._file_bytes:
                self._close_file()
            base = self._head.base
            if self._size == 0:
                victims, base = self._too_many()
            own = [Draft(drafts[0].ts, "audit", event, fields) for event, fields in self._begins(victims)]
            self._write([*own, *drafts], base)
        except (OSError, StoreError) as exc:
            self._take_back()
            raise self._unwritable(exc) from exc
        self._opening.clear()
        for path in victims:
            with suppress(OSError):  # it is tried again at the next start
                path.unlink()

    def _begins(self, victims: Sequence[Path]) -> list[tuple[str, dict[str, Value]]]:
        """What the log has to say about itself before the next line."""
        begins: list[tuple[str, dict[str, Value]]] = []
        if self._size == 0:
            before = [path.name for path in log_files(self._folder) if last_of(path.name) is not None]
            begins.append(("file", {"continues": before[-1] if before else "nothing"}))
        begins += self._opening
        begins += [("pruned", {"file": path.name}) for path in victims]
        return begins

    def _write(self, drafts: Sequence[Draft], base: Position) -> None:
        at, lines = self._head.last, []
        for draft in drafts:
            line, at = write_line(draft, at)
            lines.append(line)
        data = b"".join(lines)
        written = 0
        while written < len(data):
            written += os.write(self._file, data[written:])
        flush_to_disk(self._file)
        head = Head(at, base)
        self._heads.write(head)
        self._head, self._size = head, self._size + len(data)

    def _take_back(self) -> None:
        """Whatever was written of lines that do not count is taken off again; by the next `append` if it fails now."""
        self._unclean = True
        with suppress(OSError):
            self._clean_up()

    def _clean_up(self) -> None:
        if self._unclean:
            os.ftruncate(self._file, self._size)
            os.fsync(self._file)
            self._unclean = False

    def _check_undisturbed(self) -> None:
        """Nobody else has written the file: if somebody has, it is closed, and the next one says so."""
        open_file = os.fstat(self._file)
        try:
            named = self._path.stat(follow_symlinks=False)
        except FileNotFoundError:
            why = "the file was removed"
        else:
            if (named.st_ino, named.st_dev) == (open_file.st_ino, open_file.st_dev) and open_file.st_size == self._size:
                return
            why = "the file was changed by another program"
        self._close_file()
        self._opening.append(("gap", {"why": why}))

    def _close_file(self) -> None:
        """Ends the file that is written and begins the next one; if there can be none, the former one goes on."""
        closed = self._folder / self._free_name()
        with suppress(FileNotFoundError):
            self._path.rename(closed)
        try:
            flush_folder(self._folder)
            fresh = open_to_append(self._path)
        except OSError:
            with suppress(OSError):
                closed.rename(self._path)  # its absence would be taken for somebody's doing
            raise
        os.close(self._file)
        self._file, self._size = fresh, os.fstat(fresh).st_size
        flush_folder(self._folder)

    def _free_name(self) -> str:
        last = self._head.last.count
        while os.path.lexists(self._folder / closed_name(last)):  # somebody has put it there
            last += 1
        return closed_name(last)

    def _too_many(self) -> tuple[list[Path], Position]:
        """The files that are pruned, and what the oldest one that stays continues."""
        closed = [path for path in log_files(self._folder) if last_of(path.name) is not None]
        victims = closed[: max(0, len(closed) - self._kept)][:MAX_PRUNED]
        if not victims:
            return [], self._head.base
        entry = first_entry(closed[len(victims)])
        known = Position(entry.seq - 1, entry.prev) if entry is not None else None
        return victims, known or Position(last_of(victims[-1].name) or 0, self._head.base.hash)

    def _remove_pruned(self) -> None:
        """Removes what was pruned when the daemon was killed before it could."""
        for path in log_files(self._folder):
            last = last_of(path.name)
            if last is not None and last <= self._head.base.count:
                path.unlink()

    def close(self) -> None:
        """Closes the file."""
        if self._file != -1:
            os.close(self._file)
            self._file = -1

    def _unwritable(self, exc: Exception) -> AuditError:
        mend = f"Make room, or mend the folder: df -h {shlex.quote(str(self._folder))}"
        match exc:
            case PrivateFileError(why=why, mend=mend):
                pass
            case StoreError():  # the database's words: what is wrong, then what mends it
                why, _, mend = str(exc).rpartition(". ")
            case OSError(strerror=str(why)):
                pass
            case _:
                why = str(exc)
        return AuditError(f"the audit log in {self._folder} cannot be written ({why})", mend)
