"""`clawdis-bridge pair`: invites devices, and makes one-time codes."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from bridge.cli.invocation import AsJson, Invocation, invocation_of
from bridge.cli.moments import clock, until
from bridge.cli.output import advise, fields, page, permission_lines, print_json, safe
from bridge.cli.qr import qr_lines
from bridge.cli.qr_file import require_writable, write_qr
from bridge.cli.values import PERMISSIONS_HELP, PROFILES_HELP, parse_address, parse_permissions, parse_ttl
from bridge.control.documents import NativeInvitation, SetupCode
from bridge.errors import UsageError


def pair(
    ctx: typer.Context,
    qr: Annotated[bool, typer.Option("--qr", help="Make a one-time code and show it as a QR code.")] = False,
    native: Annotated[
        bool, typer.Option("--native", help="Make the code for a native node, not for the OpenClaw app.")
    ] = False,
    permissions: Annotated[
        str | None,
        typer.Option(metavar="LIST", help=f"What it grants, comma-separated: screen,voice. {PERMISSIONS_HELP}"),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"A profile to grant, instead of a list. {PROFILES_HELP}")
    ] = None,
    ttl: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long it is valid: 90s, 5m, 1h.  [default: 5m]")
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="IP", help="Address to put into it, for devices that know no .local names.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the QR code to a file as well: .png or .svg")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Invite devices; with --qr, make a one-time code.

    Without --qr, devices that were turned down may ask again, and pairing is open for five minutes. With --qr, whoever
    presents the code first is paired, without another question.
    """
    invocation = invocation_of(ctx)
    if not qr:
        only_codes = {"--native": native, "--permissions": permissions, "--profile": profile, "--ttl": ttl}
        _refuse(invocation, {**only_codes, "--address": address, "--out": out})
        _open_window(invocation, as_json=as_json)
        return
    if permissions is not None and profile is not None:
        raise UsageError("--permissions and --profile exclude each other.", "Give one of them.")
    granted = None if permissions is None else parse_permissions(permissions)
    seconds = parse_ttl(ttl if ttl is not None else "5m")
    host = None if address is None else parse_address(address)
    if out is not None:
        require_writable(out)  # before the code is made: it would be valid, and nobody could see it
    client = invocation.client()
    mint = client.mint_native_link if native else client.mint_setup_code
    code = mint(granted, profile, seconds, host)
    if out is not None:
        write_qr(code.link, out)
    if as_json:
        print_json(code)
    else:
        print_page(page(), code, invocation, datetime.now(UTC), out)


def _refuse(invocation: Invocation, options: dict[str, object]) -> None:
    given = [name for name, value in options.items() if value not in (None, False)]
    if given:
        words = f"{', '.join(given)} {'belongs' if len(given) == 1 else 'belong'} to a one-time code, made with --qr."
        raise UsageError(words, f"Run: {invocation.command('pair', '--qr')} ...")


def _open_window(invocation: Invocation, *, as_json: bool) -> None:
    window = invocation.client().open_window()
    if as_json:
        print_json(window)
        return
    console = page()
    console.print(Text("Devices may ask to be paired.", style="bold"))
    console.print(
        f"Those that were turned down may ask again. Open until {clock(window.open_until, datetime.now(UTC))}."
    )
    console.print("Connect from the device now, then see what waits:")
    advise(console, invocation.command("pending"))
    console.print("Or make a one-time code, which needs no question:")
    advise(console, invocation.command("pair", "--qr"))


def print_page(
    console: Console,
    code: SetupCode | NativeInvitation,
    invocation: Invocation,
    now: datetime,
    out: Path | None = None,
) -> None:
    """Prints the code as a QR code and as text, and what there is to know about it."""
    _print_qr(console, code.link)
    if isinstance(code, SetupCode):
        console.print("Scan this with the OpenClaw app, or open this link on the phone:")
    else:
        console.print("Scan this with the native node, or give it this link:")
    advise(console, code.link)
    console.print(Text("Whoever uses it first is let in. It works once.", style="yellow"))
    console.print()
    rows: list[tuple[str, Text | str]] = [
        ("Expires", until(code.expires_at, now)),
        ("Connects to", safe(code.url)),
        ("Pin", safe(code.pin)),
        ("Take it back", safe(invocation.command("tokens", "revoke", code.id))),
    ]
    console.print(fields(rows if out is None else [*rows, ("Written to", safe(str(out)))]))
    console.print("It permits:")
    console.print(permission_lines(code.permissions))
    console.print()
    if isinstance(code, SetupCode):
        console.print("A computer becomes a node with this line, the first time and every time after:")
        advise(console, f"openclaw node run --pair-if-needed {code.link}")
        if "system" not in code.permissions:
            console.print("Your agent can run commands on it only with the permission system. For a code with it:")
            advise(console, invocation.command("pair", "--qr", "--permissions", "system"))
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
