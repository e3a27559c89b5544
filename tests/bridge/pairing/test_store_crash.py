"""SIGKILL at any moment: what was acknowledged is there afterwards, whole, and nothing is half there."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bridge.pairing.store import NodeStore
from tests.bridge.pairing.samples import identity
from tests.support import scale

ROOT = Path(__file__).parents[3]
NODES = 5
PROGRAM = """
import asyncio, itertools, sys
from pathlib import Path
from bridge.pairing.store import NodeStore
from tests.bridge.pairing.samples import NOON, identity, record

async def main():
    store = NodeStore(Path(sys.argv[1]))
    for number in itertools.count(int(sys.argv[2])):
        node, revoked = number % 5, NOON if number % 3 == 0 else None
        name = record().labels.model_copy(update={"display_name": str(number)})
        await store.put(record(node, labels=name, revoked_at=revoked))
        print(number, flush=True)

asyncio.run(main())
"""


def killed_run(home: Path, begin: int, chance: random.Random) -> int:
    """Run the writer, kill it at a random point, and return the last change that it acknowledged (-1: none)."""
    acknowledged = begin - 1
    command = [sys.executable, "-c", PROGRAM, str(home), str(begin)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(chance.randint(1, 12)):
            acknowledged = int(writer.stdout.readline())
        until = time.perf_counter() + chance.random() * 0.004  # some way into the next write
        while time.perf_counter() < until:
            pass
        writer.kill()
        return int((writer.stdout.read().split() or [str(acknowledged)])[-1])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_acknowledged_changes_survive_a_kill(tmp_path: Path) -> None:
    home, chance = tmp_path / "home", random.Random(scale.seed())  # noqa: S311 - the chance of a test
    home.mkdir(mode=0o700)
    last = -1
    for _ in range(scale.scale(200)):
        last = killed_run(home, last + 1, chance)
        store = NodeStore(home)
        names = {int(record.labels.display_name) for record in store.nodes.values()}
        newest = max(names)
        assert last <= newest <= last + 1, "an acknowledged change was lost, or more than one came unacknowledged"
        assert names == set(range(max(0, newest - NODES + 1), newest + 1))
        for record in store.nodes.values():
            number = int(record.labels.display_name)
            assert record.node_id == identity(number % NODES).device_id
            assert (record.revoked_at is not None) == (number % 3 == 0)
        last = newest
