"""Pure: an entry of the audit log as a person reads it, and what it means when one is not as it was written."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text

from bridge.audit.entry import Entry, Value
from bridge.audit.verification import Break, Why
from bridge.cli.terminal import terminal_safe

_SHORT_ID = 12
_COLOURS = {
    "approval": "green",
    "revoke": "bold red",
    "deny": "yellow",
    "limit": "yellow",
    "tls": "yellow",
    "key": "magenta",
    "token": "magenta",
    "policy": "magenta",
    "audit": "cyan",
}
_WIDTHS = (8, 18)  # columns of kind and event; what is longer pushes the rest to the right
_FIRST = ("node", "name", "role", "address", "command", "ok", "code", "rule")

_MEANINGS = {
    Why.DAMAGED: "A line there is no entry: it was written over, or the disk has lost it.",
    Why.CHANGED: "The entry was changed after it was written.",
    Why.MISSING: "The entry is missing: it was removed, or others were added or put in another order.",
    Why.UNCHAINED: "It does not continue the entry before: one of the two was put in its place later.",
    Why.CUT: "The log ends too early: its last entries were removed.",
    Why.HEAD: "It is not the entry that the database knows: the end of the log was written anew.",
    Why.NO_HEAD: "The database (bridge.sqlite3) knows nothing of this log: it was removed or replaced, so nobody can "
    "tell whether entries are missing at the end.",
    Why.BEYOND: "There are more entries than the bridge has written: somebody has added some.",
    Why.GAP: "When the bridge started, the log was not as the bridge had left it",
    Why.UNFINISHED: "A line in the middle has no end.",
}


def meaning(broken: Break) -> str:
    """Returns in words what is wrong at a place."""
    said = _MEANINGS[broken.why]
    if broken.why is Why.GAP:
        return f"{said}: {broken.detail}." if broken.detail else f"{said}."
    return f"{said} ({broken.detail})" if broken.detail else said


def line_of(each: Entry | bytes) -> Text:
    """Returns an entry as one line: when, what, and about whom; a line that is none is shown as it is, marked."""
    if isinstance(each, bytes):
        shown = terminal_safe(each.decode("utf-8", "backslashreplace").rstrip("\n"))
        return Text.assemble(("damaged line  ", "bold red"), shown)
    said = each.draft
    line = Text.assemble(
        (_moment(said.ts), "dim"),
        "  ",
        (terminal_safe(said.kind).ljust(_WIDTHS[0]), _COLOURS.get(said.kind, "")),
        "  ",
        (terminal_safe(said.event).ljust(_WIDTHS[1]), "bold"),
    )
    names = [name for name in _FIRST if name in said.fields]
    names += [name for name in said.fields if name not in _FIRST]
    for name in names:
        line.append("  ")
        line.append(f"{terminal_safe(name)}=", "dim")
        line.append(terminal_safe(_value(name, said.fields[name])))
    return line


def _moment(ts: str) -> str:
    """The moment on the local clock, as logs have it."""
    try:
        return datetime.fromisoformat(ts).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return terminal_safe(ts)


def _value(name: str, value: Value) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ",".join(map(str, value)) or "none"
        case str() if name == "node":
            return value[:_SHORT_ID]
        case str() if name in {"first", "last"}:
            return _moment(value)
        case str():
            return f'"{value}"' if " " in value or not value else value
        case _:
            return str(value)
