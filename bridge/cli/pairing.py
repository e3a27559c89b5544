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
from bridge.cli.values import parse_code, parse_permissions
from bridge.control.documents import Approval, PendingRequest
from bridge.control.operations import resolve_prefix
from bridge.errors import RefusedError

_PIN_QUESTION = "Did the phone show this pin when you tapped Trust, and shall it be let in?"

_CODE_QUESTION = "The six digits that the device shows"

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
        code = ["--code", "123456"] if each.kind == "native" else []
        advise(console, invocation.command("approve", each.id[:SHORT_ID], *code))
        advise(console, invocation.command("deny", each.id[:SHORT_ID]))
        console.print()


def approve(
    ctx: typer.Context,
    id: RequestId,
    permissions: Annotated[
        str | None, typer.Option(metavar="LIST", help="Grant these instead, comma-separated: screen,voice")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call the node.")] = None,
    code: Annotated[
        str | None, typer.Option(metavar="DIGITS", help="The six digits that the device shows, if it shows any.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether the pin is right.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let one device in.

    On a terminal the device is shown first. If it shows six digits, they are asked for; if not, the pin has to be
    confirmed.
    """
    invocation = invocation_of(ctx)
    granted = None if permissions is None else parse_permissions(permissions)
    digits = None if code is None else parse_code(code)
    if not (yes or as_json) and digits is None and sys.stdin.isatty() and sys.stdout.isatty():
        id, digits = _confirmed(invocation, id, granted)
    approval = invocation.client().approve(id, granted, name, digits)
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
    else:
        rows.append(("  Code", safe("six digits, shown on the device: type them to approve", "dim")))
    console.print(fields(rows))
    console.print("  If you approve, it gets:")
    console.print(permission_lines(request.permissions))


def _confirmed(invocation: Invocation, prefix: str, granted: list[str] | None) -> tuple[str, str | None]:
    """Shows a request on the terminal and asks.

    Returns its whole id, so that what was shown is what is approved, and the digits that were typed.
    """
    requests = {each.id: each for each in invocation.client().pending()}
    request = requests[resolve_prefix(prefix, requests)]
    if granted is not None:
        request = request.model_copy(update={"permissions": granted})
    print_request(page(), request, datetime.now(UTC))
    if request.kind == "native":
        return request.id, parse_code(typer.prompt(_CODE_QUESTION))
    if not typer.confirm(_PIN_QUESTION, default=False):
        raise RefusedError("Not approved.", f"Refuse it for good: {invocation.command('deny', request.id[:SHORT_ID])}")
    return request.id, None


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
