"""How commands print: a page for a person, or a document for a program."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.cli.terminal import terminal_safe
from bridge.control.document import Document
from bridge.control.plain_words import in_plain_words

_PIPE_WIDTH = 200  # columns when nobody looks: long ids and addresses stay on one line
_SHOWN_COMMANDS = 4  # of those that one permission would grant
SHORT_ID = 12  # characters of an id on a page: 48 bits, unique on any LAN, and any prefix of 4 is accepted


def json_text(value: object) -> str:
    """JSON that holds printable ASCII and newlines only, so that no terminal obeys anything in it."""
    return json.dumps(value, indent=2).replace("\x7f", "\\u007f")


def print_json(answer: Document | Sequence[Document]) -> None:
    """Prints an answer exactly as design §17 lays it down."""
    print(json_text(answer.to_json() if isinstance(answer, Document) else [each.to_json() for each in answer]))


def page() -> Console:
    """Where a page is printed. Markup, emoji codes and highlighting are off: text is text."""
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(markup=False, emoji=False, highlight=False, width=_PIPE_WIDTH if piped else None)


def safe(text: str, style: str = "") -> Text:
    """Text from others, ready for a page."""
    return Text(terminal_safe(text), style=style)


def commands(names: Iterable[str]) -> Text:
    """A list of names that others chose, in one cell."""
    return safe(", ".join(names) or "none")


def fields(rows: Iterable[tuple[str, Text | str]]) -> Table:
    """A block of labels and values."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in rows:
        grid.add_row(label, value)
    return grid


def table(headings: Sequence[str], rows: Iterable[Sequence[Text | str]], *, whole: Sequence[str] = ()) -> Table:
    """A table without lines.

    Args:
        headings: one per column.
        rows: one cell per column each.
        whole: headings of the columns that are never broken into lines.
    """
    out = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for heading in headings:
        out.add_column(heading, overflow="fold", no_wrap=heading in whole)
    for row in rows:
        out.add_row(*row)
    return out


def permission_lines(permissions: Iterable[str], *, indent: int = 2) -> Table:
    """What permissions mean, one per line, so many columns in."""
    rows, margin = in_plain_words(permissions), " " * indent
    if not rows:
        return fields([(f"{margin}nothing", "it may connect and report its state")])
    return fields((f"{margin}{terminal_safe(name)}", words) for name, words in rows)


def not_granted_rows(lacking: Mapping[str, Sequence[str]]) -> list[tuple[str, Text]]:
    """Commands that are offered and not permitted, for `fields`: a line for each permission that would grant some."""
    rows: list[tuple[str, Text]] = []
    for permission, names in lacking.items():
        left = len(names) - _SHOWN_COMMANDS
        more = f" and {left} more" if left > 0 else ""
        text = safe(f"{', '.join(names[:_SHOWN_COMMANDS])}{more} (needs `{permission}`)", "yellow")
        rows.append(("" if rows else "  Not granted", text))
    return rows


def advise(console: Console, line: str) -> None:
    """A command on a line of its own, whole: it is there to be copied."""
    console.print(Text(f"  {terminal_safe(line)}", style="cyan"), soft_wrap=True)
