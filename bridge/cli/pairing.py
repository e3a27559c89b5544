"""`clawdis-bridge pending`, `approve` and `deny`: who may become a node."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from bridge.cli.invocation import AsJson, Invocation, invocation_of
from bridge.cli.moments import ago, until
from bridge.cli.output import SHORT_ID, advise, commands, fields, page, permission_lines, print_json, safe
from bridge.cli.values import parse_permissions
from bridge.control.documents import Approval, PendingRequest
from bridge.control.operations import resolve_prefix
from bridge.errors import RefusedError

_PIN_QUESTION = "Did the phone show this pin when you tapped Trust, and shall it be let in?"

RequestId = Annotated[str, typer.Argument(metavar="ID", help="Id of the request, or its beginning.")]


def pending(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the pairing requests that wait for a decision."""
    invocation = invocation_of(ctx)
    requests = invocation.client().pending()
    if as_json:
        print_json(requests)
        return
    console = page()
    if not requests:
        console.print("No pairing request waits.")
    for each in requests:
        print_request(console, each, datetime.now(UTC))
        console.print()
        advise(console, invocation.command("approve", each.id[:SHORT_ID]))
        advise(console, invocation.command("deny", each.id[:SHORT_ID]))
        console.print()


def approve(
    ctx: typer.Context,
    id: RequestId,
    permissions: Annotated[
        str | None, typer.Option(metavar="LIST", help="Grant these instead, comma-separated: screen,voice")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call the node.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether the pin is right.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let one device in.

    On a terminal, a device that brought no code is shown first, and the pin has to be confirmed.
    """
    invocation = invocation_of(ctx)
    granted = None if permissions is None else parse_permissions(permissions)
    if not (yes or as_json) and sys.stdin.isatty() and sys.stdout.isatty():
        id = _confirmed(invocation, id, granted)
    approval = invocation.client().approve(id, granted, name)
    if as_json:
        print_json(approval)
    else:
        _print_approval(page(), approval, invocation)


def deny(ctx: typer.Context, id: RequestId, as_json: AsJson = False) -> None:
    """Refuse one request."""
    denial = invocation_of(ctx).client().deny(id)
    if as_json:
        print_json(denial)
    else:
        page().print(safe(f"Denied: {denial.id}"))


def print_request(console: Console, request: PendingRequest, now: datetime) -> None:
    """One request, with everything that the decision needs."""
    device = " ".join(each for each in (request.platform, request.device_family) if each)
    console.print(safe(request.display_name, "bold"))
    if request.previously_revoked:
        console.print(Text("  This device was paired before, and was revoked.", style="bold red"))
    rows = [
        ("  Id", safe(request.id)),
        ("  Device", safe(f"{device} at {request.address}")),
        ("  Asked", safe(f"{ago(request.created_at, now)}; expires {until(request.expires_at, now)}")),
        ("  Key", safe(request.key_fingerprint)),
        ("  Offers", commands(request.commands)),
    ]
    if request.kind == "openclaw":
        rows.append(("  Pin", safe(request.pin)))
        rows.append(("", safe("the phone must have shown this pin when you tapped Trust", "dim")))
    console.print(fields(rows))
    console.print("  If you approve, it gets:")
    console.print(permission_lines(request.permissions))


def _confirmed(invocation: Invocation, prefix: str, granted: list[str] | None) -> str:
    """Shows a request on the terminal and asks; returns its whole id, so that what was shown is what is approved."""
    requests = {each.id: each for each in invocation.client().pending()}
    request = requests[resolve_prefix(prefix, requests)]
    if granted is not None:
        request = request.model_copy(update={"permissions": granted})
    if request.kind == "openclaw":
        print_request(page(), request, datetime.now(UTC))
        if not typer.confirm(_PIN_QUESTION, default=False):
            raise RefusedError(
                "Not approved.", f"Refuse it for good: {invocation.command('deny', request.id[:SHORT_ID])}"
            )
    return request.id


def _print_approval(console: Console, approval: Approval, invocation: Invocation) -> None:
    console.print(Text.assemble(("Paired: ", "green"), safe(approval.display_name, "bold")))
    console.print(fields([("  Node", safe(approval.node_id)), ("  Secured by", _security(approval.security))]))
    console.print("  It may now:")
    console.print(permission_lines(approval.permissions))
    print_withheld(console, approval.withheld, approval.allow_line)
    console.print("To take it back:")
    advise(console, invocation.command("nodes", "revoke", approval.node_id[:SHORT_ID]))


def print_withheld(console: Console, withheld: list[str], allow_line: str | None) -> None:
    """Which granted commands the gateway does not let through, and the line that changes that."""
    if not withheld:
        return
    console.print(Text.assemble(("The gateway withholds: ", "yellow"), commands(withheld)))
    if allow_line:
        console.print("To let them through, run:")
        advise(console, allow_line)


def _security(security: str) -> str:
    return "its own client certificate" if security == "mtls" else "its device key"
