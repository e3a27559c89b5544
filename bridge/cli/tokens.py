"""`clawdis-bridge tokens`: the one-time codes that were made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from bridge.cli.invocation import AsJson, invocation_of
from bridge.cli.moments import ago, until
from bridge.cli.output import SHORT_ID, advise, commands, page, print_json, safe, table
from bridge.control.documents import TokenRow
from bridge.errors import UsageError

app = typer.Typer(help="One-time codes; without a subcommand: list them.", invoke_without_command=True)

_COLOURS = {"unused": "yellow", "used": "green", "expired": "dim", "revoked": "red"}

TokenId = Annotated[str, typer.Argument(metavar="ID", help="Id of the code, or its beginning.")]


@app.callback()
def tokens(ctx: typer.Context, as_json: AsJson = False) -> None:
    """One-time codes; without a subcommand: list them."""
    if ctx.invoked_subcommand is None:
        show(ctx, as_json=as_json)
    elif as_json:
        raise UsageError(
            "--json comes after the subcommand.", f"clawdis-bridge tokens {ctx.invoked_subcommand} ... --json"
        )


@app.command("list")
def show(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the one-time codes that were made.

    The newest is first. The codes themselves are never shown again.
    """
    invocation = invocation_of(ctx)
    rows = invocation.client().tokens()
    if as_json:
        print_json(rows)
        return
    console, now = page(), datetime.now(UTC)
    if not rows:
        console.print("No code has been made. Make one:")
        advise(console, invocation.command("pair", "--qr"))
        return
    lines = [_row(row, now) for row in rows]
    console.print(table(("ID", "FOR", "STATE", "MADE", "PERMITS", "USED BY"), lines, whole=("ID", "USED BY")))


@app.command("revoke")
def revoke(ctx: typer.Context, id: TokenId, as_json: AsJson = False) -> None:
    """Take a one-time code back, so that nobody can use it."""
    invocation = invocation_of(ctx)
    row = invocation.client().revoke_token(id)
    if as_json:
        print_json(row)
        return
    console = page()
    console.print(safe(f"Taken back: {row.id}"))
    if row.used_by is not None:
        console.print("It was used before. The node that used it stays paired; to end that:")
        advise(console, invocation.command("nodes", "revoke", row.used_by[:SHORT_ID]))


def _row(row: TokenRow, now: datetime) -> list[Text | str]:
    state = safe(row.state, _COLOURS[row.state])
    if row.state == "unused":
        state = Text.assemble(state, f", ends {until(row.expires_at, now)}")
    kind = "OpenClaw app" if row.kind == "openclaw" else "native node"
    used_by = safe(row.used_by[:SHORT_ID]) if row.used_by is not None else ""
    return [safe(row.id), kind, state, ago(row.created_at, now), commands(row.permissions), used_by]
