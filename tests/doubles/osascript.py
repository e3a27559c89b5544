"""A stand-in for macOS's `osascript`: a program that writes down how it was called and answers as it was told.

It knows of AppleScript only what the arguments show, so it is strict about them: `-e LINE` any number of times, then
`--`, then values.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = """#!{python} -I
import json, os, pathlib, subprocess, sys, time
folder = pathlib.Path({folder!r})
told = json.loads((folder / "told.json").read_text())
call = {{"argv": sys.argv[1:], "environment": dict(os.environ), "pid": os.getpid(), "group": os.getpgid(0)}}
if told["child"]:
    call["child"] = subprocess.Popen(["sleep", "600"]).pid
(folder / "call.part").write_text(json.dumps(call))
(folder / "call.part").rename(folder / f"call-{{time.monotonic_ns()}}.json")
sys.stderr.write(told["complaint"])
sys.stdout.write(told["says"])
sys.stdout.flush()
if told["waits"]:
    time.sleep(600)
sys.exit(told["status"])
"""


@dataclass(frozen=True)
class Call:
    """One run of the program.

    Attributes:
        argv: its arguments.
        environment: its environment.
        pids: the process, and its child if it was told to have one.
        group: its process group.
    """

    argv: list[str]
    environment: dict[str, str]
    pids: list[int]
    group: int

    @property
    def script(self) -> list[str]:
        """The lines given with `-e`; everything before `--` must be such."""
        options = self.argv[: self.argv.index("--")]
        assert options[::2] == ["-e"] * (len(options) // 2), options
        return options[1::2]

    @property
    def values(self) -> list[str]:
        """What follows the first `--`."""
        return self.argv[self.argv.index("--") + 1 :]


class Osascript:
    """The program in a folder, with the tests' side of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self.path = folder / "osascript"
        self.path.write_text(PROGRAM.format(python=sys.executable, folder=str(folder)))
        self.path.chmod(0o700)
        self.tell()

    def tell(
        self, says: str = "", *, status: int = 0, complaint: str = "", waits: bool = False, child: bool = False
    ) -> None:
        """Decide what the next runs do: what they say, how they end, or that a person thinks it over."""
        told: dict[str, Any] = {"says": says, "status": status, "complaint": complaint, "waits": waits, "child": child}
        (self._folder / "told.json").write_text(json.dumps(told))

    def calls(self) -> list[Call]:
        """Return the runs so far."""
        found = [json.loads(path.read_text()) for path in sorted(self._folder.glob("call-*.json"))]
        return [
            Call(each["argv"], each["environment"], [each["pid"], *([each["child"]] if "child" in each else [])],
                 each["group"])
            for each in found
        ]  # fmt: skip

    def call(self) -> Call:
        """Return the only run."""
        calls = self.calls()
        assert len(calls) == 1, calls
        return calls[0]


def alive(pid: int) -> bool:
    """Tell whether a process still runs; one that only waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
