"""SIGKILL before any system call of a restore: the home is the former one or the restored one, and always loads."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from bridge.backup.collect import collect
from certs.store import KeyFolder
from tests.bridge.backup.homes import content, make_home, nodes
from tests.bridge.pairing.samples import identity, record
from tests.support import scale

ROOT = Path(__file__).parents[3]
# Restores in children of its own, each killed before its n-th call into the system's modules; reads n from its input
# and answers how the child ended. With n = -1 the child counts the calls and is not killed.
PROGRAM = """
import os, shutil, signal, sys
from pathlib import Path
from bridge.backup.restore import restore
from tests.bridge.backup.homes import archive_of, content
from tests.bridge.pairing.samples import NOON

HOME, MEMBERS, PRISTINE = (Path(name) for name in sys.argv[1:4])
ARCHIVE = archive_of(content(MEMBERS))
SYSTEM = {"posix", "_io", "_sqlite3", "fcntl"}

def child(limit):
    calls = 0
    def count(frame, event, function):
        nonlocal calls
        if event != "c_call":
            return
        owner = getattr(function, "__module__", None) or type(getattr(function, "__self__", None)).__module__
        if owner in SYSTEM or "sqlite3" in str(owner):
            if calls == limit:
                os.kill(os.getpid(), signal.SIGKILL)
            calls += 1
    sys.setprofile(count)
    restore(HOME, ARCHIVE, replace=True, now=NOON)
    sys.setprofile(None)
    return calls

for line in sys.stdin:
    shutil.rmtree(HOME.parent)
    shutil.copytree(PRISTINE, HOME.parent)
    (HOME.parent).chmod(0o700)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, str(child(int(line))).encode())
        finally:
            os._exit(0)
    os.close(writer)
    said = os.read(reader, 100).decode()
    os.close(reader)
    os.waitpid(pid, 0)
    print(said or "killed", flush=True)
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_kill_leaves_the_former_home_or_the_restored_one(tmp_path: Path) -> None:
    """With the swap replaced by removing the former home and renaming, some kills leave no home: red."""
    pristine, disk, held = tmp_path / "pristine", tmp_path / "disk", tmp_path / "held"
    (disk / "home").mkdir(parents=True)
    pristine.mkdir()
    make_home(tmp_path / "old", record(1), record(2))
    for name, data in collect(tmp_path / "old").members.items():
        (held / name).parent.mkdir(parents=True, exist_ok=True)
        (held / name).write_bytes(data)
    former = make_home(pristine / "home", record(3))
    before = content(pristine / "home")
    restored = KeyFolder(tmp_path / "old" / "keys").load()
    outcomes = {"former": 0, "restored": 0}
    command = [sys.executable, "-c", PROGRAM, str(disk / "home"), str(held), str(pristine)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin is not None
        assert program.stdout is not None

        def run(limit: int) -> str:
            assert program.stdin is not None
            assert program.stdout is not None
            program.stdin.write(f"{limit}\n")
            program.stdin.flush()
            return program.stdout.readline().strip()

        total = int(run(-1))
        points: Iterable[int] = range(total)
        if not scale.is_full():
            chance = random.Random(scale.seed())  # noqa: S311 - the chance of a test
            points = sorted({*chance.sample(range(total), total // 10), *range(total - 40, total)})
        for point in points:
            assert run(point) == "killed", point
            home = disk / "home"
            pin = KeyFolder(home / "keys").load().pin
            assert pin in (former.pin, restored.pin), point
            if pin == former.pin:
                outcomes["former"] += 1
                assert content(home) == before, point
            else:
                outcomes["restored"] += 1
                assert set(nodes(home)) == {identity(1).device_id, identity(2).device_id}, point
                (aside,) = (each for each in disk.iterdir() if each != home)
                assert content(aside) == before, f"{point}: the former home is lost"
        program.stdin.close()
    assert min(outcomes.values()) > 0, json.dumps(outcomes)
