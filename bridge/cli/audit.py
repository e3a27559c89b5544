"""`clawdis-bridge audit`: what happened, and whether the record of it is as it was written.

Both commands read the files, so they work whether or not the bridge runs.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bridge.audit.entry import Entry
from bridge.audit.files import FOLDER, log_files
from bridge.audit.inspection import Verdict, verify
from bridge.audit.kinds import KINDS
from bridge.audit.reading import Wanted, follow, newest
from bridge.cli.audit_words import line_of, meaning
from bridge.cli.invocation import AsJson, Invocation, invocation_of
from bridge.cli.output import advise, fields, page, print_json, safe
from bridge.control.audit_documents import AuditVerdict
from bridge.errors import EXIT_FAILED, RefusedError, UsageError
from bridge.pairing.database import FILE_NAME

app = typer.Typer(help="What happened, and whether the record of it was changed.", no_args_is_help=True)

MAX_LINES = 100_000  # entries that `tail` holds in memory, some 1 KiB each


@app.command()
def tail(
    ctx: typer.Context,
    lines: Annotated[int, typer.Option("-n", "--lines", metavar="N", min=0, max=MAX_LINES, help="How many.")] = 20,
    following: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what is written from now on.")] = False,
    node: Annotated[str | None, typer.Option(metavar="ID", help="Only of this node; the id or its beginning.")] = None,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help=f"Only one of: {', '.join(KINDS)}.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the newest entries, the oldest of them first, one per line.

    Works whether or not the bridge runs.
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"There is no kind '{kind}'.", f"There are: {', '.join(KINDS)}.")
    invocation = invocation_of(ctx)
    folder = invocation.home / FOLDER

    wanted = Wanted(node, kind)
    if not log_files(folder) and not as_json:
        page().print("Nothing has been written yet. The log begins with the bridge:")
        advise(page(), invocation.command("run"))
    if not log_files(folder) and not following:
        return
    later = follow(folder, wanted) if following else iter(())
    with suppress(KeyboardInterrupt):
        _print_all(newest(folder, lines, wanted), later, as_json=as_json)


def _print_all(first: Iterator[Entry | bytes], later: Iterator[Entry | bytes | None], *, as_json: bool) -> None:
    """Prints entries until there are no more, or until nobody reads them."""
    console, last = page(), 0
    try:
        for each in chain(first, later):
            if each is None:
                sys.stdout.flush()
            elif isinstance(each, bytes) or each.seq > last:  # what came between is in both
                _print(console, each, as_json=as_json)
                last = last if isinstance(each, bytes) else each.seq
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at its end


def _print(console: Console, each: Entry | bytes, *, as_json: bool) -> None:
    if not as_json:
        console.print(line_of(each), soft_wrap=True)
    elif isinstance(each, bytes):
        print(_one_line({"damaged": each.decode("ascii", "backslashreplace").strip()}))
    else:
        said = each.draft
        whole = {"seq": each.seq, "ts": said.ts, "kind": said.kind, "event": said.event, **said.fields}
        print(_one_line({**whole, "prev": each.prev, "hash": each.hash}))


def _one_line(document: dict[str, object]) -> str:
    return json.dumps(document, separators=(",", ":")).replace("\x7f", "\\u007f")


@app.command("verify")
def verify_log(
    ctx: typer.Context,
    since: Annotated[
        int, typer.Option("--from", metavar="N", min=1, help="Look only at the entries from this number on.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Check that no entry was changed, removed, added or put elsewhere.

    Ends with status 1 when one was. Works whether or not the bridge runs.
    """
    invocation = invocation_of(ctx)
    folder = invocation.home / FOLDER
    verdict = verify(folder, invocation.home / FILE_NAME, since)
    if since > 1 and not verdict.events and verdict.broken is None:  # what was not looked at is not vouched for
        newest_one = invocation.command("audit", "tail", "-n", "1", "--json")
        raise RefusedError(f"There is no entry with number {since} or a later one.", f"See the newest: {newest_one}")
    document = _document(verdict, folder, invocation)
    if as_json:
        print_json(document)
    else:
        _print_verdict(page(), document, folder, invocation)
    if not document.ok:
        raise typer.Exit(EXIT_FAILED)


def _document(verdict: Verdict, folder: Path, invocation: Invocation) -> AuditVerdict:
    broken = verdict.broken
    known = AuditVerdict(
        ok=broken is None,
        events=verdict.events,
        last=verdict.last.count,
        hash=verdict.last.hash,
        pruned=verdict.pruned,
        unfinished=verdict.unfinished,
    )
    if broken is None:
        return known
    aside = shlex.join(["cp", "-a", str(folder), f"{folder}.evidence"])
    update = {
        "broken_at": broken.seq,
        "why": broken.why.value,
        "file": str(verdict.file) if verdict.file is not None else None,
        "line": verdict.line,
        "detail": meaning(broken),
        "whole_after": broken.after or broken.seq + 1,
        "fix": f"Keep it as it is before anything else: {aside}",
    }
    return known.model_copy(update=update)


def _print_verdict(console: Console, document: AuditVerdict, folder: Path, invocation: Invocation) -> None:
    if document.ok:
        _print_good(console, document, folder)
        return
    console.print(safe("The audit log is not as it was written.", "bold red"))
    where = f"{document.file}, line {document.line}" if document.file is not None else str(folder)
    rows = [
        ("First bad entry", safe(str(document.broken_at))),
        ("Seen in", safe(where)),
        ("What it means", safe(document.detail or "")),
        ("Good before it", safe(f"{document.events:,} entries, up to number {document.last}")),
    ]
    console.print(fields(rows), soft_wrap=False)
    console.print("Keep it as it is before anything else:")
    advise(console, (document.fix or "").partition(": ")[2])
    console.print("If you know the cause, look only at what was written after it:")
    advise(console, invocation.command("audit", "verify", "--from", str(document.whole_after)))


def _print_good(console: Console, document: AuditVerdict, folder: Path) -> None:
    if not document.last:
        console.print(safe(f"Nothing has been written in {folder} yet."))
        return
    console.print(safe("The audit log is as it was written.", "bold green"))
    rows = [("Entries", safe(f"{document.events:,}, up to number {document.last}"))]
    if document.pruned:
        rows.append(("Removed in time", safe(f"the first {document.pruned:,}; their files were the oldest")))
    if document.unfinished:
        rows.append(("Last line", safe("has no end: it is being written, or a crash has torn it")))
    rows.append(("Last hash", safe(document.hash)))
    console.print(fields(rows))
