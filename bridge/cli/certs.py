"""`clawdis-bridge certs`: the bridge's certificate and key, and those of its native nodes."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from bridge.cli.invocation import AsJson, Invocation, invocation_of
from bridge.cli.moments import clock
from bridge.cli.output import SHORT_ID, advise, fields, page, print_json, safe, table
from bridge.control.documents import Certificates, NodeCertificateRow
from bridge.errors import RefusedError, UsageError

app = typer.Typer(help="The bridge's certificate and key, and those of its native nodes.", no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("show")
def show(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the bridge's certificate, and those of its native nodes."""
    report = invocation_of(ctx).client().certs()
    if as_json:
        print_json(report)
    else:
        print_page(page(), report, datetime.now(UTC))


@app.command("renew")
def renew(ctx: typer.Context, yes: Yes = False, as_json: AsJson = False) -> None:
    """Make a new certificate for the same key.

    The present one is good for ten years, so this is rarely needed. Native nodes do not notice. OpenClaw apps pin the
    certificate itself: each of them has to forget the bridge and pair again.
    """
    invocation = invocation_of(ctx)
    client = invocation.client()
    before = client.certs()
    _confirm(_lost_apps(before), yes=yes)
    _print_change(client.renew_certificate(), invocation, as_json=as_json)


@app.command("rotate")
def rotate(
    ctx: typer.Context,
    commit: Annotated[bool, typer.Option("--commit", help="Put the prepared key into force.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Change the bridge's key, in two steps.

    The first makes the next key and tells native nodes of it whenever they come. The second, --commit, puts it into
    force: nodes that have said that they hold it follow by themselves, everybody else may have to forget the bridge and
    pair again.
    """
    invocation = invocation_of(ctx)
    client = invocation.client()
    if commit:
        before = client.certs()
        if before.next_spki is None:
            raise RefusedError("No next key is prepared.", f"Run first: {invocation.command('certs', 'rotate')}")
        unaware = [
            f"{row.display_name}, which has not said that it knows it" for row in before.nodes if not row.knows_next
        ]
        _confirm([*_lost_apps(before), *unaware], yes=yes)
    report = client.rotate_key(commit=commit)
    if commit or as_json:
        _print_change(report, invocation, as_json=as_json)
        return
    console = page()
    knowing = sum(row.knows_next for row in report.nodes)
    console.print(Text("The next key is made. Nothing has changed yet.", style="bold"))
    console.print(fields([("Next key", safe(report.next_spki or ""))]))
    console.print(
        f"{knowing} of {len(report.nodes)} native nodes know of it, as they say; the others learn it when they come."
    )
    console.print("See who knows, then put it into force:")
    advise(console, invocation.command("certs", "show"))
    advise(console, invocation.command("certs", "rotate", "--commit"))


@app.command("reload")
def reload(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Read the certificate's file again, after it was put back."""
    invocation = invocation_of(ctx)
    _print_change(invocation.client().reload_certificates(), invocation, as_json=as_json)


def _lost_apps(before: Certificates) -> list[str]:
    return [f"{before.apps} OpenClaw client{'' if before.apps == 1 else 's'}"] if before.apps else []


def _confirm(losses: list[str], *, yes: bool) -> None:
    """Says who loses the bridge and asks; nothing is asked when nobody does.

    Raises:
        RefusedError: not confirmed.
        UsageError: there is no terminal, so nobody could have seen the question.
    """
    if yes or not losses:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        words = f"{'; '.join(losses)} would have to pair again, and there is no terminal to ask on."
        raise UsageError(words, "Say so yourself: --yes")
    console = page()
    console.print(Text("This breaks pairings. These have to forget the bridge and pair again:", style="yellow"))
    for each in losses:
        console.print(safe(f"  {each}"))
    if not typer.confirm("Go on?", default=False):
        raise RefusedError("Nothing was changed.")


def _print_change(report: Certificates, invocation: Invocation, *, as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    console = page()
    console.print(Text("In force now:", style="bold"))
    console.print(fields([("Pin", safe(report.pin)), ("Key", safe(report.spki))]))
    console.print("Make a backup of it:")
    advise(console, invocation.command("backup", "FILE"))


def print_page(console: Console, report: Certificates, now: datetime) -> None:
    """Prints what is in force, and what native nodes hold."""
    place = {"keyring": "the keychain", "file": "a file beside the keys"}[report.passphrase_place]
    rows: list[tuple[str, Text | str]] = [
        ("Pin", safe(report.pin)),
        ("Key", safe(report.spki)),
        ("Host", safe(report.host)),
        ("Valid", f"{clock(report.not_before, now)} to {clock(report.not_after, now)}"),
        ("Next key", safe(report.next_spki or "none prepared")),
        ("Node CA", safe(report.authority.spki)),
        ("", f"valid to {clock(report.authority.not_after, now)}"),
        ("Passphrase", f"in {place}"),
        ("Apps", f"{report.apps} that pin the certificate"),
    ]
    console.print(fields(rows))
    console.print()
    if not report.nodes:
        console.print("No native node is paired.")
        return
    console.print(table(("NODE", "ID", "CERTIFICATE", "NEXT KEY"), [_row(each, now) for each in report.nodes]))


def _row(row: NodeCertificateRow, now: datetime) -> list[Text | str]:
    if row.not_after is None:
        certificate = "not fetched yet"
    else:
        verb = "ran out" if row.not_after <= now else "valid to"
        certificate = f"{verb} {clock(row.not_after, now)}"
    return [
        safe(row.display_name, "bold"),
        safe(row.node_id[:SHORT_ID]),
        certificate,
        "known" if row.knows_next else "",
    ]
