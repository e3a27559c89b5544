"""`clawdis-bridge backup` and `restore`: the bridge in one encrypted file, to keep or to move to another Mac."""

from __future__ import annotations

import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from bridge import __version__
from bridge.cli.invocation import AsJson, Invocation, invocation_of
from bridge.cli.moments import clock
from bridge.cli.output import advise, fields, page, print_json, safe
from bridge.cli.terminal import terminal_safe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.backup.archive import Archive
    from bridge.backup.reports import BackupReport, NodeCount, RestoreReport
    from bridge.pairing.records import NodeRecord

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Read the passphrase from the first line of this file (mode 0600); else: ask, or read standard input.",
    ),
]


def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; nothing is overwritten.")],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Write the bridge into one encrypted file.

    In it are its identity, its keys and the paired nodes. The bridge may run meanwhile.
    """
    from bridge.backup.archive_file import require_new
    from bridge.backup.passphrase import new_passphrase

    file = file.expanduser().absolute()
    require_new(file)
    invocation = invocation_of(ctx)
    passphrase = new_passphrase(passphrase_file)
    report = _make(invocation.home, file, passphrase)
    if as_json:
        print_json(report)
    else:
        _print_backup(report, invocation)


def _make(home: Path, file: Path, passphrase: str) -> BackupReport:
    from bridge.backup.archive import NONCE_BYTES, SALT_BYTES, Archive, ArchiveRefused, pack
    from bridge.backup.archive_file import write_new
    from bridge.backup.collect import collect
    from bridge.backup.errors import BackupError
    from bridge.backup.reports import BackupReport

    _progress("Reading the bridge's files ...")
    held = collect(home)
    archive = Archive(datetime.now(UTC), __version__, held.members)
    _progress("Encrypting ...")
    try:
        data = pack(archive, passphrase, salt=secrets.token_bytes(SALT_BYTES), nonce=secrets.token_bytes(NONCE_BYTES))
    except ArchiveRefused as exc:
        raise BackupError(f"{home} cannot be backed up: {exc}.") from exc
    _progress("Writing ...")
    write_new(file, data)
    return BackupReport(
        file=str(file),
        bytes=len(data),
        created_at=archive.created_at,
        pin=held.identity.pin,
        spki=held.identity.spki,
        nodes=_count(held.nodes),
        notes=held.notes,
    )


def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What 'backup' wrote.")],
    replace: Annotated[bool, typer.Option("--replace", help="Put aside the bridge that is there already.")] = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make this machine's bridge the one of a backup.

    Nodes that were revoked here or in the backup stay revoked.
    """
    from bridge.backup.archive_file import read_archive
    from bridge.backup.passphrase import known_passphrase
    from bridge.backup.restore import require_no_identity

    data = read_archive(file.expanduser())
    invocation = invocation_of(ctx)
    if not replace:
        require_no_identity(invocation.home)
    archive = _open(file, data, known_passphrase(passphrase_file))
    report = _put_back(invocation.home, archive, replace)
    if as_json:
        print_json(report)
    else:
        _print_restore(report, invocation)


def _open(file: Path, data: bytes, passphrase: str) -> Archive:
    from bridge.backup.archive import ArchiveRefused, WrongPassphrase, unpack
    from bridge.backup.errors import BackupError

    _progress("Decrypting ...")
    try:
        return unpack(data, passphrase)
    except WrongPassphrase as exc:
        raise BackupError(
            f"{file} does not open: {exc}.", "Try again with the passphrase that it was made with."
        ) from exc
    except ArchiveRefused as exc:
        raise BackupError(f"{file} cannot be restored: {exc}.", "Use another copy of it, or another backup.") from exc


def _put_back(home: Path, archive: Archive, replace: bool) -> RestoreReport:
    from bridge.backup.reports import RestoreReport
    from bridge.backup.restore import restore as put_back

    _progress("Checking and restoring ...")
    done = put_back(home, archive, replace=replace, now=datetime.now(UTC))
    left = (f"{path} is left of a restore that was cut off. Look into it, then remove it." for path in done.left_over)
    return RestoreReport(
        home=str(home),
        created_at=archive.created_at,
        pin=done.staged.identity.pin,
        spki=done.staged.identity.spki,
        nodes=_count(done.staged.nodes),
        revoked_since=tuple(record.node_id for record in done.staged.returned),
        passphrase_place=done.staged.passphrase_place,
        kept_aside=None if done.kept_aside is None else str(done.kept_aside),
        notes=(*done.staged.notes, *left),
    )


def _count(nodes: Iterable[NodeRecord]) -> NodeCount:
    from bridge.backup.reports import NodeCount

    in_force = [record.revoked_at is None for record in nodes]
    return NodeCount(paired=sum(in_force), revoked=len(in_force) - sum(in_force))


def _progress(step: str) -> None:
    """A line for who waits at a terminal; the slow steps take about a second, and more with very many nodes."""
    if sys.stderr.isatty():
        print(step, file=sys.stderr)


def _nodes(count: NodeCount) -> str:
    return f"{count.paired} paired, {count.revoked} revoked"


def _print_backup(report: BackupReport, invocation: Invocation) -> None:
    console = page()
    console.print(safe(f"Written: {report.file}  ({report.bytes} bytes)"))
    console.print(fields([("Nodes", _nodes(report.nodes)), ("Pin", safe(report.pin))]))
    console.print(
        "It holds the bridge's key and certificate, the authority for its nodes' certificates, its keys at the\n"
        "gateway, the paired nodes, codes, counts and configuration; not the gateway's token, and no log."
    )
    console.print(
        Text("Whoever has this file and its passphrase is this bridge for every paired phone.", style="yellow")
    )
    console.print(
        Text("Keep the two apart. Without the passphrase nobody can open the file, you neither.", style="yellow")
    )
    _print_notes(report.notes)
    console.print("On another Mac, after this bridge was stopped for good:")
    advise(console, invocation.command("restore", report.file))


def _print_restore(report: RestoreReport, invocation: Invocation) -> None:
    console = page()
    made = clock(report.created_at, datetime.now(UTC))
    console.print(safe(f"Restored: {report.home}, from the backup of {made}"))
    rows: list[tuple[str, Text | str]] = [("Nodes", _nodes(report.nodes)), ("Pin", safe(report.pin))]
    places = {"keyring": "the keychain", "file": "a file beside them (no keychain kept it)"}
    rows.append(("Keys", f"their passphrase is in {places[report.passphrase_place]}"))
    if report.kept_aside is not None:
        rows.append(("Put aside", safe(report.kept_aside)))
    console.print(fields(rows))
    for node_id in report.revoked_since:
        console.print(safe(f"Revoked since, and still out: {node_id}"))
    _print_notes(report.notes)
    console.print(
        Text(f"What was revoked on another machine after {made} is not known here: look at the list.", style="yellow")
    )
    console.print("Let no other machine run this bridge any more. Then:")
    advise(console, invocation.command("run"))
    advise(console, invocation.command("nodes"))


def _print_notes(notes: Iterable[str]) -> None:
    console = page()
    for note in notes:
        console.print(Text(f"Note: {terminal_safe(note)}", style="yellow"))
