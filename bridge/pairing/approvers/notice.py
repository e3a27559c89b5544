"""Tells a person at the Mac that somebody was let in by a one-time code: nobody was asked, so somebody is told."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TextIO

from bridge.cli.terminal import terminal_safe
from bridge.pairing.approvers.macos import KILL_WAIT_S, OSASCRIPT, environment_of
from bridge.pairing.approvers.wording import TITLE
from bridge.pairing.records import NodeRecord, clean_label

PATIENCE_S = 10.0  # seconds for a notification to be handed to the system
SCRIPT = (
    "on run argv",
    'if item 1 of argv is "--" then set argv to rest of argv',
    "set {theTitle, theText} to argv",
    # Standard Additions, display notification: both are text, whatever stands in them.
    "display notification theText with title theTitle",
    "end run",
)
"""The script, line by line; what a device said reaches it as an argument."""


def words_for(record: NodeRecord) -> str:
    """What is told of a node that came in by a code."""
    name = clean_label(record.labels.display_name, "A device")
    return f"{name} was paired by a one-time code. To take that back: clawdis-bridge nodes revoke {record.node_id[:12]}"


class Notifier(Protocol):
    """One way to tell a person something that needs no answer."""

    async def tell(self, text: str) -> None:
        """Tells it; a failure is an exception, and changes nothing."""


class MacOsNotice:
    """A notification of macOS, shown by `osascript`.

    Args:
        osascript: the program.
        environment: the daemon's; only what a notification needs is handed on.
    """

    def __init__(self, osascript: Path = OSASCRIPT, environment: Mapping[str, str] = os.environ) -> None:
        self._osascript = osascript
        self._environment = environment_of(environment)

    async def tell(self, text: str) -> None:
        """Hands it to the system; does not wait for anybody to read it.

        Raises:
            OSError: the program cannot be started.
            TimeoutError: it did not end in time, and was killed.
        """
        script = [part for line in SCRIPT for part in ("-e", line)]
        process = await asyncio.create_subprocess_exec(
            str(self._osascript),
            *script,
            "--",
            TITLE,
            text,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=self._environment,
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                with suppress(TimeoutError):
                    async with asyncio.timeout(KILL_WAIT_S):
                        await process.wait()


class TerminalNotice:
    """A line on the terminal that the daemon runs in."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out if out is not None else sys.stdout

    async def tell(self, text: str) -> None:
        """Writes it."""
        encoding = self._out.encoding or "utf-8"
        line = f"\n--- {TITLE}: {terminal_safe(text)}\n"
        self._out.write(line.encode(encoding, "backslashreplace").decode(encoding))
        self._out.flush()
