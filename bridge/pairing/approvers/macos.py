"""The dialog of macOS, shown by `osascript`.

The script is a constant; whatever a device said reaches it as an argument, which AppleScript takes as text and never as
code. No shell is involved. The dialog belongs to the `osascript` process and goes with it.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from bridge.pairing.approvers.approver import Again, Answer, Deny, Later, NoAnswer, Prompt, approval
from bridge.pairing.approvers.wording import TITLE, full_text

OSASCRIPT = Path("/usr/bin/osascript")
MAX_OUTPUT_BYTES = 4096  # a word and what was typed into a field of one line
KILL_WAIT_S = 2.0  # seconds for a killed process to be gone and its pipes to be empty
_ENVIRONMENT = ("HOME", "USER", "LOGNAME", "TMPDIR", "__CF_USER_TEXT_ENCODING")  # and nothing secret of the daemon's
_SAID = re.compile(r"(approve|deny|later|nobody):([^\n]*)\n?")
_CLICK = "To let it in, click Approve."

SCRIPT = (
    # osascript(1): what follows the script is given to the `run` handler as a list of text.
    "on run argv",
    # getopt takes away the `--` that ends the options; should it ever be handed on, it is none of our values.
    'if item 1 of argv is "--" then set argv to rest of argv',
    # Names with "the": no dictionary has a word like them (`kind` and `message` are words of Standard Additions).
    "set {theKind, theTitle, theText, theSeconds} to argv",
    # To the front, or the person may not see it; the dialog is as good without.
    "try",
    "activate",
    "end try",
    # Standard Additions, display dialog: where `buttons` are given, only what is named is the default or cancel button;
    # `default answer` makes the text field; `giving up after` closes the dialog should nobody be left to close it.
    'if theKind is "code" then',
    'set theReply to display dialog theText with title theTitle default answer "" '
    'buttons {"Deny", "Not Now", "Approve"} default button "Not Now" giving up after (theSeconds as integer)',
    "else",
    "set theReply to display dialog theText with title theTitle "
    'buttons {"Deny", "Not Now", "Approve"} default button "Not Now" giving up after (theSeconds as integer)',
    "end if",
    # `gave up` is in the reply because of `giving up after`, `text returned` because of `default answer`.
    'if gave up of theReply then return "nobody:"',
    'set theTyped to ""',
    'if theKind is "code" then set theTyped to text returned of theReply',
    "set theButton to button returned of theReply",
    'if theButton is "Approve" then return "approve:" & theTyped',
    'if theButton is "Deny" then return "deny:"',
    'return "later:" & theTyped',
    "end run",
)
"""The script, line by line. Its buttons never change; Approve is not the default one."""


class DialogFailed(Exception):
    """`osascript` showed no dialog, or said something that its script never says."""


class MacOsDialog:
    """Asks by a dialog on the desktop of the user that the daemon runs as.

    Args:
        osascript: the program.
        environment: the daemon's; only what a dialog needs is handed on.
    """

    name = "macos"

    def __init__(self, osascript: Path = OSASCRIPT, environment: Mapping[str, str] = os.environ) -> None:
        self._osascript = osascript
        self._environment = environment_of(environment)

    async def ask(self, prompt: Prompt) -> Answer:
        """Shows one dialog and waits for a button. Cancelling closes it.

        Raises:
            DialogFailed: there was no dialog, or no answer that can be understood.
            OSError: the program cannot be started.
        """
        async with self._running(prompt) as process:
            said = await _bounded(process.stdout)
            if await process.wait() != 0:
                complaint = await _bounded(process.stderr)
                raise DialogFailed(f"osascript ended with {process.returncode}: {_one_line(complaint)}")
        return _answer(prompt, said)

    @asynccontextmanager
    async def _running(self, prompt: Prompt) -> AsyncIterator[asyncio.subprocess.Process]:
        """The dialog's process, which does not outlive the block: neither it nor what it has started."""
        process = await asyncio.create_subprocess_exec(
            str(self._osascript),
            *arguments(prompt),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the process and its group unless it has ended, and let go of its pipes."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):  # macOS refuses signals to what has just ended
            os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(KILL_WAIT_S):
            await process.communicate()  # a pipe that is not read to its end stays open


def environment_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of the daemon's environment that a program on the desktop needs."""
    return {name: environment[name] for name in _ENVIRONMENT if name in environment}


def arguments(prompt: Prompt) -> list[str]:
    """What `osascript` is called with: the script, `--`, and the values."""
    script = [part for line in SCRIPT for part in ("-e", line)]
    kind = "plain" if prompt.code_less else "code"
    patience = str(max(1, math.ceil(prompt.timeout_s)))
    return [*script, "--", kind, TITLE, full_text(prompt), patience]


async def _bounded(stream: asyncio.StreamReader | None) -> bytes:
    """Everything until the end of a stream.

    Raises:
        DialogFailed: it is more than the script could ever say.
    """
    said = b""
    while stream is not None and (piece := await stream.read(MAX_OUTPUT_BYTES)):
        said += piece
        if len(said) > MAX_OUTPUT_BYTES:
            raise DialogFailed(f"osascript said more than {MAX_OUTPUT_BYTES} bytes")
    return said


def _one_line(complaint: bytes) -> str:
    return " ".join(complaint.decode(errors="replace").split())


def _answer(prompt: Prompt, said: bytes) -> Answer:
    found = _SAID.fullmatch(said.decode(errors="replace"))
    if found is None:
        raise DialogFailed("osascript gave an answer that is none")
    match found.groups():
        case ("approve", typed):
            return approval(prompt, typed)
        case ("later", ""):
            return Later()
        case ("later", _):
            return Again(_CLICK)  # the Return key after the code presses the default button
        case ("deny", ""):
            return Deny()
        case ("nobody", ""):
            return NoAnswer()
        case _:
            raise DialogFailed("osascript gave an answer that is none")
