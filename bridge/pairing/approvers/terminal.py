"""A prompt on the terminal that the daemon runs in."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import termios
from typing import TextIO

from bridge.cli.terminal import terminal_safe
from bridge.pairing.approvers.approver import Again, Answer, Deny, Later, NoAnswer, Prompt, approval
from bridge.pairing.approvers.wording import TITLE, full_text

MAX_LINE_BYTES = 4096  # a terminal hands over no longer line
_USUAL_COLUMNS = 80  # of a terminal that does not know how wide it is
_CLOSED = "(This question is closed.)"
_NO = frozenset({"d", "deny", "n", "no"})
_ANSWERS_PLAIN = "Type yes to approve, no to deny, or press Return to leave it: "
_ANSWERS_CODE = "Type the code, deny to turn it down, or press Return to leave it: "
_MEANT_PLAIN = "Answer with yes or no in full, or press Return to leave it."


class TerminalFailed(Exception):
    """The terminal is not ours to ask at."""


class TerminalPrompt:
    """Asks on a terminal and reads one line.

    Args:
        source: file descriptor of the terminal to read from.
        out: where the question is written, the same terminal.
    """

    name = "terminal"

    def __init__(self, source: int = 0, out: TextIO | None = None) -> None:
        self._source = source
        self._out = out if out is not None else sys.stdout

    async def ask(self, prompt: Prompt) -> Answer:
        """Asks once. Cancelling says on the terminal that the question is closed.

        Raises:
            TerminalFailed: the daemon runs in the background of its terminal.
            OSError: there is no terminal any more.
        """
        self._require_foreground()
        termios.tcflush(self._source, termios.TCIFLUSH)  # what was typed before the question is no answer to it
        columns = os.get_terminal_size(self._source).columns or _USUAL_COLUMNS
        self._write("\n" + _shown(prompt, columns) + "\n" + (_ANSWERS_PLAIN if prompt.code_less else _ANSWERS_CODE))
        try:
            line = await self._line()
        except asyncio.CancelledError:
            self._write(f"\n{_CLOSED}\n")
            raise
        return _answer(prompt, line)

    def _require_foreground(self) -> None:
        """Reading in the background would stop the whole daemon (SIGTTIN, termios(4))."""
        try:
            foreground = os.tcgetpgrp(self._source)
        except OSError as exc:
            if exc.errno == errno.ENOTTY:  # not the terminal that controls us: it stops nobody
                return
            raise
        if foreground != os.getpgrp():
            raise TerminalFailed("the bridge is not in the foreground of its terminal")

    def _write(self, text: str) -> None:
        encoding = self._out.encoding or "utf-8"
        self._out.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self._out.flush()

    async def _line(self) -> bytes:
        """The next line that is typed; empty when the terminal has ended."""
        loop = asyncio.get_running_loop()
        line: asyncio.Future[bytes] = loop.create_future()
        loop.add_reader(self._source, self._read, line)
        try:
            return await line
        finally:
            loop.remove_reader(self._source)

    def _read(self, line: asyncio.Future[bytes]) -> None:
        if line.done():
            return
        try:
            self._require_foreground()
            line.set_result(os.read(self._source, MAX_LINE_BYTES))
        except (OSError, TerminalFailed) as exc:
            line.set_exception(exc)


def _shown(prompt: Prompt, columns: int) -> str:
    """The whole question; every line of it is escaped by itself, so that lines are ours alone."""
    lines = [f"--- {TITLE} ---", *full_text(prompt, columns).split("\n")]
    return "\n".join(terminal_safe(line) for line in lines)


def _answer(prompt: Prompt, line: bytes) -> Answer:
    if not line:
        return NoAnswer()
    text = line.decode(errors="replace").strip()
    if not text:
        return Later()
    if text.lower() in _NO:
        return Deny()
    if prompt.code_less and text.lower() != "yes":
        return Again(_MEANT_PLAIN)
    return approval(prompt, text)
