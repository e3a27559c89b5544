"""`clawdis-bridge nodes`: the paired devices."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from bridge.cli.invocation import AsJson, Invocation, invocation_of
from bridge.cli.limits import counts_text
from bridge.cli.moments import ago
from bridge.cli.output import SHORT_ID, advise, commands, fields, page, permission_lines, print_json, safe, table
from bridge.cli.pairing import print_not_granted, print_withheld, secured_by
from bridge.cli.values import PERMISSIONS_HELP, parse_name, parse_permissions
from bridge.control.documents import NodeDetail, NodeRow
from bridge.control.operations import require_paired, select_nodes
from bridge.control.requests import RevokeBody, require_id
from bridge.errors import RefusedError, UsageError

app = typer.Typer(help="The paired devices; without a subcommand: list them.", invoke_without_command=True)

_COLOURS = {"connected": "green", "background": "yellow", "offline": "", "revoked": "red"}

NodeId = Annotated[str, typer.Argument(metavar="ID", help="Id of the node, or its beginning.")]


@app.callback()
def nodes(ctx: typer.Context, as_json: AsJson = False) -> None:
    """The paired devices; without a subcommand: list them."""
    if ctx.invoked_subcommand is None:
        _list(invocation_of(ctx), as_json)
    elif as_json:
        raise UsageError(
            "--json comes after the subcommand.", f"clawdis-bridge nodes {ctx.invoked_subcommand} ... --json"
        )


@app.command("list")
def list_nodes(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the paired devices."""
    _list(invocation_of(ctx), as_json)


@app.command()
def show(ctx: typer.Context, id: NodeId, as_json: AsJson = False) -> None:
    """Show everything about one node."""
    invocation = invocation_of(ctx)
    node = invocation.client().node(id)
    if as_json:
        print_json(node)
    else:
        _print_node(page(), node, invocation, datetime.now(UTC))


@app.command()
def rename(
    ctx: typer.Context,
    id: NodeId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name.")],
    as_json: AsJson = False,
) -> None:
    """Give a node another name."""
    row = invocation_of(ctx).client().rename(id, parse_name(name))
    if as_json:
        print_json(row)
    else:
        page().print(safe(f"{row.node_id[:SHORT_ID]} is now called {row.display_name}"))


@app.command()
def permissions(
    ctx: typer.Context,
    id: NodeId,
    wanted: Annotated[
        str | None,
        typer.Argument(metavar="LIST", help=f"The new ones, comma-separated, or none; else: show. {PERMISSIONS_HELP}"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a node may do, or replace it."""
    client = invocation_of(ctx).client()
    row = client.node(id) if wanted is None else client.set_permissions(id, parse_permissions(wanted))
    if as_json:
        print_json(row)
        return
    console = page()
    console.print(Text.assemble(safe(row.display_name, "bold"), " may:" if wanted is None else " may now:"))
    console.print(permission_lines(row.permissions))


@app.command()
def revoke(
    ctx: typer.Context,
    id: Annotated[str | None, typer.Argument(metavar="ID", help="Id of the node, or its beginning.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Every node.")] = False,
    others: Annotated[str | None, typer.Option(metavar="ID", help="Every node except this one.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """End the pairing of one node, of all, or of all but one. Their connections are closed at once."""
    invocation = invocation_of(ctx)
    which = _which(id, everyone, others)
    client = invocation.client()
    if not yes:
        _confirm(which, client.nodes(), invocation)
    done = client.revoke(which)
    if as_json:
        print_json(done[0] if id is not None and len(done) == 1 else done)
        return
    console = page()
    for each in done:
        console.print(safe(f"Revoked: {each.node_id}"))
    if not done:
        console.print("There was nothing to revoke.")


def _which(id: str | None, everyone: bool, others: str | None) -> RevokeBody:
    """The nodes that the arguments mean."""
    if (id is not None) + everyone + (others is not None) != 1:
        raise UsageError("Say which nodes: exactly one of ID, --all and --others ID.", "See them: clawdis-bridge nodes")
    if id is not None:
        return RevokeBody(ids=[require_id(id)])
    return RevokeBody(all=True) if others is None else RevokeBody(others=require_id(others))


def _confirm(which: RevokeBody, rows: list[NodeRow], invocation: Invocation) -> None:
    """Asks on a terminal.

    Raises:
        RefusedError: not confirmed.
        UsageError: there is no terminal, so nobody could have seen the question.
        AlreadyDecided: the node that was named is revoked already.
    """
    if which.ids is not None:
        require_paired(which.ids, {each.node_id: each.state != "revoked" for each in rows})
    paired = {each.node_id: each for each in rows if each.state != "revoked"}
    chosen = [paired[each] for each in select_nodes(which, paired)]
    if not chosen:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        count = "1 node" if len(chosen) == 1 else f"{len(chosen)} nodes"
        raise UsageError(f"Not revoked: {count} would be, and there is no terminal to ask on.", "Add --yes to mean it.")
    console = page()
    for each in chosen:
        console.print(safe(f"  {each.node_id[:SHORT_ID]}  {each.display_name}"))
    if not typer.confirm(f"Revoke {'this node' if len(chosen) == 1 else f'these {len(chosen)} nodes'}?", default=False):
        raise RefusedError("Not revoked.", f"Nothing has changed; see: {invocation.command('nodes')}")


def _list(invocation: Invocation, as_json: bool) -> None:
    rows = invocation.client().nodes()
    if as_json:
        print_json(rows)
        return
    console = page()
    if not rows:
        console.print("No node is paired yet. To pair a phone:")
        advise(console, invocation.command("pair", "--qr"))
        return
    now = datetime.now(UTC)
    headings = ("NAME", "ID", "STATE", "SEEN", "PERMISSIONS", "NOTE")
    console.print(table(headings, [_row(each, now) for each in rows], whole=("ID", "STATE", "SEEN")))


def _row(row: NodeRow, now: datetime) -> list[Text | str]:
    notes = []
    if row.withheld:
        notes.append(f"{len(row.withheld)} withheld")
    if row.wants:
        notes.append(f"wants {len(row.wants)} more")
    return [
        safe(row.display_name, "bold"),
        safe(row.node_id[:SHORT_ID]),
        safe(row.state, _COLOURS[row.state]),
        _seen(row, now),
        commands(row.permissions),
        ", ".join(notes),
    ]


def _seen(row: NodeRow, now: datetime) -> str:
    if row.state == "connected":
        return "now"
    return "never" if row.last_seen_at is None else ago(row.last_seen_at, now)


def _state(row: NodeRow, now: datetime) -> Text:
    state = safe(row.state, _COLOURS[row.state])
    kept = ", still connected for the gateway" if row.at_gateway else ""
    linking = ", its connection to the gateway is being made" if row.linking else ""
    seen = "" if row.state == "connected" else f", seen {_seen(row, now)}{kept}"
    return Text.assemble(state, seen, linking)


def _limits(node: NodeDetail) -> list[tuple[str, Text | str]]:
    """What it was stopped at, when it was."""
    met = [f"{name} {use.met} times" for name, use in node.limits.items() if use.met]
    rows: list[tuple[str, Text | str]] = [("  Limited", ", ".join(met))] if met else []
    refused = counts_text(node.refused)
    if refused:
        rows.append(("  Refused", safe(refused)))
    if node.penalty_s is not None:
        rows.append(("  Kept out", safe(f"for {node.penalty_s} s: it was refused or limited too often", "red")))
    return rows


def _print_node(console: Console, node: NodeDetail, invocation: Invocation, now: datetime) -> None:
    console.print(safe(node.display_name, "bold"))
    rows: list[tuple[str, Text | str]] = [
        ("  Node", safe(node.node_id)),
        ("  State", _state(node, now)),
        ("  Platform", safe(node.platform)),
        ("  Secured by", secured_by(node.security)),
        ("  Gateway id", safe(node.gateway_node_id or "not known there yet")),
        ("  Tokens", f"{node.tokens.node} as node, {node.tokens.operator} as operator"),
        ("  Offers", commands(node.declared_commands)),
        ("  Usable", commands(node.effective_commands)),
    ]
    if node.link_error is not None:
        first, *rest = invocation.aimed(node.link_error).splitlines() or [""]
        rows += [("  Not linked", safe(first, "red")), *(("", safe(line)) for line in rest)]
    rows += _limits(node)
    console.print(fields(rows))
    if node.state == "revoked":
        console.print("  It may do nothing: its pairing was ended. To let it ask again:")
        advise(console, "  " + invocation.command("pair"))
        return
    console.print("  It may:")
    console.print(permission_lines(node.permissions, indent=4))
    print_not_granted(console, node, invocation)
    print_withheld(console, node.withheld, node.allow_line)
    _print_wants(console, node, invocation)


def _print_wants(console: Console, node: NodeDetail, invocation: Invocation) -> None:
    if not node.wants:
        return
    console.print(Text.assemble(("It also wants to offer: ", "yellow"), commands(node.wants)))
    if node.request is not None:
        advise(console, invocation.command("approve", node.request[:SHORT_ID]))
        advise(console, invocation.command("deny", node.request[:SHORT_ID]))
    else:
        console.print("Nothing is asked at the moment. To let it ask again when it connects:")
        advise(console, invocation.command("pair"))
