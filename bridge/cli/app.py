"""The commands put together, and what becomes of their errors."""

from __future__ import annotations

import io
import os
import shutil
import sys
import textwrap
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from bridge import __version__
from bridge.cli import acl, audit, backup, certs, demo, nodes, pair, pairing, policy, run, status, tokens
from bridge.cli.invocation import PROGRAM, Invocation, aimed
from bridge.cli.output import json_text
from bridge.cli.terminal import terminal_safe
from bridge.config_file import HOME_VARIABLE, home_folder
from bridge.errors import EXIT_FAILED, EXIT_OK, BridgeError, UsageError, error_document, exit_status

_OUR_PACKAGES = frozenset({"acl", "bridge", "certs", "gateway_client", "launchd"})

app = typer.Typer(
    name=PROGRAM,
    help="Lets phones be nodes of the agent gateway on this machine, over the LAN, without exposing it.",
    epilog="Exit status: 0 ok, 1 refused or failed, 2 usage, 3 daemon not running, 4 gateway not connected.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command("run")(run.run)
app.command("status")(status.status)
app.command("pair")(pair.pair)
app.command("pending")(pairing.pending)
app.command("approve")(pairing.approve)
app.command("deny")(pairing.deny)
app.add_typer(nodes.app, name="nodes")
app.add_typer(tokens.app, name="tokens")
app.add_typer(certs.app, name="certs")
app.add_typer(acl.app, name="acl")
app.add_typer(policy.app, name="policy")
app.add_typer(audit.app, name="audit")
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("demo")(demo.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def _everywhere(
    ctx: typer.Context,
    home: Annotated[
        str | None,
        typer.Option(metavar="DIR", help=f"Folder of the bridge's state, else ${HOME_VARIABLE}. May stand anywhere."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version
    ctx.obj = Invocation(home_folder(home, os.environ), home)


def run_command(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the process's exit status; see `bridge.cli.main`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 gets escapes, not a traceback
    as_json = "--json" in given
    ordered = home_first(given)
    try:
        status = app(args=ordered, prog_name=PROGRAM, standalone_mode=not as_json)
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else EXIT_OK
    except typer.Abort:
        return EXIT_FAILED
    except Exception as error:  # the last place where a failure can become a sentence
        known = _misuse(error) or error
        _report(known, _home_given(ordered), as_json=as_json)
        return exit_status(known)
    return status if isinstance(status, int) else EXIT_OK


def _misuse(error: Exception) -> UsageError | None:
    """What the parser has to say, for those who asked for a document; None: it is none of the parser's errors."""
    told = getattr(error, "format_message", None)
    if not callable(told):
        return None
    context = getattr(error, "ctx", None)
    return UsageError(str(told()), f"Run: {context.command_path if context is not None else PROGRAM} --help")


def home_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with `--home DIR` moved to the front, where the program itself takes it; nothing after `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    front: list[str] = []
    rest: list[str] = []
    words = iter(arguments[:end])
    for word in words:
        if word == "--home":
            value = next(words, None)
            if value is None:
                return [word]  # alone, so that the parser misses its value and not something else
            front += [word, value]
        elif word.startswith("--home="):
            front.append(word)
        else:
            rest.append(word)
    return [*front, *rest, *arguments[end:]]


def _home_given(ordered: Sequence[str]) -> str | None:
    """What `--home` says, in arguments of `home_first`; the last one counts. None: it is not there."""
    found = None
    words = iter(ordered)
    for word in words:
        if word == "--home":
            found = next(words, None)
        elif word.startswith("--home="):
            found = word.removeprefix("--home=")
        else:
            break
    return found


def _report(error: Exception, home_option: str | None, *, as_json: bool) -> None:
    """Says on standard error what happened, why, and what mends it, aimed at the home that was asked."""
    if isinstance(error, BridgeError) and error.fix is not None:
        error.fix = aimed(error.fix, home_option)
    if type(error).__module__.partition(".")[0] not in _OUR_PACKAGES:
        traceback.print_exception(error)
        print("This is a fault of clawdis-bridge; the lines above tell where.", file=sys.stderr)
    elif as_json:
        known = error if isinstance(error, BridgeError) else BridgeError("FAILED", aimed(str(error), home_option))
        print(json_text({"error": error_document(known)}), file=sys.stderr)
    elif isinstance(error, BridgeError):
        print(_by_words(f"Error: {terminal_safe(error.message)}"), file=sys.stderr)
        if error.fix is not None:
            for line in error.fix.split("\n"):
                print(f"  {terminal_safe(line)}", file=sys.stderr)
    else:
        for line in aimed(str(error), home_option).splitlines():
            print(_by_words(f"Error: {terminal_safe(line)}"), file=sys.stderr)


def _by_words(text: str) -> str:
    """A sentence for standard error; on a terminal it is broken between words, so that no pin or path is cut."""
    if not sys.stderr.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
