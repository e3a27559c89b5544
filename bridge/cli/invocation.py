"""What every command of one invocation shares."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bridge.control.client import ControlClient
from bridge.control.socket_file import SOCKET_NAME

PROGRAM = "clawdis-bridge"

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
"""The option that every command has."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of the program.

    Attributes:
        home: folder of the bridge's state.
        home_option: what `--home` said; None when it was not given.
    """

    home: Path
    home_option: str | None = None

    def command(self, *words: str) -> str:
        """A command for the user to copy, aimed at the same home as this one."""
        home = [] if self.home_option is None else ["--home", self.home_option]
        return shlex.join([PROGRAM, *home, *words])

    def client(self) -> ControlClient:
        """The daemon of this home."""
        return ControlClient(self.home / SOCKET_NAME, run_command=self.command("run"))


def invocation_of(ctx: typer.Context) -> Invocation:
    """The invocation that a command belongs to.

    Raises:
        RuntimeError: the command was called without the program around it.
    """
    found = ctx.find_object(Invocation)
    if found is None:
        raise RuntimeError("a command runs only as part of the program")
    return found
