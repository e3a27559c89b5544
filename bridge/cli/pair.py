"""`clawdis-bridge pair`: a one-time code for a new phone."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from bridge.cli.invocation import AsJson, Invocation, invocation_of
from bridge.cli.moments import until
from bridge.cli.output import advise, fields, page, permission_lines, print_json, safe
from bridge.cli.qr import qr_lines
from bridge.cli.values import parse_duration, parse_permissions
from bridge.control.documents import SetupCode
from bridge.errors import UsageError


def pair(
    ctx: typer.Context,
    qr: Annotated[bool, typer.Option("--qr", help="Make a one-time code and show it as a QR code.")] = False,
    permissions: Annotated[
        str | None, typer.Option(metavar="LIST", help="What it grants, comma-separated: screen,voice")
    ] = None,
    profile: Annotated[str | None, typer.Option(metavar="NAME", help="A profile to grant, instead of a list.")] = None,
    ttl: Annotated[str, typer.Option(metavar="TIME", help="How long it is valid: 90s, 5m, 1h.")] = "5m",
    address: Annotated[
        str | None, typer.Option(metavar="IP", help="Address to put into it, for devices that know no .local names.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a one-time code for a new phone.

    Whoever presents it first is paired, without another question.
    """
    invocation = invocation_of(ctx)
    if not qr:
        raise UsageError(
            "'pair' makes one-time codes, and needs --qr to do so.",
            f"Run: {invocation.command('pair', '--qr')}  (a phone without a code can simply connect:"
            f" then see {invocation.command('pending')})",
        )
    if permissions is not None and profile is not None:
        raise UsageError("--permissions and --profile exclude each other.", "Give one of them.")
    granted = None if permissions is None else parse_permissions(permissions)
    code = invocation.client().mint_setup_code(granted, profile, parse_duration(ttl), address)
    if as_json:
        print_json(code)
    else:
        print_page(page(), code, invocation, datetime.now(UTC))


def print_page(console: Console, code: SetupCode, invocation: Invocation, now: datetime) -> None:
    """Prints the code as a QR code and as text, and what there is to know about it."""
    _print_qr(console, code.link)
    console.print("Scan this with the OpenClaw app, or open this link on the phone:")
    advise(console, code.link)
    console.print(Text("Whoever uses it first is let in. It works once.", style="yellow"))
    console.print()
    console.print(
        fields([("Expires", until(code.expires_at, now)), ("Connects to", safe(code.url)), ("Pin", safe(code.pin))])
    )
    console.print("It permits:")
    console.print(permission_lines(code.permissions))
    console.print()
    console.print("A computer becomes a node with this line, the first time and every time after:")
    advise(console, f"openclaw node run --pair-if-needed {code.link}")
    console.print("Afterwards, see whether it came:")
    advise(console, invocation.command("nodes"))


def _print_qr(console: Console, link: str) -> None:
    """The QR code, unless it cannot be shown so that a camera reads it."""
    coloured = console.color_system is not None and not console.no_color
    lines = qr_lines(link, dark_ink=coloured)
    if not _can_print(lines[0]):
        console.print("(No QR code: this terminal has no block characters.)")
    elif console.width < len(lines[0]):
        console.print(f"(No QR code: it needs {len(lines[0])} columns, and this terminal has {console.width}.)")
    else:
        for line in lines:
            console.print(Text(line, style="#000000 on #ffffff" if coloured else ""), soft_wrap=True)
    console.print()


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
