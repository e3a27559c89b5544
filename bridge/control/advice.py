"""Pure: the commands that a person is told to run."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence

ALLOW_PATH = "gateway.nodes.commands.allow"
"""The gateway's list of node commands that it lets through beside its defaults."""

_COMMAND = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._*-]{0,127}")  # the gateway's own list may hold families: canvas.*


def allow_line(already_allowed: Sequence[str] | None, withheld: Sequence[str]) -> str:
    """The `openclaw` command that makes the gateway let the withheld commands through.

    The gateway's CLI replaces the whole list (it refuses `--merge` on a list), so the line repeats what is allowed
    already. When that is not known, the line only writes if the gateway has no list yet, and then changes nothing
    else: it cannot take away what somebody allowed before.

    Args:
        already_allowed: the gateway's present list; None: it is not known.
        withheld: commands to add.

    Returns:
        A line for a POSIX shell; empty when nothing is withheld.

    Raises:
        ValueError: a name that no command can have; it would not be safe to paste.
    """
    if not withheld:
        return ""
    wanted = list(dict.fromkeys([*(already_allowed or ()), *withheld]))
    for name in wanted:
        if not _COMMAND.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a command")
    words = ["openclaw", "config", "set", ALLOW_PATH, json.dumps(wanted), "--strict-json"]
    if already_allowed is None:
        words.append("--expect-current-absent")
    return shlex.join(words)
