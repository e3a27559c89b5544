"""What every command of one invocation shares."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bridge.control.client import ControlClient
from bridge.control.socket_file import SOCKET_NAME

PROGRAM = "clawdis-bridge"

COMMANDS = (
    "run", "status", "pair", "pending", "approve", "deny", "nodes", "tokens", "certs", "acl", "policy", "audit",
    "backup", "restore", "demo",
)  # fmt: skip
"""What the program can be told to do."""

_ADVICE = re.compile(rf"\b{PROGRAM}(?= (?:{'|'.join(COMMANDS)})\b)")

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
        return shlex.join([*_start(self.home_option), *words])

    def aimed(self, advice: str) -> str:
        """See `aimed`."""
        return aimed(advice, self.home_option)

    def client(self) -> ControlClient:
        """The daemon of this home."""
        return ControlClient(self.home / SOCKET_NAME, run_command=self.command("run"))


def aimed(advice: str, home_option: str | None) -> str:
    """Advice that knows of no other home, as the daemon's, with its commands aimed at the one that `--home` named."""
    start = shlex.join(_start(home_option))
    return _ADVICE.sub(lambda _: start, advice)


def _start(home_option: str | None) -> list[str]:
    return [PROGRAM] if home_option is None else [PROGRAM, "--home", home_option]


def invocation_of(ctx: typer.Context) -> Invocation:
    """The invocation that a command belongs to.

    Raises:
        RuntimeError: the command was called without the program around it.
    """
    found = ctx.find_object(Invocation)
    if found is None:
        raise RuntimeError("a command runs only as part of the program")
    return found
