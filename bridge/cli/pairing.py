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
from bridge.cli.output import (
    SHORT_ID,
    advise,
    commands,
    fields,
    not_granted_rows,
    page,
    permission_lines,
    print_json,
    safe,
)
from bridge.cli.values import PERMISSIONS_HELP, parse_code, parse_name, parse_permissions
from bridge.control.client import ControlClient
from bridge.control.documents import Approval, NodeDetail, PendingRequest
from bridge.control.not_granted import not_granted
from bridge.errors import AlreadyDecided, RefusedError, UnknownId, UsageError, WrongCode

_PIN_QUESTION = "Did the phone show this pin when you tapped Trust? Then let it in?"
_WIDER_QUESTION = "Shall it offer these as well?"
_CODE_QUESTION = "The six digits that the device shows"
_NOTES = {
    "new": "",
    "repair": "It is paired already, and has lost its token.",
    "changed": "It is paired already, and was another kind of device until now.",
    "return": "This device was paired before, and was revoked.",
    "wider": "It is paired already, and offers more than you approved.",
}

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
        code = ["--code", "123456"] if _shows_code(each) else []
        advise(console, invocation.command("approve", each.id[:SHORT_ID], *code))
        advise(console, invocation.command("deny", each.id[:SHORT_ID]))
        console.print()


def approve(
    ctx: typer.Context,
    id: RequestId,
    permissions: Annotated[
        str | None,
        typer.Option(metavar="LIST", help=f"Grant these instead, comma-separated: screen,voice. {PERMISSIONS_HELP}"),
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="What to call the node.")] = None,
    code: Annotated[
        str | None, typer.Option(metavar="DIGITS", help="The six digits that the device shows, if it shows any.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="The phone showed the bridge's pin: do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let one device in.

    The device is shown first. If it shows six digits, they are asked for; if not, the pin has to be confirmed. Where
    there is no terminal to ask on, and with --json, give --code or --yes.
    """
    invocation = invocation_of(ctx)
    granted = None if permissions is None else parse_permissions(permissions)
    digits = None if code is None else parse_code(code)
    name = None if name is None else parse_name(name)
    client = invocation.client()
    if yes or digits is not None:
        approval = client.approve(id, granted, name, digits)
    else:
        request = client.request(id)  # by its whole id from here on: what was shown is what is approved
        if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            _require_no_question(request, invocation, _as_options(granted, name))
            approval = client.approve(request.id, granted, name)
        else:
            approval = _approve_asking(client, request, granted, name, invocation)
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
        console.print(Text(f"  {_NOTES['return']}", style="bold red"))
    elif _NOTES[request.reason]:
        console.print(Text(f"  {_NOTES[request.reason]}", style="yellow"))
    rows = [
        ("  Id", safe(request.id)),
        ("  Device", safe(f"{device} at {request.address}")),
        ("  Asked", safe(_asked(request, now))),
        ("  Key", safe(request.key_fingerprint)),
        ("  Offers", commands(request.commands)),
    ]
    if request.adds:
        rows.append(("  New", commands(request.adds)))
    if _shows_code(request):
        rows.append(("  Code", safe("six digits, shown on the device: type them to approve", "dim")))
    elif request.reason != "wider":
        rows.append(("  Pin", safe(request.pin)))
        rows.append(("", safe("the phone must have shown this pin when you tapped Trust", "dim")))
    console.print(fields([*rows, *not_granted_rows(request.not_granted)]))
    console.print("  If you approve, it gets:" if request.reason != "wider" else "  It may already, and keeps:")
    console.print(permission_lines(request.permissions, indent=4))


def _asked(request: PendingRequest, now: datetime) -> str:
    asked = ago(request.created_at, now)
    return asked if request.reason == "wider" else f"{asked}; expires {until(request.expires_at, now)}"


def _shows_code(request: PendingRequest) -> bool:
    return request.kind == "native" and request.reason != "wider"


def _as_options(granted: list[str] | None, name: str | None) -> list[str]:
    """What an approval was asked to grant and to call the node, as the words that ask for it."""
    permissions = [] if granted is None else ["--permissions", ",".join(granted) or "none"]
    return permissions if name is None else [*permissions, "--name", name]


def _require_no_question(request: PendingRequest, invocation: Invocation, options: list[str]) -> None:
    """Lets through what may be approved without a word.

    Args:
        request: what is to be approved.
        invocation: the one that asks.
        options: repeated in the advice, so that it grants nothing else.

    Raises:
        UsageError: a person would have been asked something.
    """
    name, short = request.display_name, request.id[:SHORT_ID]
    if _shows_code(request):
        line = invocation.command("approve", short, *options, "--code", "123456")
        raise UsageError(f"{name} shows six digits, which are needed to approve it.", f"Run: {line}")
    if request.reason != "wider":
        raise UsageError(
            f"Not approved: {name} must have shown this pin when you tapped Trust: {request.pin}.",
            f"If it did, run: {invocation.command('approve', short, *options, '--yes')}",
        )


def _approve_asking(
    client: ControlClient, request: PendingRequest, granted: list[str] | None, name: str | None, invocation: Invocation
) -> Approval:
    """Shows a request on the terminal, asks, and approves it."""
    if granted is not None:
        lacking = not_granted(request.commands, granted)
        request = request.model_copy(update={"permissions": granted, "not_granted": lacking})
    print_request(page(), request, datetime.now(UTC))
    if _shows_code(request):
        return _approve_by_code(client, request, granted, name)
    if not typer.confirm(_WIDER_QUESTION if request.reason == "wider" else _PIN_QUESTION, default=False):
        raise RefusedError("Not approved.", f"Refuse it: {invocation.command('deny', request.id[:SHORT_ID])}")
    return client.approve(request.id, granted, name)


def _approve_by_code(
    client: ControlClient, request: PendingRequest, granted: list[str] | None, name: str | None
) -> Approval:
    """Asks for the digits until they are right or the request has ended."""
    while True:
        digits = typer.prompt(_CODE_QUESTION, value_proc=_typed)
        try:
            return client.approve(request.id, granted, name, digits)
        except WrongCode as wrong:
            if not _still_waits(client, request.id):
                raise
            typer.echo(f"{wrong.message} {wrong.fix or ''}".rstrip(), err=True)


def _typed(text: str) -> str:
    try:
        return parse_code(text)
    except UsageError as error:
        raise typer.BadParameter(error.message) from error


def _still_waits(client: ControlClient, request_id: str) -> bool:
    try:
        client.request(request_id)
    except (AlreadyDecided, UnknownId):
        return False
    return True


def _print_approval(console: Console, approval: Approval, invocation: Invocation) -> None:
    console.print(Text.assemble(("Paired: ", "green"), safe(approval.display_name, "bold")))
    console.print(fields([("  Node", safe(approval.node_id)), ("  Secured by", secured_by(approval.security))]))
    console.print("  It may now:")
    console.print(permission_lines(approval.permissions, indent=4))
    print_not_granted(console, approval, invocation)
    print_withheld(console, approval.withheld, approval.allow_line)
    console.print("To take it back:")
    advise(console, invocation.command("nodes", "revoke", approval.node_id[:SHORT_ID]))


def print_not_granted(console: Console, node: Approval | NodeDetail, invocation: Invocation) -> None:
    """Which commands a node offers that its permissions do not cover, and how they are granted."""
    if not node.not_granted:
        return
    console.print(fields(not_granted_rows(node.not_granted)))
    lacking = list(node.not_granted)
    wanted = ",".join([*node.permissions, *lacking]) if len(lacking) == 1 else "LIST"
    console.print("  To grant that as well:" if len(lacking) == 1 else "  To change what it may:")
    advise(console, "  " + invocation.command("nodes", "permissions", node.node_id[:SHORT_ID], wanted))


def print_withheld(console: Console, withheld: list[str], allow_line: str | None) -> None:
    """Which granted commands the gateway does not let through, and the line that changes that."""
    if not withheld:
        return
    console.print(Text.assemble(("The gateway withholds: ", "yellow"), commands(withheld)))
    if allow_line:
        console.print("To let them through, run:")
        advise(console, allow_line)


def secured_by(security: str) -> str:
    """What a node proves itself with."""
    return "its own client certificate" if security == "mtls" else "its device key"
