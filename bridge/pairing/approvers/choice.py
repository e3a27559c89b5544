"""Which approvers there are on this machine."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from bridge.config import PromptSetting
from bridge.pairing.approvers.approver import Approver
from bridge.pairing.approvers.macos import OSASCRIPT, MacOsDialog
from bridge.pairing.approvers.notice import MacOsNotice, Notifier, TerminalNotice
from bridge.pairing.approvers.terminal import TerminalPrompt

_BY_HAND = 'Requests wait for `clawdis-bridge pending` and `approve`. Set pairing.prompt to "auto" or "none".'


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who asks.

    Attributes:
        approvers: in no order; none when nobody is to be asked, or can be.
        notifiers: who is told what needs no answer; likewise.
        problem: what is wrong with the setting and what to do, whole sentences; None: nothing.
    """

    approvers: tuple[Approver, ...]
    notifiers: tuple[Notifier, ...] = ()
    problem: str | None = None


def choose_approvers(
    setting: PromptSetting,
    *,
    platform: str = sys.platform,
    on_terminal: bool | None = None,
    osascript: Path = OSASCRIPT,
) -> Chosen:
    """The approvers that a setting means here. One that is asked for and missing is a problem, not an error.

    Args:
        setting: `pairing.prompt` of the configuration.
        platform: as `sys.platform`.
        on_terminal: whether standard input and output are a terminal; None: look.
        osascript: where the program is on a Mac.
    """
    terminal = _on_terminal() if on_terminal is None else on_terminal
    dialog = platform == "darwin" and os.access(osascript, os.X_OK)
    approvers: list[Approver] = []
    notifiers: list[Notifier] = []
    if dialog and setting in ("auto", "macos"):
        approvers.append(MacOsDialog(osascript))
        notifiers.append(MacOsNotice(osascript))
    if terminal and setting in ("auto", "terminal"):
        approvers.append(TerminalPrompt())
        notifiers.append(TerminalNotice())
    if setting == "macos" and not dialog:
        return Chosen((), (), f'pairing.prompt is "macos", and there is no {osascript} on this machine. {_BY_HAND}')
    if setting == "terminal" and not terminal:
        return Chosen((), (), f'pairing.prompt is "terminal", and the bridge does not run in one. {_BY_HAND}')
    return Chosen(tuple(approvers), tuple(notifiers))


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
