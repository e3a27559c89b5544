"""Where a passphrase may come from, and what is none."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.backup.errors import BackupError
from bridge.backup.passphrase import MAX_BYTES, MIN_CHARACTERS, known_passphrase, new_passphrase
from bridge.errors import UsageError
from tests.bridge.backup.homes import PHRASE


class Pipe(io.TextIOWrapper):
    """Standard input that holds these bytes."""

    def __init__(self, data: bytes, *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(data))
        self._terminal = terminal

    def isatty(self) -> bool:
        """Whether a person types."""
        return self._terminal


def typing(*answers: str) -> Callable[[str], str]:
    """A person who gives these answers."""
    left = iter(answers)
    return lambda prompt: next(left)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "phrase"
    path.touch(mode=0o600)
    return path


@pytest.mark.parametrize("data", [PHRASE, PHRASE + "\n", PHRASE + "\r\n", PHRASE + "\nmore\n"])
def test_the_first_line_counts(monkeypatch: pytest.MonkeyPatch, file: Path, data: str) -> None:
    file.write_text(data, newline="")
    assert new_passphrase(file) == known_passphrase(file) == PHRASE
    monkeypatch.setattr(sys, "stdin", Pipe(data.encode()))
    assert known_passphrase(None) == PHRASE


def test_blanks_belong_to_it(file: Path) -> None:
    file.write_text(f"  {PHRASE} \n")
    assert known_passphrase(file) == f"  {PHRASE} "


def test_a_person_types_a_new_one_twice_and_a_known_one_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Pipe(b"", terminal=True))
    assert new_passphrase(None, typing(PHRASE, PHRASE)) == PHRASE
    assert known_passphrase(None, typing("short")) == "short"
    with pytest.raises(UsageError, match="differ"):
        new_passphrase(None, typing(PHRASE, PHRASE + "x"))
    with pytest.raises(UsageError, match="needs 12"):
        new_passphrase(None, typing("x" * (MIN_CHARACTERS - 1)))


@pytest.mark.parametrize("data", [b"", b"\n", b"\nlater", b"\xff\xfe", b"x" * (MAX_BYTES + 1)])
def test_what_is_no_passphrase_is_refused(monkeypatch: pytest.MonkeyPatch, file: Path, data: bytes) -> None:
    file.write_bytes(data)
    for read in (new_passphrase, known_passphrase):
        with pytest.raises(UsageError):
            read(file)
        monkeypatch.setattr(sys, "stdin", Pipe(data))
        with pytest.raises(UsageError):
            read(None)


@pytest.mark.parametrize("typed", ["", "\udcff" + PHRASE, "x" * (MAX_BYTES + 1)])
def test_what_is_typed_is_judged_as_what_a_file_holds(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    """Else a key on a Latin-1 terminal is a traceback, and a long one cannot be given in a file later."""
    monkeypatch.setattr(sys, "stdin", Pipe(b"", terminal=True))
    for read in (new_passphrase, known_passphrase):
        with pytest.raises(UsageError):
            read(None, typing(typed, typed))


def test_a_new_one_must_be_long_enough_wherever_it_comes_from(file: Path) -> None:
    file.write_text("x" * (MIN_CHARACTERS - 1))
    with pytest.raises(UsageError, match="needs 12"):
        new_passphrase(file)
    assert known_passphrase(file) == "x" * (MIN_CHARACTERS - 1)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_can_read_is_refused(file: Path, mode: int) -> None:
    file.write_text(PHRASE)
    file.chmod(mode)
    with pytest.raises(BackupError, match="other users") as refused:
        known_passphrase(file)
    assert refused.value.fix == f"Close it: chmod 600 {file}"


def test_a_pipe_a_folder_and_nothing_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder", "nothing"):
        with pytest.raises(BackupError):
            known_passphrase(tmp_path / name)
