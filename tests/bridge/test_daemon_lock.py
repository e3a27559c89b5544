"""One daemon per folder, until its process has ended in whatever way."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.daemon_lock import LOCK_FILE, AlreadyRunningError, daemon_lock

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from pathlib import Path
from bridge.daemon_lock import daemon_lock
with daemon_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_holder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with holder(tmp_path):
        with pytest.raises(AlreadyRunningError, match=f"clawdis-bridge status --home '{tmp_path}'"):
            daemon_lock(tmp_path).__enter__()
        with daemon_lock(tmp_path.parent):
            pass


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, None])
def test_it_ends_with_the_process(tmp_path: Path, number: signal.Signals | None) -> None:
    with holder(tmp_path) as process:
        if number is None:
            process.communicate("")
        else:
            process.send_signal(number)
        process.wait(10)
        with daemon_lock(tmp_path):
            pass


def test_two_in_one_process_exclude_each_other(tmp_path: Path) -> None:
    with daemon_lock(tmp_path):
        with pytest.raises(AlreadyRunningError), daemon_lock(tmp_path):
            pytest.fail("both held it")
        with pytest.raises(AlreadyRunningError), daemon_lock(tmp_path):
            pytest.fail("the refused one freed it")
    with daemon_lock(tmp_path):
        pass


def test_an_error_of_the_holder_passes_and_frees_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), daemon_lock(tmp_path):
        raise ZeroDivisionError
    with daemon_lock(tmp_path):
        pass


def test_its_file_is_private_and_stays(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with daemon_lock(tmp_path):
            assert stat.S_IMODE((tmp_path / LOCK_FILE).stat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert (tmp_path / LOCK_FILE).exists()


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic"), daemon_lock(tmp_path):
        pytest.fail("it followed the link")
    assert not (tmp_path / "victim").exists()


def test_a_child_of_the_holder_does_not_keep_it(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    with daemon_lock(tmp_path):
        child = subprocess.Popen(program, close_fds=False, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
    with child:
        with daemon_lock(tmp_path):
            assert child.poll() is None
        child.kill()
