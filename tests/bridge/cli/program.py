"""Running the program: in this process for its output and status, in a pseudo-terminal for what only a person sees."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.cli import main

ROOT = Path(__file__).resolve().parents[3]
START = "import sys; from bridge.cli import main; sys.exit(main())"
LIMIT_S = 30.0


@dataclass(frozen=True)
class Result:
    """What a run left behind."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Program:
    """The program with one home, in this process; nothing is a terminal."""

    home: Path
    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Result:
        self.capture.readouterr()
        status = main(["--home", str(self.home), *arguments])
        captured = self.capture.readouterr()
        return Result(status, captured.out, captured.err)


def command_line(*arguments: str, script: str = START) -> list[str]:
    """The program as a process of its own."""
    return [sys.executable, "-c", script, *arguments]


def in_pipe(
    *arguments: str, text: str = "", script: str = START, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Runs the program as a process of its own, with text on its standard input and its output in pipes."""
    return subprocess.run(
        command_line(*arguments, script=script),
        input=text.encode(),
        capture_output=True,
        env={**os.environ, **environment},
        cwd=ROOT,
        timeout=LIMIT_S,
        check=False,
    )


def on_terminal(
    arguments: Sequence[str], answers: str = "", *, secrets: Sequence[tuple[str, str]] = (), **environment: str
) -> tuple[int, str]:
    """Runs the program on a terminal of 120 columns; returns status and what it showed.

    In a session of its own: what asks for a secret would otherwise ask on the terminal that the tests run on.

    Args:
        arguments: of the program.
        answers: what is typed at once.
        secrets: prompts, and what is typed once each is shown: what was typed before it is thrown away.
        environment: more of it.
    """
    ours, theirs = pty.openpty()
    settings = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "60", **environment}
    with subprocess.Popen(
        command_line(*arguments),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=settings,
        cwd=ROOT,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        os.write(ours, answers.encode())
        shown = b""
        for prompt, answer in secrets:
            shown += _read_all(ours, until=prompt.encode())
            os.write(ours, answer.encode())
        shown += _read_all(ours)
        try:
            status = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    os.close(ours)
    return status, shown.decode()


def _read_all(descriptor: int, until: bytes | None = None) -> bytes:
    """Everything until the other side of a terminal is closed, or until something is shown."""
    shown = b""
    deadline = time.monotonic() + LIMIT_S
    while select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:  # Linux's way to say that the other side is closed
            break
        if not piece:
            break
        shown += piece
        if until is not None and until in shown:
            break
    return shown
