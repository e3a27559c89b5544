"""The command line: one file per group of commands, each a thin page over `bridge.control.client`.

Nothing here imports the daemon's libraries until a command needs them: `status` answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: what follows the program's name; None: those of the process.

    Returns:
        0 done, 1 refused or failed, 2 usage, 3 daemon not running, 4 gateway not connected.
    """
    from bridge.cli.app import run_command

    return run_command(arguments)
