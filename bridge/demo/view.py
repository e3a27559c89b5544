"""What the demo prints: numbered steps, who says what to whom, what that proves. On a terminal with colour."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

PACE_S = 0.12  # seconds between two lines on a terminal, so that a person can follow
NAME_WIDTH = 8  # columns of a speaker's name
_FANCY = {"right": "→", "left": "←", "good": "✓", "bad": "✗"}
_PLAIN = {"right": "->", "left": "<-", "good": "ok", "bad": "FAILED"}


class View:
    """Prints the story as it happens.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        self.proven: list[str] = []
        """What was shown to be so, in order."""
        self.step_title = ""
        """The step that runs, or ran last."""
        self._console = console
        self._number = 0
        self._marks = _FANCY if console.encoding.lower().startswith("utf") else _PLAIN
        self._pace_s = PACE_S if console.is_terminal else 0.0

    async def opening(self) -> None:
        """Says what is about to be shown."""
        await self._line(Text("The whole chain, on this machine only:", style="bold"))
        for name, words in (
            ("agent", "lives in the gateway and may use the phone"),
            ("gateway", "a small stand-in that behaves as OpenClaw's; listens on loopback only"),
            ("bridge", "the real daemon, in a process of its own with a temporary folder"),
            ("phone", "simulated; speaks as the app does: pinned TLS 1.3, signed challenge"),
            ("you", "the person at the Mac, who decides"),
        ):
            await self._line(Text.assemble(("  " + name.ljust(NAME_WIDTH), "cyan"), words))

    @asynccontextmanager
    async def step(self, title: str) -> AsyncIterator[None]:
        """Frames one step; a failure is left to the caller."""
        self._number += 1
        self.step_title = title
        self._console.print()
        await self._line(Text.assemble((f"{self._number:2} ", "bold cyan"), (title, "bold")))
        yield

    async def says(self, sender: str, receiver: str, text: str) -> None:
        """One message."""
        await self._message(sender, "right", receiver, text)

    async def hears(self, sender: str, receiver: str, text: str) -> None:
        """The answer to the message that `sender` sent to `receiver`."""
        await self._message(sender, "left", receiver, text)

    async def types(self, command: str) -> None:
        """A command that the person at the Mac runs."""
        await self._line(Text.assemble(("   you".ljust(NAME_WIDTH + 3), "cyan"), (f" $ {command}", "yellow")))

    async def proves(self, text: str) -> None:
        """What the step has shown."""
        self.proven.append(text)
        await self._line(Text(text, style="green"), Text(f"   {self._marks['good']} ", style="bold green"))

    def summary(self, seconds: float) -> None:
        """The end of a story in which everything held."""
        self._console.print()
        count = len(self.proven)
        self._console.print(
            Text(f"{self._marks['good']} {count} things proven in {seconds:.1f} s:", style="bold green")
        )
        for text in self.proven:
            self._print(Text(text), Text("   "))
        self._console.print()
        self._console.print(Text("Nothing is left behind. Your own gateway and bridge were not touched."))
        self._console.print(Text("For your own phone: clawdis-bridge run, then clawdis-bridge pair --qr"))

    def failure(self, expected: str, observed: str, folder: Path) -> None:
        """The end of a story in which something did not hold."""
        self._console.print()
        title = f"{self._marks['bad']} Step {self._number} failed: {self.step_title}"
        self._console.print(Text(title, style="bold red"))
        for name, words in (("Expected:", expected), ("Instead:", observed), ("Logs:", str(folder / "bridge.log"))):
            self._print(Text(words), Text(f"   {name.ljust(9)} "))

    async def _message(self, sender: str, arrow: str, receiver: str, text: str) -> None:
        head = f"   {sender.ljust(NAME_WIDTH)} {self._marks[arrow]} {receiver.ljust(NAME_WIDTH)} "
        await self._line(Text(text), Text(head, style="cyan"))

    async def _line(self, text: Text, head: Text | None = None) -> None:
        self._print(text, head or Text())
        if self._pace_s:
            await asyncio.sleep(self._pace_s)

    def _print(self, text: Text, head: Text) -> None:
        """Prints one line; on a terminal a long text goes on below itself, in a file a line stays a line."""
        if not head or not self._console.is_terminal:
            self._console.print(head + text, soft_wrap=not self._console.is_terminal)
            return
        grid = Table.grid()
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(head, text)
        self._console.print(grid)


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._start
