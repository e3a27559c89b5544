"""`make bench`: prints the cost of the hot pieces and writes them to `build/bench.json`.

Absolute figures move with the machine and its load; compare runs of one sitting.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson

from acl.engine import decide
from acl.model import Call, Direction, Policy, Subject
from acl.permissions import PROFILES
from bridge.lan.node_calls import read_result
from gateway_client.frames import Bounds, Request, encode_frame, parse_frame

ROUNDS = 5
OUT = Path("build/bench.json")
NODE = "ab" * 32
BOUNDS = Bounds(max_bytes=26_214_400)


def result_frame(size: int) -> bytes:
    """Returns a `node.invoke.result` whose payload text has so many bytes."""
    params = {"id": "1" * 36, "nodeId": NODE, "ok": True, "payloadJSON": json.dumps({"base64": "x" * size})}
    return orjson.dumps({"type": "req", "id": "r1", "method": "node.invoke.result", "params": params})


def microseconds(work: Callable[[], object], times: int) -> list[float]:
    """Returns the microseconds that one call takes, a figure per round."""
    rounds: list[float] = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(times):
            work()
        rounds.append((time.perf_counter() - started) / times * 1e6)
    return rounds


def relay_result(data: bytes) -> bytes:
    """Does what the bridge does with a result: read it strictly, rebuild it, write it."""
    frame = parse_frame(data, BOUNDS)
    if not isinstance(frame, Request):
        raise TypeError("the benchmark's frame is a request")
    return encode_frame(Request("1", frame.method, read_result(frame.params, NODE).upstream("cd" * 32)))


def cold_start() -> object:
    """Runs `clawdis-bridge status` without a daemon, as a new process."""
    command = [sys.executable, "-m", "bridge", "status", "--home", "/nonexistent"]
    return subprocess.run(command, capture_output=True, check=False)


def main() -> int:
    """Measures, prints, writes."""
    subject = Subject(NODE, PROFILES["phone"])
    allowed, denied = Call(Direction.TO_NODE, "screen.navigate"), Call(Direction.TO_NODE, "system.run")
    policy = Policy()
    small, middle, big = result_frame(100), result_frame(10_000), result_frame(1_000_000)
    work: dict[str, tuple[Callable[[], object], int]] = {
        "policy decision, allowed": (lambda: decide(policy, subject, allowed), 20_000),
        "policy decision, denied": (lambda: decide(policy, subject, denied), 20_000),
        "orjson alone, 100 B result": (lambda: orjson.dumps(orjson.loads(small)), 10_000),
        "result read and rebuilt, 100 B": (lambda: relay_result(small), 10_000),
        "result read and rebuilt, 10 kB": (lambda: relay_result(middle), 5_000),
        "result read and rebuilt, 1 MB": (lambda: relay_result(big), 20),
        "clawdis-bridge status, cold": (cold_start, 1),
    }
    figures: dict[str, dict[str, float]] = {}
    print(f"{'':34}{'median us':>12}{'min':>12}{'max':>12}   ({ROUNDS} rounds)")
    for name, (once, times) in work.items():
        rounds = microseconds(once, times)
        median = statistics.median(rounds)
        figures[name] = {"median_us": median, "min_us": min(rounds), "max_us": max(rounds)}
        print(f"{name:34}{median:12.1f}{min(rounds):12.1f}{max(rounds):12.1f}", flush=True)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"at": datetime.now(UTC).isoformat(), "figures": figures}, indent=1) + "\n")
    print(f"written to {OUT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
